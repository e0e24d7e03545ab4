"""From queued to dispatched: the window, the choice, and taking back what was never claimed."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, Connection, Interval, Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.job.record import ErrorCode
from patchmill.job.state import State
from patchmill.job.turns import DueJob, Place, choose, share_out
from patchmill.store import due_jobs
from patchmill.store.tables import jobs, turns
from patchmill.store.transitions import Move, given

DISPATCH_LOCK = 0x6D696C6C  # one dispatcher decides at a time; a second one finds nothing to do


_BECOME_THE_DISPATCHER = select(func.pg_try_advisory_xact_lock(DISPATCH_LOCK))
_LOCK_CHOSEN = (
    select(jobs.c.id)
    .where(jobs.c.id == any_(bindparam("chosen", type_=ARRAY(Uuid))), jobs.c.state == State.QUEUED)
    .with_for_update(skip_locked=True, key_share=True)
)
_DISPATCH = Move(
    State.QUEUED,
    State.DISPATCHED,
    {"dispatch_no": jobs.c.dispatch_no + 1, "dispatched_at": func.now(), "wait_reason": None},
    giving=["id", "dispatch_no", "priority"],
)
_REACHED = upsert(turns)
_SET_TURNS = _REACHED.on_conflict_do_update(
    index_elements=["project_id"],
    set_={
        name: _REACHED.excluded[name] for name in ("reached", "held", "at", "dispatched", "file", "same_file")
    },
)
# It keeps its place in the line: it was due, and is.
_TAKE_BACK = Move(State.DISPATCHED, State.QUEUED, {})
_GIVE_BACK = Move(State.DISPATCHED, State.QUEUED, {}, where=[jobs.c.dispatch_no == given("dispatch_no")])
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
        "wait_reason": None,
        "error": func.jsonb_build_object(
            *("code", ErrorCode.DEADLINE_EXCEEDED.value),
            *("message", "the job's deadline passed while it waited"),
            *("retryable", True),
            *("details", func.jsonb_strip_nulls(func.jsonb_build_object("wait_reason", jobs.c.wait_reason))),
        ),
    },
)


def dispatch_due(
    connection: Connection, *, window: int, limit: int, now: datetime | None = None
) -> list[tuple[uuid.UUID, int, str]]:
    """Mark due jobs dispatched as far as the window has room: (id, dispatch number, queue) of each, in order.

    The window counts what is dispatched or running, so that Redis never holds a queue that could outvote
    the order decided here (`job/turns.py`). Turns are counted by Postgres's time unless `now` is given.
    """
    if not connection.scalar(_BECOME_THE_DISPATCHER):
        return []
    standing = due_jobs.standing(connection, at_most=min(limit, window))
    if standing is None:
        return []
    shared = share_out(
        standing.lines,
        window=window,
        room=min(limit, window - sum(line.in_flight for line in standing.lines)),
        furthest=standing.furthest,
        now=now or standing.now,
    )
    places = dict(standing.places)
    given = _dispatch(connection, shared.order, places) if shared.order else []
    if shared.turns:
        reached = [
            {"project_id": project_id, **asdict(turn), **asdict(places.get(project_id, Place()))}
            for project_id, turn in shared.turns.items()
        ]
        connection.execute(_SET_TURNS, reached if len(reached) > 1 else reached[0])
    return given


def _dispatch(
    connection: Connection, order: Sequence[uuid.UUID], places: dict[uuid.UUID, Place]
) -> list[tuple[uuid.UUID, int, str]]:
    """Dispatch the next job of each project in this order, and note in `places` where each stops."""
    numbers = Counter(order)
    following: dict[uuid.UUID, Iterator[DueJob]] = {}
    for project_id, due in due_jobs.first_in_line(connection, numbers, places).items():
        stopped = places.get(project_id, Place())
        chosen, places[project_id] = choose(due, numbers[project_id], stopped)
        following[project_id] = iter(chosen)
    in_turns = (next(following[project_id], None) for project_id in order)
    return _move(connection, [job.id for job in in_turns if job is not None])


def _move(connection: Connection, chosen: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, int, str]]:
    """Dispatch those that nobody else holds at this moment, in the order in which they were chosen."""
    locked = connection.scalars(_LOCK_CHOSEN, {"chosen": chosen}).all()
    moved = {row["id"]: row for row in _DISPATCH.apply(connection, locked)}
    ordered = (moved[job_id] for job_id in chosen if job_id in moved)
    return [(row["id"], row["dispatch_no"], row["priority"]) for row in ordered]


def take_back(connection: Connection, job_ids: Sequence[uuid.UUID]) -> int:
    """Queue dispatched jobs again whose message was not sent or is not wanted any more."""
    return len(_TAKE_BACK.apply(connection, job_ids))


def give_back(connection: Connection, job_id: uuid.UUID, dispatch_no: int) -> None:
    """Queue a job again whose message came to one who cannot claim it; an old message changes nothing."""
    _GIVE_BACK.apply(connection, [job_id], dispatch_no=dispatch_no)


def take_back_stale(connection: Connection, *, older_than_s: float, limit: int) -> int:
    """Queue jobs again that were dispatched long ago and never claimed: their message is lost."""
    older_than = timedelta(seconds=older_than_s)
    stale = connection.scalars(_LOCK_STALE, {"older_than": older_than, "limit": limit}).all()
    return take_back(connection, stale)


def fail_overdue(connection: Connection, *, limit: int) -> int:
    """End queued jobs whose deadline has passed while they waited."""
    overdue = connection.scalars(_LOCK_OVERDUE, {"limit": limit}).all()
    return len(_FAIL_OVERDUE.apply(connection, overdue))
