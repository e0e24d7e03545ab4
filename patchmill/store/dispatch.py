"""From queued to dispatched: the window, the choice, and taking back what was never claimed."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from patchmill.job.record import ErrorCode
from patchmill.job.state import State
from patchmill.store.tables import jobs
from patchmill.store.transitions import move_all

DISPATCH_LOCK = 0x6D696C6C  # one dispatcher decides at a time; a second one finds nothing to do


def dispatch_due(connection: Connection, *, window: int, limit: int) -> list[tuple[uuid.UUID, int, str]]:
    """Mark due jobs dispatched as far as the window has room: (id, dispatch number, queue) of each.

    The window counts what is dispatched or running, so that Redis never holds a queue that could outvote
    the order decided here: interactive before bulk, then first come, first served.
    """
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(DISPATCH_LOCK))):
        return []
    busy = connection.scalar(
        select(func.count()).select_from(jobs).where(jobs.c.state.in_([State.DISPATCHED, State.RUNNING]))
    )
    room = min(limit, window - (busy or 0))
    if room <= 0:
        return []
    due = list(
        connection.scalars(
            select(jobs.c.id)
            .where(jobs.c.state == State.QUEUED, jobs.c.run_at <= func.now())
            .order_by(jobs.c.priority.desc(), jobs.c.id)
            .limit(room)
            .with_for_update(skip_locked=True, key_share=True)
        )
    )
    if not due:
        return []
    values = {
        "dispatch_no": jobs.c.dispatch_no + 1,
        "dispatched_at": func.now(),
        "wait_reason": None,
    }
    moved = move_all(connection, due, source=State.QUEUED, target=State.DISPATCHED, values=values)
    rows = connection.execute(
        select(jobs.c.id, jobs.c.dispatch_no, jobs.c.priority).where(jobs.c.id.in_(moved)).order_by(jobs.c.id)
    )
    return [(row.id, row.dispatch_no, row.priority) for row in rows]


def take_back(connection: Connection, job_ids: Sequence[uuid.UUID]) -> int:
    """Queue dispatched jobs again whose message was not sent or is not wanted any more."""
    values = {"run_at": func.now()}
    return len(move_all(connection, job_ids, source=State.DISPATCHED, target=State.QUEUED, values=values))


def take_back_stale(connection: Connection, *, older_than_s: float, limit: int) -> int:
    """Queue jobs again that were dispatched long ago and never claimed: their message is lost."""
    before = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, older_than_s)
    stale = connection.scalars(
        select(jobs.c.id)
        .where(jobs.c.state == State.DISPATCHED, jobs.c.dispatched_at < before)
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return take_back(connection, list(stale))


def fail_overdue(connection: Connection, *, limit: int) -> int:
    """End queued jobs whose deadline has passed while they waited."""
    overdue = connection.scalars(
        select(jobs.c.id)
        .where(jobs.c.state == State.QUEUED, jobs.c.deadline_at <= func.now())
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    values = {
        "finished_at": func.now(),
        "error": {
            "code": ErrorCode.DEADLINE_EXCEEDED,
            "message": "the job's deadline passed while it waited",
            "retryable": True,
            "details": {},
        },
    }
    return len(move_all(connection, list(overdue), source=State.QUEUED, target=State.FAILED, values=values))
