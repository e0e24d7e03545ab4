"""What is told of jobs and runs: their history, and the news since a reader last looked.

Ids of events are given before their transactions commit, so they become visible out of order: a reader that
remembered only the highest id would miss some. Within one job, and for a run's own events, ids and `seq`
grow together, since each writer holds the row of its job or run. Across jobs there is a point up to which
nothing can appear any more, and `news` gives what it takes to move it on:

- A writer has changed a row before it takes its event's id, so it has a transaction id by then. `fence` is a
  transaction id taken after a look: whoever holds an id below the highest one seen is older than the fence.
- `oldest` is the oldest transaction that a later look finds open. Once it is beyond the fence, everybody
  older has ended, and that look has seen what they wrote.

(The upper end of the earlier look's snapshot would not do as a fence: it lies after the newest transaction
that has *ended*, and one that is still open may be newer.)
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    RowMapping,
    Text,
    bindparam,
    cast,
    func,
    literal,
    select,
    true,
)

from patchmill.store.tables import events, jobs, runs

LOOK_BACK_S = 30  # far more than a transaction may take, whose events a new reader must not miss

ENDS = {
    "job.state": frozenset({"succeeded", "failed", "cancelled"}),
    "run.state": frozenset({"finished", "cancelled"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event: of a job (`job_id`, and its run's if it is in one), or of a run alone."""

    id: int
    project_id: uuid.UUID
    job_id: uuid.UUID | None
    run_id: uuid.UUID | None
    seq: int
    type: str
    data: Mapping[str, Any]
    at: datetime

    def ended(self) -> uuid.UUID | None:
        """Give the job or run that this event ends, or None."""
        if self.data.get("to") not in ENDS.get(self.type, ()):
            return None
        return self.job_id if self.type == "job.state" else self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a new reader begins: it has seen the events `seen`, and nothing can appear up to `settled`."""

    settled: int
    seen: frozenset[int]
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One look: the events after the point that was given, by id, and the oldest open transaction.

    `fence` is None when no event is newer than all that were seen before.
    """

    rows: list[EventRow]
    oldest: int
    fence: int | None


_NAMES = [field.name for field in fields(EventRow)]
_COLUMNS = [events.c[name] for name in _NAMES]
_AFTER = events.c.id > bindparam("after", type_=BigInteger)
_UP_TO = events.c.id <= bindparam("up_to", type_=BigInteger)
_LIMIT = bindparam("limit", type_=BigInteger)
_ANY_ID = 2**63 - 1

_OF_JOB = (
    select(*_COLUMNS)
    .where(events.c.job_id == bindparam("job_id"), _AFTER)
    .order_by(events.c.id)
    .limit(_LIMIT)
)
_OF_RUN = (
    select(*_COLUMNS).where(events.c.run_id == bindparam("run_id"), _AFTER, _UP_TO).order_by(events.c.id)
)
_LAST = select(*_COLUMNS).limit(1)
_STATE_OF_JOB = _LAST.where(events.c.job_id == bindparam("job_id"), events.c.type == "job.state").order_by(
    events.c.seq.desc()
)
_STATE_OF_RUN = _LAST.where(events.c.run_id == bindparam("run_id"), events.c.type == "run.state").order_by(
    events.c.id.desc()
)


def of_job(
    connection: Connection, job_id: uuid.UUID, *, after: int = 0, limit: int | None = None
) -> list[EventRow]:
    """Give a job's events with a higher id than `after`, in order; at most `limit`."""
    rows = connection.execute(_OF_JOB, {"job_id": job_id, "after": after, "limit": limit}).mappings()
    return [_event(row) for row in rows]


def of_run(
    connection: Connection,
    run_id: uuid.UUID,
    *,
    after: int = 0,
    up_to: int | None = None,
    limit: int | None = None,
) -> list[EventRow]:
    """Give a run's events and those of its jobs by id, after one id and up to another; at most `limit`."""
    up_to = _ANY_ID if up_to is None else up_to
    asked = {"run_id": run_id, "after": after, "up_to": up_to, "limit": limit}
    return [_event(row) for row in connection.execute(_OF_RUN, asked).mappings()]


def last_state(
    connection: Connection, *, job: uuid.UUID | None = None, run: uuid.UUID | None = None
) -> EventRow | None:
    """Give the latest event that says which state a job or a run has come to."""
    if job is not None:
        found = connection.execute(_STATE_OF_JOB, {"job_id": job})
    else:
        found = connection.execute(_STATE_OF_RUN, {"run_id": run})
    row = found.mappings().one_or_none()
    return None if row is None else _event(row)


_JOB_IN = select(literal(1)).where(jobs.c.id == bindparam("id"), jobs.c.project_id == bindparam("project_id"))
_RUN_IN = select(literal(1)).where(runs.c.id == bindparam("id"), runs.c.project_id == bindparam("project_id"))


def belongs(
    connection: Connection,
    project_id: uuid.UUID,
    *,
    job: uuid.UUID | None = None,
    run: uuid.UUID | None = None,
) -> bool:
    """Say whether a project has this job or this run."""
    asked = {"id": run if job is None else job, "project_id": project_id}
    return connection.scalar(_RUN_IN if job is None else _JOB_IN, asked) is not None


_NEWEST = select(func.max(events.c.id))


def newest(connection: Connection) -> int:
    """Give the highest id of all events that are visible; 0 without any."""
    return connection.scalar(_NEWEST) or 0


_OLDEST_OPEN = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger).label("oldest")
_FENCE = select(cast(cast(func.pg_current_xact_id(), Text), BigInteger))
_NEXT = (
    select(*_COLUMNS)
    .where(_AFTER)
    .order_by(events.c.id)
    .limit(bindparam("limit", type_=BigInteger))
    .subquery("next")
)
_NEWS = (
    select(_OLDEST_OPEN, *_NEXT.c)
    .select_from(select(literal(1)).subquery("always").outerjoin(_NEXT, true()))
    .order_by(_NEXT.c.id)
)
_LONG_SETTLED = (
    select(events.c.id)
    .where(events.c.at <= func.now() - timedelta(seconds=LOOK_BACK_S))
    .order_by(events.c.at.desc())
    .limit(1)
)
_IDS = select(events.c.id).where(_AFTER)


def start(connection: Connection) -> Start:
    """Look for the first time: what is visible now is history, what appears later is news."""
    settled = connection.scalar(_LONG_SETTLED) or 0
    seen = frozenset(connection.scalars(_IDS, {"after": settled}))
    return Start(settled=settled, seen=seen, fence=connection.scalars(_FENCE).one())


def news(connection: Connection, *, settled: int, highest: int, limit: int) -> News:
    """Look again: at most `limit` events after the point up to which all is known.

    `highest` is the highest id that was seen before.
    """
    found = connection.execute(_NEWS, {"after": settled, "limit": limit}).mappings().all()
    rows = [_event(row) for row in found if row["id"] is not None]
    grown = bool(rows) and rows[-1].id > highest
    fence = connection.scalars(_FENCE).one() if grown else None
    return News(rows=rows, oldest=found[0]["oldest"], fence=fence)


def _event(row: RowMapping) -> EventRow:
    return EventRow(**{name: row[name] for name in _NAMES})
