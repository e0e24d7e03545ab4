"""Circuits in Postgres: whoever sees a failure opens one, one probe at a time may try, an answer closes it.

Every process reads the open ones each second; nothing is lost when it reads late, since a call that the
gateway refuses is not billed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    RowMapping,
    Text,
    Update,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.job.circuit import FOR_OPERATORS, GATEWAY, Circuit, Condition, Trip, Why
from patchmill.job.pause import MAX_REASON
from patchmill.job.retry import LONGEST_BACKOFF_S, waits_for
from patchmill.job.state import State, WaitReason
from patchmill.store import auditing, outbox
from patchmill.store.tables import circuits, jobs

WAKE_LIMIT = 10_000  # jobs woken at once, in about a second; a transaction may last five

_COLUMNS = [circuits.c[field.name] for field in fields(Circuit)]
_OPEN = select(*_COLUMNS).where(circuits.c.state != Condition.OK)
_ALL = select(*_COLUMNS).order_by(circuits.c.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the gateway's headers said last, as it said it, and when."""

    said: Mapping[str, Any]
    at: datetime


def open_ones(connection: Connection) -> dict[str, Circuit]:
    """Give the circuits that are open, by name."""
    return {row["name"]: _circuit(row) for row in connection.execute(_OPEN).mappings()}


def every_one(connection: Connection) -> dict[str, Circuit]:
    """Give all circuits that there are rows for, by name; the others have always been closed."""
    return {row["name"]: _circuit(row) for row in connection.execute(_ALL).mappings()}


_NEW = upsert(circuits).values(
    name=bindparam("of"),
    state=bindparam("to_state"),
    why=bindparam("reason"),
    message=bindparam("words"),
    actor=bindparam("by", type_=Text),
    until=func.now() + bindparam("for", type_=Interval),
    probe_at=func.now() + bindparam("probe_after", type_=Interval),
)
_SAME = (circuits.c.why == _NEW.excluded.why) & (circuits.c.state != Condition.OK)
_TRIP = (
    _NEW.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "state": _NEW.excluded.state,
            "why": _NEW.excluded.why,
            "message": _NEW.excluded.message,
            "actor": _NEW.excluded.actor,
            "until": _NEW.excluded.until,
            "since": func.now(),
            "probe_at": _NEW.excluded.probe_at,
            "probes": 0,
        },
        # What is open for the same reason stays as it is, and so does what only an operator closes.
        where=or_(circuits.c.state == Condition.OK, ~_SAME & circuits.c.why.not_in(FOR_OPERATORS)),
    )
).returning(*_COLUMNS)


def trip(connection: Connection, what: Trip, *, probe_after_s: float | None) -> bool:
    """Open a circuit; False when it was open already. Without `probe_after_s` it is not probed."""
    changed = connection.execute(
        _TRIP,
        {
            "of": what.name,
            "to_state": what.state,
            "reason": what.why,
            "words": what.message,
            "by": what.actor,
            "for": None if what.until_s is None else timedelta(seconds=what.until_s),
            "probe_after": None if probe_after_s is None else timedelta(seconds=probe_after_s),
        },
    )
    return _tell(connection, changed.mappings().one_or_none())


_CLAIM_PROBE = (
    update(circuits)
    .where(
        circuits.c.name == bindparam("of"),
        circuits.c.state != Condition.OK,
        circuits.c.probe_at <= func.now(),
    )
    .values(probes=circuits.c.probes + 1, probe_at=func.now() + bindparam("next_after", type_=Interval))
)


def claim_probe(connection: Connection, name: str, *, next_after_s: float) -> bool:
    """Take the turn to probe an open circuit; the next one comes after so many seconds."""
    parameters = {"of": name, "next_after": timedelta(seconds=next_after_s)}
    return connection.execute(_CLAIM_PROBE, parameters).rowcount == 1


_GIVE_BACK_PROBE = (
    update(circuits)
    .where(
        circuits.c.name == bindparam("of"),
        circuits.c.why == bindparam("reason"),
        circuits.c.probes == bindparam("taken"),
    )
    .values(probes=circuits.c.probes - 1, probe_at=func.now())
)


def give_back_probe(connection: Connection, probed: Circuit) -> None:
    """Let the next one probe a circuit at once, since nothing was tried; `probed` is how it was found."""
    parameters = {"of": probed.name, "reason": probed.why, "taken": probed.probes + 1}
    connection.execute(_GIVE_BACK_PROBE, parameters)


_CLOSE = (
    update(circuits)
    .where(
        circuits.c.name == bindparam("of"),
        circuits.c.state != Condition.OK,
        circuits.c.why == func.coalesce(bindparam("reason", type_=Text), circuits.c.why),
    )
    .values(state=Condition.OK, why=None, message="", actor=None, since=func.now())
    .values(until=None, probe_at=None, probes=0)
    .returning(*_COLUMNS)
)
_FOR_CIRCUITS = [WaitReason.GATEWAY_ACCOUNT, WaitReason.GATEWAY_DOWN, WaitReason.PAUSED]
_WAITING = (
    (jobs.c.state == State.QUEUED) & jobs.c.wait_reason.in_(_FOR_CIRCUITS) & (jobs.c.run_at > func.now())
)
_WAITING_FOR_RESET = (
    (jobs.c.state == State.QUEUED)
    & (jobs.c.wait_reason == WaitReason.RATE_LIMIT)
    & (jobs.c.run_at > func.now())
)


def _waking(which: ColumnElement[bool], *, order: Sequence[ColumnElement[Any]], limit: int) -> Update:
    """Make jobs due; those that somebody else holds at the moment are left out, so that nobody waits."""
    found = select(jobs.c.id).where(which).order_by(*order).limit(limit)
    locked = found.with_for_update(skip_locked=True, key_share=True)
    return update(jobs).where(jobs.c.id.in_(locked)).values(run_at=func.now())


_AS_DISPATCHED = (jobs.c.priority.desc(), jobs.c.id)
_WAKE = _waking(_WAITING, order=_AS_DISPATCHED, limit=WAKE_LIMIT)
_WAKE_FOR_RESET = _waking(_WAITING_FOR_RESET, order=_AS_DISPATCHED, limit=WAKE_LIMIT)
# In turns, since nobody knows for which of several circuits a job waits.
_WAKE_ONE = _waking(
    _WAITING & jobs.c.wait_reason.in_(bindparam("probed", expanding=True)),
    order=(jobs.c.run_at, jobs.c.id),
    limit=1,
)


def close(connection: Connection, name: str, *, why: Why | None = None) -> bool:
    """Close a circuit and make jobs due that wait for the gateway; False when it was closed already.

    With `why` one that is open for another reason by now stays open, and that is False too. Of more than
    `WAKE_LIMIT` jobs the first are woken, and the others by `wake_forgotten`; those that wait for the reset
    of a spend cap, which only an operator closes earlier, then wait for it. A job that needs another circuit,
    which is open still, finds that out and waits again.
    """
    closed = connection.execute(_CLOSE, {"of": name, "reason": why}).mappings().one_or_none()
    if not _tell(connection, closed):
        return False
    connection.execute(_WAKE)
    connection.execute(_WAKE_FOR_RESET)
    return True


def pause(connection: Connection, reason: str, *, actor: str) -> bool:
    """Let nobody call until somebody resumes; False when an operator had paused already."""
    message = reason[:MAX_REASON]
    what = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.OPERATOR, message=message, actor=actor)
    paused = trip(connection, what, probe_after_s=None)
    if paused:
        details = {"reason": reason}
        auditing.record(connection, actor=actor, action="gateway.pause", subject=GATEWAY, details=details)
    return paused


def resume(connection: Connection, name: str, *, actor: str) -> bool:
    """Close a circuit because somebody says so; False when it was closed already."""
    resumed = close(connection, name)
    if resumed:
        auditing.record(connection, actor=actor, action="gateway.resume", subject=name, details={})
    return resumed


_UNTIL_RESET = (
    select(circuits.c.name)
    .where(circuits.c.name == GATEWAY, circuits.c.state != Condition.OK, circuits.c.until.is_not(None))
    .exists()
)
_COUNT_WAITING = (
    select(func.count())
    .select_from(jobs)
    .where(
        jobs.c.state == State.QUEUED,
        or_(
            jobs.c.wait_reason.in_(_FOR_CIRCUITS),
            (jobs.c.wait_reason == WaitReason.RATE_LIMIT) & (jobs.c.run_at > func.now()) & _UNTIL_RESET,
        ),
    )
)


def count_waiting(connection: Connection) -> int:
    """Count the jobs that wait for the gateway or a model, until the reset of a spend cap too."""
    return connection.scalar(_COUNT_WAITING) or 0


def wake_for_probe(connection: Connection, probed: Iterable[Circuit]) -> bool:
    """Make one job due that waits for what one of these circuits guards, the one that waits longest.

    False when none waits.
    """
    reasons = {reason for circuit in probed if (reason := waits_for(circuit)) is not None}
    return connection.execute(_WAKE_ONE, {"probed": sorted(reasons)}).rowcount == 1


# Short waits are a single failure's; the long ones are for an open circuit, and its end wakes them.
_FORGOTTEN = _waking(
    _WAITING
    & (jobs.c.run_at > func.now() + timedelta(seconds=LONGEST_BACKOFF_S))
    & jobs.c.wait_reason.not_in(bindparam("accounted_for", expanding=True)),
    order=_AS_DISPATCHED,
    limit=WAKE_LIMIT,
)


def wake_forgotten(connection: Connection, open_ones: Iterable[Circuit]) -> None:
    """Make jobs due that wait for what none of the open circuits guards.

    Its circuit closed while they went to wait, or they were too many to be woken at once.
    """
    reasons = {reason for circuit in open_ones if (reason := waits_for(circuit)) is not None}
    connection.execute(_FORGOTTEN, {"accounted_for": sorted(reasons)})


_OVER = select(circuits.c.name).where(circuits.c.state != Condition.OK, circuits.c.until <= func.now())


def close_those_over(connection: Connection) -> list[str]:
    """Close the circuits whose time is over, as the gateway had named it."""
    names: Sequence[str] = connection.scalars(_OVER).all()
    return [name for name in names if close(connection, name)]


_NOTE_QUOTA = upsert(circuits).values(name=GATEWAY, quota=bindparam("said"), quota_at=func.now(), message="")
_NOTE_QUOTA = _NOTE_QUOTA.on_conflict_do_update(
    index_elements=["name"], set_={"quota": _NOTE_QUOTA.excluded.quota, "quota_at": func.now()}
)
_QUOTA = select(circuits.c.quota, circuits.c.quota_at).where(
    circuits.c.name == GATEWAY, circuits.c.quota.is_not(None)
)


def note_quota(connection: Connection, said: Mapping[str, Any]) -> None:
    """Keep what the gateway's headers said last."""
    connection.execute(_NOTE_QUOTA, {"said": dict(said)})


def quota(connection: Connection) -> Quota | None:
    """Give what the gateway's headers said last, or None."""
    row = connection.execute(_QUOTA).one_or_none()
    return None if row is None else Quota(said=row.quota, at=row.quota_at)


def _tell(connection: Connection, changed: RowMapping | None) -> bool:
    """Tell webhooks of what has changed, in the transaction that changed it; False when nothing has."""
    if changed is None:
        return False
    if changed["name"] == GATEWAY:
        outbox.tell_of_gateway(connection, _circuit(changed))
    return True


def _circuit(row: RowMapping) -> Circuit:
    why = row["why"]
    return Circuit(**{**row, "state": Condition(row["state"]), "why": None if why is None else Why(why)})
