"""What calls cost, by day, model, kind and project: one query, so that every sum of it is the same."""

import uuid
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, Connection, Date, DateTime, Text, bindparam, case, cast, func, select

from patchmill.budget.windows import WindowKind, bounds
from patchmill.store.ids import first_id
from patchmill.store.tables import calls, jobs

_CLOCKS_DIFFER_BY = timedelta(hours=1)  # at most: between the one that made a call's id, and the database's


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """The calls that were sent on one day, to one model, for jobs of one kind and project.

    `uncertain_picos` is what may have been spent by calls whose end nobody knows.
    """

    day: date
    model: str
    kind: str
    project_id: uuid.UUID
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    uncertain_picos: int


_DAY = cast(func.timezone(bindparam("time_zone", type_=Text), calls.c.sent_at), Date).label("day")
_UNCERTAIN = case((calls.c.state == "uncertain", calls.c.hold_picos), else_=0)
_SUMS = {
    "input_tokens": calls.c.input_tokens,
    "cached_tokens": calls.c.cached_tokens,
    "output_tokens": calls.c.output_tokens,
    "cost_picos": calls.c.cost_picos,
    "uncertain_picos": _UNCERTAIN,
}
_BY = (_DAY, calls.c.model, jobs.c.kind, jobs.c.project_id)
_SPEND = (
    select(
        *_BY,
        func.count().label("calls"),
        *(cast(func.sum(column), BigInteger).label(name) for name, column in _SUMS.items()),
    )
    .join(jobs, jobs.c.id == calls.c.job_id)
    # Ids begin with their time, so the primary key finds the calls of a period.
    .where(
        calls.c.id >= bindparam("first"), calls.c.sent_at >= bindparam("since", type_=DateTime(timezone=True))
    )
    .group_by("day", *_BY[1:])
    .order_by("day", *_BY[1:])
)
_OF_PROJECT = _SPEND.where(jobs.c.project_id == bindparam("project_id"))


def spent_today(
    connection: Connection, now: datetime, *, project_id: uuid.UUID | None, time_zone: str = "UTC"
) -> int:
    """Give what the day so far has cost, as far as it is known, in pico-dollars: a sum of `spend`."""
    since = bounds(WindowKind.DAY, time_zone, now).starts_at
    rows = spend(connection, since=since, time_zone=time_zone, project_id=project_id)
    return sum(row.cost_picos for row in rows)


def spend(
    connection: Connection, *, since: datetime, time_zone: str, project_id: uuid.UUID | None
) -> list[SpendRow]:
    """Give what was spent since an instant, days by the calendar of the time zone; None: by all projects."""
    period = {"time_zone": time_zone, "first": first_id(since - _CLOCKS_DIFFER_BY), "since": since}
    if project_id is None:
        rows = connection.execute(_SPEND, period)
    else:
        rows = connection.execute(_OF_PROJECT, period | {"project_id": project_id})
    names = [field.name for field in fields(SpendRow)]
    return [SpendRow(**{name: row[name] for name in names}) for row in rows.mappings()]
