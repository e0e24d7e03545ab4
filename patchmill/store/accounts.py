"""The account at the gateway as it was last read: its balance, what is wrong, and whose turn it is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, Interval, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.reconciliation import hour_of
from patchmill.job.circuit import GATEWAY, Condition, Why
from patchmill.store.tables import accounts, balances, circuits

KEPT = timedelta(days=90)
MAX_PROBLEM = 300
_KEY_REFUSED = (Why.INVALID_API_KEY, Why.PERMISSION_DENIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """How reading the account stands; None for what was never known."""

    known_since: datetime
    looked_at: datetime | None
    supported: bool
    problem: str | None
    problem_since: datetime | None
    available_picos: int | None
    low_balance: bool
    balance_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What was left in the wallet when it was last read in an hour."""

    hour: datetime
    available_picos: int
    low_balance: bool


_MINE = accounts.c.name == GATEWAY
_READ = select(*[accounts.c[field.name] for field in fields(AccountRow)]).where(_MINE)


def read(connection: Connection) -> AccountRow | None:
    """Give what is known of the account; None before any worker has looked."""
    row = connection.execute(_READ).mappings().one_or_none()
    return None if row is None else AccountRow(**row)


# Nobody asks while the key is refused: that would be one more refusal.
_REFUSED = (
    select(circuits.c.name)
    .where(circuits.c.name == GATEWAY, circuits.c.state != Condition.OK, circuits.c.why.in_(_KEY_REFUSED))
    .exists()
)
_MET = upsert(accounts).values(
    name=GATEWAY,
    identity=bindparam("of_identity"),
    known_since=bindparam("at"),
    next_at=func.now() + bindparam("after", type_=Interval),
)
_OTHER = accounts.c.identity != _MET.excluded.identity
_NOW_KNOWN = {
    "identity": _MET.excluded.identity,
    "known_since": case((_OTHER, _MET.excluded.known_since), else_=accounts.c.known_since),
    "supported": _OTHER | accounts.c.supported,
}
_MEET = _MET.on_conflict_do_update(index_elements=["name"], set_=_NOW_KNOWN).returning(accounts.c.known_since)
# Where workers have keys of two accounts these take turns, too, instead of asking all the time.
_IS_NEWS = (accounts.c.identity != bindparam("of_identity")) & (
    accounts.c.known_since < func.now() - bindparam("after", type_=Interval)
)
_DUE_NOW = (accounts.c.next_at <= func.now()) | _IS_NEWS
_DUE = select(~_REFUSED & ~select(accounts.c.name).where(_MINE, ~_DUE_NOW).exists())
_TAKE = _MET.on_conflict_do_update(
    index_elements=["name"], set_={**_NOW_KNOWN, "next_at": _MET.excluded.next_at}, where=_DUE_NOW
).returning(accounts.c.name)


def take_turn(connection: Connection, identity: str, *, every_s: float, now: datetime) -> bool:
    """Take the turn to read the account, if it is one: of all workers one has it, each `every_s` seconds.

    Another account than the one that has been read so far is read at once.
    """
    parameters = {"of_identity": identity, "at": now, "after": timedelta(seconds=every_s)}
    if not connection.scalar(_DUE, parameters):
        return False
    return connection.execute(_TAKE, parameters).one_or_none() is not None


def meet(connection: Connection, identity: str, *, now: datetime) -> datetime:
    """Say since when this account has been the one that is called; it is now, if it is a new one."""
    parameters = {"of_identity": identity, "at": now, "after": timedelta(0)}
    since: datetime = connection.execute(_MEET, parameters).scalar_one()
    return since


_LOOKED = (
    update(accounts)
    .where(_MINE)
    .values(
        looked_at=bindparam("at"),
        supported=True,
        problem=None,
        problem_since=None,
        available_picos=bindparam("left"),
        low_balance=bindparam("low"),
        balance_at=bindparam("at"),
    )
)
_SAID = upsert(balances)
_KEEP = _SAID.on_conflict_do_update(
    index_elements=["hour"],
    set_={name: _SAID.excluded[name] for name in ("at", "available_picos", "low_balance")},
)
_FORGET = delete(balances).where(balances.c.hour < bindparam("before"))


def note_balance(
    connection: Connection, available_picos: int | None, *, low_balance: bool, now: datetime
) -> None:
    """Keep what a look at the account told: of each hour the last one, for 90 days."""
    parameters = {"at": now, "left": available_picos, "low": low_balance}
    connection.execute(_LOOKED, parameters)
    if available_picos is not None:
        kept = {
            "hour": hour_of(now),
            "at": now,
            "available_picos": available_picos,
            "low_balance": low_balance,
        }
        connection.execute(_KEEP, kept)
    connection.execute(_FORGET, {"before": now - KEPT})


_PROBLEM = (
    update(accounts)
    .where(_MINE)
    .values(
        problem=bindparam("words"),
        problem_since=case(
            (accounts.c.problem == bindparam("words"), accounts.c.problem_since), else_=bindparam("at")
        ),
    )
)
_UNSUPPORTED = (
    update(accounts)
    .where(_MINE)
    .values(
        supported=False,
        problem=None,
        problem_since=None,
        next_at=func.now() + bindparam("after", type_=Interval),
    )
)


def note_problem(connection: Connection, message: str, *, now: datetime) -> bool:
    """Keep why the account could not be read; False if it was the same the last time. All else stays."""
    words = message[:MAX_PROBLEM]
    before = read(connection)
    connection.execute(_PROBLEM, {"words": words, "at": now})
    return before is None or before.problem != words


def note_unsupported(connection: Connection, *, again_after_s: float) -> bool:
    """Keep that this gateway does not tell its account; False if that was known."""
    before = read(connection)
    connection.execute(_UNSUPPORTED, {"after": timedelta(seconds=again_after_s)})
    return before is None or before.supported


_BALANCES = (
    select(balances.c.hour, balances.c.available_picos, balances.c.low_balance)
    .where(balances.c.hour >= bindparam("since"))
    .order_by(balances.c.hour)
)


def balances_since(connection: Connection, since: datetime) -> Sequence[Balance]:
    """Give the balance's course, the oldest first; hours in which nobody looked are left out."""
    return [Balance(**row) for row in connection.execute(_BALANCES, {"since": since}).mappings()]
