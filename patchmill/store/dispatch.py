"""From queued to dispatched: the window, the choice, and taking back what was never claimed."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, Interval, bindparam, func, select

from patchmill.job.record import ErrorCode
from patchmill.job.state import State
from patchmill.store.tables import jobs
from patchmill.store.transitions import Move

DISPATCH_LOCK = 0x6D696C6C  # one dispatcher decides at a time; a second one finds nothing to do


_BECOME_THE_DISPATCHER = select(func.pg_try_advisory_xact_lock(DISPATCH_LOCK))
_COUNT_BUSY = (
    select(func.count()).select_from(jobs).where(jobs.c.state.in_([State.DISPATCHED, State.RUNNING]))
)
_LOCK_DUE = (
    select(jobs.c.id)
    .where(jobs.c.state == State.QUEUED, jobs.c.run_at <= func.now())
    .order_by(jobs.c.priority.desc(), jobs.c.id)
    .limit(bindparam("room"))
    .with_for_update(skip_locked=True, key_share=True)
)
_DISPATCH = Move(
    State.QUEUED,
    State.DISPATCHED,
    {"dispatch_no": jobs.c.dispatch_no + 1, "dispatched_at": func.now(), "wait_reason": None},
    giving=["id", "dispatch_no", "priority"],
)
_TAKE_BACK = Move(State.DISPATCHED, State.QUEUED, {"run_at": func.now()})
_LOCK_STALE = (
    select(jobs.c.id)
    .where(
        jobs.c.state == State.DISPATCHED,
        jobs.c.dispatched_at < func.now() - bindparam("older_than", type_=Interval),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, key_share=True)
)
_LOCK_OVERDUE = (
    select(jobs.c.id)
    .where(jobs.c.state == State.QUEUED, jobs.c.deadline_at <= func.now())
    .order_by(jobs.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, key_share=True)
)
_FAIL_OVERDUE = Move(
    State.QUEUED,
    State.FAILED,
    {
        "finished_at": func.now(),
        "error": {
            "code": ErrorCode.DEADLINE_EXCEEDED,
            "message": "the job's deadline passed while it waited",
            "retryable": True,
            "details": {},
        },
    },
)


def dispatch_due(connection: Connection, *, window: int, limit: int) -> list[tuple[uuid.UUID, int, str]]:
    """Mark due jobs dispatched as far as the window has room: (id, dispatch number, queue) of each.

    The window counts what is dispatched or running, so that Redis never holds a queue that could outvote
    the order decided here: interactive before bulk, then first come, first served.
    """
    if not connection.scalar(_BECOME_THE_DISPATCHER):
        return []
    room = min(limit, window - (connection.scalar(_COUNT_BUSY) or 0))
    if room <= 0:
        return []
    due = connection.scalars(_LOCK_DUE, {"room": room}).all()
    if not due:
        return []
    return [(row["id"], row["dispatch_no"], row["priority"]) for row in _DISPATCH.apply(connection, due)]


def take_back(connection: Connection, job_ids: Sequence[uuid.UUID]) -> int:
    """Queue dispatched jobs again whose message was not sent or is not wanted any more."""
    return len(_TAKE_BACK.apply(connection, job_ids))


def take_back_stale(connection: Connection, *, older_than_s: float, limit: int) -> int:
    """Queue jobs again that were dispatched long ago and never claimed: their message is lost."""
    older_than = timedelta(seconds=older_than_s)
    stale = connection.scalars(_LOCK_STALE, {"older_than": older_than, "limit": limit}).all()
    return take_back(connection, stale)


def fail_overdue(connection: Connection, *, limit: int) -> int:
    """End queued jobs whose deadline has passed while they waited."""
    overdue = connection.scalars(_LOCK_OVERDUE, {"limit": limit}).all()
    return len(_FAIL_OVERDUE.apply(connection, overdue))
