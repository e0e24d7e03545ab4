"""What is told of jobs and runs: their history, and the news since a reader last looked.

Ids of events are given before their transactions commit, so they become visible out of order, and a reader
that remembered only the highest id would miss some. Two questions are answered instead, both exactly and
however long a transaction lasts:

- What is news? Each event says which transaction wrote it, and a snapshot says which transactions had ended
  when it was taken (`Snapshot`). What lies between two snapshots is news to whoever knew all of the first.
  Within one job, and for a run's own events, ids, `seq` and news grow together, since each writer holds the
  row of its job or run.
- Up to which id can nothing appear any more? Whoever holds an id has locked the table for writing since
  before it took it, and goes on until it has ended. So once none of those is left that wrote when an id was
  already visible, everything below that id is visible too (`Moment`). Transactions that write no event have
  no part in this.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    RowMapping,
    Text,
    all_,
    any_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    text,
)

from patchmill.store.tables import events, jobs, runs

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had ended: those before `next_id`, without the ones that were `still_open`."""

    next_id: int
    still_open: tuple[int, ...]

    @classmethod
    def read(cls, text_: str) -> Self:
        """Read it as Postgres writes it: `xmin:xmax:xip_list`."""
        _, next_id, still_open = text_.split(":")
        return cls(int(next_id), tuple(map(int, filter(None, still_open.split(",")))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A snapshot, and who was writing events right before and right after it was taken."""

    before: frozenset[str]
    snapshot: Snapshot
    after: frozenset[str]


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


_JOB_IN, _RUN_IN = (
    select(literal(1)).where(
        table.c.id == bindparam("id"),
        table.c.project_id == bindparam("project_id"),
        table.c.pruned_at.is_(None),
    )
    for table in (jobs, runs)
)


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


_SNAPSHOT = select(cast(func.pg_current_snapshot(), Text))
_WRITING = text(
    """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = 'events'::regclass
    """
)
_BETWEEN = (
    select(*_COLUMNS)
    .where(
        or_(
            events.c.xact_id >= bindparam("known_next", type_=BigInteger),
            events.c.xact_id == any_(bindparam("known_open", type_=ARRAY(BigInteger))),
        ),
        events.c.xact_id < bindparam("next", type_=BigInteger),
        events.c.xact_id != all_(bindparam("open", type_=ARRAY(BigInteger))),
    )
    .cte("between")
    # Else the planner, which cannot know how few these are, might walk through all events by id.
    .prefix_with("MATERIALIZED")
)


def snapshot(connection: Connection) -> Snapshot:
    """Look at which transactions have ended."""
    return Snapshot.read(connection.scalars(_SNAPSHOT).one())


def writing(connection: Connection) -> frozenset[str]:
    """Look at who is writing events."""
    return frozenset(connection.scalars(_WRITING))


def moment(connection: Connection) -> Moment:
    """Look at who writes events, who has ended, and who writes then: three looks, in this order."""
    before = writing(connection)
    return Moment(before=before, snapshot=snapshot(connection), after=writing(connection))


_PAGE = (
    select(_BETWEEN)
    .where(_BETWEEN.c.id > bindparam("after", type_=BigInteger))
    .order_by(_BETWEEN.c.id)
    .limit(_LIMIT)
)


def between(
    connection: Connection, known: Snapshot, now: Snapshot, *, after: int, limit: int
) -> list[EventRow]:
    """Give what was written by transactions that had ended `now` and not when all was `known`.

    By id, those with a higher one than `after`, at most `limit`. `now` is not from the future.
    """
    asked = {
        "known_next": known.next_id,
        "known_open": list(known.still_open),
        "next": now.next_id,
        "open": list(now.still_open),
        "after": after,
        "limit": limit,
    }
    return [_event(row) for row in connection.execute(_PAGE, asked).mappings()]


def _event(row: RowMapping) -> EventRow:
    return EventRow(**{name: row[name] for name in _NAMES})
