"""Many jobs at once: how many a filter names, and retrying or cancelling them in short transactions.

A batch locks its jobs in the order of their ids, as whoever else locks several does; each job moves as it
would alone, with its event, its run and its webhooks.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from patchmill.job.record import Outcome
from patchmill.job.state import TERMINAL, State
from patchmill.store import auditing, jobs, retries
from patchmill.store.ids import to_edge
from patchmill.store.jobs import JobFilter
from patchmill.store.tables import jobs as table

MOST = 10_000  # jobs of one request
BATCH = 200  # of one transaction, which may last five seconds


class Act(StrEnum):
    """What is done to many jobs."""

    RETRY = "retry"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """Jobs of one state, and of one outcome or error where they have one."""

    state: State
    outcome: str | None
    error: str | None
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What shall be done to which jobs of a project; what came to be so after `as_of` is none of them.

    So whoever has seen a count acts on these jobs, and not on one that was retried and failed again.
    """

    act: Act
    project_id: uuid.UUID
    chosen: JobFilter
    as_of: datetime

    def conditions(self) -> list[ColumnElement[bool]]:
        """Say which jobs these are: of those that are chosen the ones that there is something to do for."""
        common = [table.c.project_id == self.project_id, *jobs.conditions(self.chosen)]
        if self.act is Act.CANCEL:
            open_ones = [State.QUEUED, State.DISPATCHED, State.RUNNING]
            return [
                *common,
                table.c.state.in_(open_ones),
                ~table.c.cancel_requested,
                table.c.created_at <= self.as_of,
            ]
        return [
            *common,
            table.c.state.in_(sorted(TERMINAL)),
            table.c.outcome.is_distinct_from(Outcome.VERIFIED),
            table.c.erased_at.is_(None),
            table.c.finished_at <= self.as_of,
        ]


def now(connection: Connection) -> datetime:
    """Give the time by which jobs are dated."""
    at: datetime = connection.scalars(select(func.now())).one()
    return at


def count(connection: Connection, task: Task) -> list[Sort]:
    """Count the jobs that something would be done to, the most frequent sort first."""
    error = table.c.error["code"].astext
    rows = connection.execute(
        select(table.c.state, table.c.outcome, error.label("error"), func.count().label("number"))
        .where(*task.conditions())
        .group_by(table.c.state, table.c.outcome, error)
        .order_by(func.count().desc(), table.c.state, table.c.outcome, error)
    )
    return [
        Sort(state=State(row.state), outcome=row.outcome, error=row.error, jobs=row.number) for row in rows
    ]


def act_on_next(
    connection: Connection, task: Task, *, after: uuid.UUID | None, limit: int
) -> Sequence[uuid.UUID]:
    """Do it to the next jobs by id after one, at most so many; give these."""
    found = select(table.c.id, table.c.state).where(*task.conditions()).order_by(table.c.id).limit(limit)
    if after is not None:
        found = found.where(table.c.id > after)
    rows = connection.execute(found.with_for_update(key_share=True)).all()
    locked = {row.id: State(row.state) for row in rows}
    if locked and task.act is Act.RETRY:
        retries.begin_again(connection, locked)
    elif locked:
        jobs.stop(connection, locked)
    return list(locked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doer:
    """Who does it, and how the filter reads as they gave it: for the audit."""

    actor: str
    filter: Mapping[str, Any]


def note(connection: Connection, task: Task, doer: Doer, *, done: int, before: int | None) -> int:
    """Write in the audit of how many it was done so far: one entry, `before` after the first batch."""
    details = {"filter": dict(doer.filter), "jobs": done}
    if before is not None:
        auditing.amend(connection, before, details)
        return before
    return auditing.record(
        connection,
        actor=doer.actor,
        action=f"jobs.{task.act}",
        subject=to_edge("prj", task.project_id),
        details=details,
    )
