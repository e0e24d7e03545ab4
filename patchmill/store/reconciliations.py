"""Each hour and model of the last days: what the gateway billed, what we settled, and why they differ."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Interval,
    RowMapping,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.ledger import Amount
from patchmill.budget.prices import Rates
from patchmill.budget.reconciliation import HOUR, NO_USE, OwnUse, Use, Verdict, judge
from patchmill.job.circuit import GATEWAY
from patchmill.store.engine import allow_long
from patchmill.store.ids import first_id
from patchmill.store.tables import audit, calls, reconciliations

LOOKS_BACK = timedelta(hours=48)
KEPT = timedelta(days=90)  # as long as the gateway tells what it billed
NEAR = timedelta(seconds=15)  # how far clocks, and what a call's time is, may differ
_AROUND = timedelta(hours=2)  # longer than a call may take, and clocks may differ
SETTLES_WITHIN = timedelta(hours=3)  # of its end: no call of an hour is open any more
_TRIAL = timedelta(minutes=5)  # a trial is written down once it has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One hour and model as it was last compared."""

    hour: datetime
    model: str
    billed: Use
    billed_since: datetime
    settled: Use
    uncertain_calls: int
    uncertain: Amount
    near_calls: int
    verdict: Verdict
    looked_at: datetime
    drifted_at: datetime | None
    drift_ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison with what it was made from, and what it was the last time.

    `on_the_wire` counts the calls of the hour, to whichever model, that have not ended.
    """

    now: Comparison
    before: Verdict | None
    ours: OwnUse
    on_the_wire: int


_FROM, _TO = (
    bindparam("hour", type_=DateTime(timezone=True)),
    bindparam("ends", type_=DateTime(timezone=True)),
)
_OPEN = calls.c.state.in_(["sent", "uncertain"])
# Late evidence ends a call long after it has left the wire.
_LEFT = case((_OPEN, calls.c.deadline_at), else_=func.least(calls.c.ended_at, calls.c.deadline_at))
_BEGINS, _ENDS = calls.c.sent_at - cast(NEAR, Interval), _LEFT + cast(NEAR, Interval)
_SENT_IN_IT = (calls.c.sent_at >= _FROM) & (calls.c.sent_at < _TO)
_INSIDE = (_BEGINS >= _FROM) & (_ENDS < _TO)
_NEAR = ~_INSIDE & (_BEGINS < _TO) & (_ENDS >= _FROM)
_SETTLED, _UNCERTAIN = calls.c.state == "settled", calls.c.state == "uncertain"
_OF_USE = {
    "input_tokens": calls.c.input_tokens,
    "output_tokens": calls.c.output_tokens,
    "picos": calls.c.cost_picos,
}
_OF_HOLD = {"tokens": calls.c.hold_tokens, "picos": calls.c.hold_picos}


def _sums(name: str, which: ColumnElement[bool], of: Mapping[str, Any]) -> list[ColumnElement[Any]]:
    made: list[ColumnElement[Any]] = [func.count().filter(which).label(f"{name}_calls")]
    for part, column in of.items():
        total = func.coalesce(func.sum(column).filter(which), 0)
        made.append(cast(total, BigInteger).label(f"{name}_{part}"))
    return made


_OWN_USE = (
    select(
        calls.c.model,
        *_sums("settled", _SETTLED & _SENT_IN_IT, _OF_USE),
        *_sums("inside", _SETTLED & _INSIDE, _OF_USE),
        *_sums("near", _SETTLED & _NEAR, _OF_USE),
        *_sums("uncertain", _UNCERTAIN & _SENT_IN_IT, _OF_HOLD),
        *_sums("doubtful", _UNCERTAIN & (_INSIDE | _NEAR), _OF_HOLD),
        func.count().filter(_UNCERTAIN & _NEAR).label("uncertain_near"),
        func.count().filter((calls.c.state == "sent") & (_BEGINS < _TO)).label("on_the_wire"),
    )
    .where(calls.c.id >= bindparam("first"), calls.c.id < bindparam("last"), calls.c.state != "void")
    .where(_BEGINS < _TO, (_ENDS >= _FROM) | (calls.c.state == "sent"))
    .group_by(calls.c.model)
)


def own_use(connection: Connection, hour: datetime) -> dict[str, OwnUse]:
    """Sum up what the ledger says of an hour, by model."""
    return {row["model"]: _own_use(row) for row in connection.execute(_OWN_USE, _span(hour)).mappings()}


def _span(hour: datetime) -> dict[str, Any]:
    return {
        "hour": hour,
        "ends": hour + HOUR,
        "first": first_id(hour - _AROUND),
        "last": first_id(hour + HOUR + _AROUND),
    }


def _own_use(row: RowMapping) -> OwnUse:
    return OwnUse(
        settled=_use(row, "settled"),
        inside=_use(row, "inside"),
        near=_use(row, "near"),
        uncertain_calls=row["uncertain_calls"],
        uncertain=Amount(tokens=row["uncertain_tokens"], picos=row["uncertain_picos"]),
        doubtful_calls=row["doubtful_calls"],
        doubt=Amount(tokens=row["doubtful_tokens"], picos=row["doubtful_picos"]),
        uncertain_near=row["uncertain_near"],
        on_the_wire=row["on_the_wire"],
    )


def _use(row: RowMapping, name: str) -> Use:
    return Use(**{part.name: row[f"{name}_{part.name}"] for part in fields(Use)})


_TRIED = select(
    exists().where(
        audit.c.subject == GATEWAY,
        audit.c.action == "gateway.trial",
        audit.c.at >= bindparam("hour"),
        audit.c.at < bindparam("ends"),
    )
)
_OF_HOUR = select(reconciliations).where(reconciliations.c.hour == bindparam("of_hour"))


def tried(connection: Connection, hour: datetime) -> bool:
    """Whether a trial of the gateway may have called in an hour; its calls are in no ledger."""
    return bool(connection.scalar(_TRIED, {"hour": hour, "ends": hour + HOUR + _TRIAL}))


def compare(
    connection: Connection, hour: datetime, theirs: Mapping[str, Use], *, alone: bool, now: datetime
) -> list[Compared]:
    """Compare an hour, model by model, and store how it stands; a drift that has gone is closed.

    Where nothing can have changed on either side since, nothing is read anew, and nothing is given.
    """
    allow_long(connection)
    known = {row["model"]: row for row in connection.execute(_OF_HOUR, {"of_hour": hour}).mappings()}
    if hour + HOUR + SETTLES_WITHIN < now and _is_settled(known, theirs):
        return []
    ours = own_use(connection, hour)
    on_the_wire = sum(use.on_the_wire for use in ours.values())
    had_trial = tried(connection, hour)
    compared = []
    for model in sorted({*theirs, *known, *(name for name, use in ours.items() if _counts(use))}):
        billed, own = theirs.get(model, NO_USE), ours.get(model, OwnUse())
        verdict = judge(billed, own, alone=alone, tried=had_trial)
        before = known.get(model)
        made = _comparison((hour, model), billed, own, verdict, before=before, now=now)
        _store(connection, made)
        last = None if before is None else Verdict(before["verdict"])
        compared.append(Compared(now=made, before=last, ours=own, on_the_wire=on_the_wire))
    return compared


def _is_settled(known: Mapping[str, RowMapping], theirs: Mapping[str, Use]) -> bool:
    """Whether an hour was found to agree without any uncertain call, and the gateway says the same still."""
    agreed = all(
        row["verdict"] in {Verdict.EQUAL, Verdict.BORDER} and not row["uncertain_calls"]
        for row in known.values()
    )
    told = {model: _use(row, "billed") for model, row in known.items()}
    models = known.keys() | theirs.keys()
    return (
        bool(known)
        and agreed
        and all(told.get(model, NO_USE) == theirs.get(model, NO_USE) for model in models)
    )


def _counts(use: OwnUse) -> bool:
    """Whether an hour is worth a row: what only neighbours it is told with its own hour."""
    return bool(use.settled.calls or use.uncertain_calls)


def _comparison(
    of: tuple[datetime, str],
    billed: Use,
    own: OwnUse,
    verdict: Verdict,
    *,
    before: RowMapping | None,
    now: datetime,
) -> Comparison:
    drifts = verdict is Verdict.DRIFT
    drifted = before is not None and before["verdict"] == Verdict.DRIFT
    told = before is not None and _use(before, "billed") == billed
    return Comparison(
        hour=of[0],
        model=of[1],
        billed=billed,
        billed_since=before["billed_since"] if before is not None and told else now,
        settled=own.settled,
        uncertain_calls=own.uncertain_calls,
        uncertain=own.uncertain,
        near_calls=own.near.calls + own.uncertain_near,
        verdict=verdict,
        looked_at=now,
        drifted_at=now if drifts and not drifted else None if before is None else before["drifted_at"],
        drift_ended_at=_ended(drifts=drifts, drifted=drifted, before=before, now=now),
    )


def _ended(*, drifts: bool, drifted: bool, before: RowMapping | None, now: datetime) -> datetime | None:
    if drifts or before is None:
        return None
    return now if drifted else before["drift_ended_at"]


_KEY = ["hour", "model"]
_NEW = upsert(reconciliations)
_ADD = _NEW.on_conflict_do_update(
    index_elements=_KEY,
    set_={each.name: _NEW.excluded[each.name] for each in reconciliations.c if each.name not in _KEY},
)


def _store(connection: Connection, made: Comparison) -> None:
    values: dict[str, Any] = {
        "hour": made.hour,
        "model": made.model,
        "billed_since": made.billed_since,
        "uncertain_calls": made.uncertain_calls,
        "uncertain_tokens": made.uncertain.tokens,
        "uncertain_picos": made.uncertain.picos,
        "near_calls": made.near_calls,
        "verdict": made.verdict,
        "looked_at": made.looked_at,
        "drifted_at": made.drifted_at,
        "drift_ended_at": made.drift_ended_at,
    }
    for name, use in (("billed", made.billed), ("settled", made.settled)):
        values |= {f"{name}_{part.name}": getattr(use, part.name) for part in fields(Use)}
    connection.execute(_ADD, values)


_FORGET = delete(reconciliations).where(reconciliations.c.hour < bindparam("before"))


def forget_old(connection: Connection, now: datetime) -> None:
    """Delete what the gateway itself does not tell any more."""
    connection.execute(_FORGET, {"before": now - KEPT})


_LATEST = (
    select(reconciliations)
    .where(reconciliations.c.hour >= bindparam("since"))
    .order_by(reconciliations.c.hour.desc(), reconciliations.c.model)
    .limit(bindparam("most"))
)
_DRIFTING = (
    select(reconciliations)
    .where(reconciliations.c.verdict == Verdict.DRIFT, reconciliations.c.hour >= bindparam("since"))
    .order_by(reconciliations.c.hour.desc(), reconciliations.c.model)
    .limit(bindparam("most"))
)
_SPENT = select(cast(func.coalesce(func.sum(reconciliations.c.billed_picos), 0), BigInteger)).where(
    reconciliations.c.hour >= bindparam("since")
)


def latest(connection: Connection, *, since: datetime, most: int) -> list[Comparison]:
    """Give the hours since a time, the last one first."""
    rows = connection.execute(_LATEST, {"since": since, "most": most}).mappings()
    return [_read(row) for row in rows]


def drifting(connection: Connection, *, since: datetime, most: int) -> list[Comparison]:
    """Give the hours since a time whose difference nothing explains, the last one first."""
    rows = connection.execute(_DRIFTING, {"since": since, "most": most}).mappings()
    return [_read(row) for row in rows]


_DRIFT_BY_MODEL = (
    select(reconciliations.c.model, func.count().label("hours"))
    .where(reconciliations.c.verdict == Verdict.DRIFT, reconciliations.c.hour >= bindparam("since"))
    .group_by(reconciliations.c.model)
)


def drift_by_model(connection: Connection, *, since: datetime) -> Sequence[tuple[tuple[str], int]]:
    """Count the hours since a time whose difference nothing explains."""
    return [((row.model,), row.hours) for row in connection.execute(_DRIFT_BY_MODEL, {"since": since})]


_FILLED = select(func.max(reconciliations.c.hour)).where(
    reconciliations.c.verdict == Verdict.EQUAL, reconciliations.c.billed_calls > 0
)


def filled_until(connection: Connection) -> datetime | None:
    """Give the last hour of which the gateway has told calls, just those that we know of."""
    filled: datetime | None = connection.scalar(_FILLED)
    return filled


def billed_since(connection: Connection, since: datetime) -> int:
    """Sum up what the gateway billed from an hour on, in pico-dollars, of all that was compared."""
    return connection.scalar(_SPENT, {"since": since}) or 0


_UNCERTAIN_IN_HOUR = (
    select(calls.c.id, calls.c.input_picos, calls.c.cached_picos, calls.c.output_picos)
    .where(
        calls.c.id >= bindparam("first"),
        calls.c.id < bindparam("last"),
        calls.c.model == bindparam("of_model"),
        _UNCERTAIN,
        _SENT_IN_IT,
    )
    .order_by(calls.c.id)
)


def uncertain_in(connection: Connection, hour: datetime, model: str) -> Sequence[tuple[uuid.UUID, Rates]]:
    """Give the uncertain calls that were sent in an hour, each with the rates of its hold."""
    rows = connection.execute(_UNCERTAIN_IN_HOUR, {**_span(hour), "of_model": model}).mappings()
    return [(row["id"], Rates(**{part.name: row[part.name] for part in fields(Rates)})) for row in rows]


def _read(row: RowMapping) -> Comparison:
    return Comparison(
        hour=row["hour"],
        model=row["model"],
        billed=_use(row, "billed"),
        billed_since=row["billed_since"],
        settled=_use(row, "settled"),
        uncertain_calls=row["uncertain_calls"],
        uncertain=Amount(tokens=row["uncertain_tokens"], picos=row["uncertain_picos"]),
        near_calls=row["near_calls"],
        verdict=Verdict(row["verdict"]),
        looked_at=row["looked_at"],
        drifted_at=row["drifted_at"],
        drift_ended_at=row["drift_ended_at"],
    )
