"""Pauses of projects and queues: one row while it lasts, which every dispatch and every worker reads.

No job is written: what is due of a paused project, and for how long, is what the dispatcher does not see, and
what readers of a job are told is read from the same row. So a pause over a backlog of any length takes as
long as one over nothing, and after its end everything is due as it was.
"""

import uuid
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.job.pause import MAX_REASON, Part, Pause
from patchmill.job.record import Priority
from patchmill.job.state import State
from patchmill.store import auditing, dispatch
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import jobs, pauses, projects

_STANDING = (
    select(
        pauses.c.project_id,
        pauses.c.queue,
        func.coalesce(projects.c.name, pauses.c.queue).label("name"),
        pauses.c.reason,
        pauses.c.actor,
        pauses.c.since,
    )
    .select_from(pauses.outerjoin(projects, projects.c.id == pauses.c.project_id))
    .order_by(pauses.c.since, pauses.c.id)
)
_BECOME_THE_DISPATCHER = select(func.pg_advisory_xact_lock(dispatch.DISPATCH_LOCK))


def standing(connection: Connection) -> list[Pause]:
    """Give what is paused, the longest first."""
    return [
        Pause(
            part=Part(project_id=row.project_id, queue=None if row.queue is None else Priority(row.queue)),
            name=row.name,
            reason=row.reason,
            actor=row.actor,
            since=row.since,
        )
        for row in connection.execute(_STANDING)
    ]


def of_project(found: Iterable[Pause], project_id: uuid.UUID) -> Pause | None:
    """Give the pause of a project, if it has one."""
    return next((each for each in found if each.part.project_id == project_id), None)


def of_queue(found: Iterable[Pause], queue: Priority) -> Pause | None:
    """Give the pause of a queue, if it has one."""
    return next((each for each in found if each.part.queue == queue), None)


def holds_back() -> ColumnElement[bool]:
    """Say of a row of `jobs`, which is due, whether a pause keeps it from being dispatched."""
    return or_(
        jobs.c.project_id.in_(select(pauses.c.project_id).where(pauses.c.project_id.is_not(None))),
        jobs.c.priority.in_(select(pauses.c.queue).where(pauses.c.queue.is_not(None))),
    )


def pause(connection: Connection, part: Part, reason: str, *, actor: str) -> bool:
    """Let no job of a project or a queue begin until somebody resumes it; False when none does already.

    What is dispatched and not yet claimed is taken back. The lock is the dispatcher's: from the commit on no
    dispatch goes by what it saw before.
    """
    connection.execute(_BECOME_THE_DISPATCHER)
    values = {"project_id": part.project_id, "queue": part.queue}
    made = connection.execute(
        upsert(pauses)
        .values(id=new_id(), reason=reason[:MAX_REASON], actor=actor, **values)
        .on_conflict_do_nothing()
        .returning(pauses.c.id)
    )
    if made.one_or_none() is None:
        return False
    taken_back = dispatch.take_back(connection, _lock_unclaimed(connection, part))
    _record(connection, part, "pause", {"reason": reason, "taken_back": taken_back}, actor=actor)
    return True


def resume(connection: Connection, part: Part, *, actor: str) -> bool:
    """Let the jobs of a project or a queue begin again, in their turns; False when it was not paused."""
    ended = connection.execute(
        delete(pauses).where(
            pauses.c.project_id == part.project_id if part.queue is None else pauses.c.queue == part.queue
        )
    )
    if ended.rowcount:
        _record(connection, part, "resume", {}, actor=actor)
    return ended.rowcount == 1


def _lock_unclaimed(connection: Connection, part: Part) -> list[uuid.UUID]:
    of_part = jobs.c.project_id == part.project_id if part.queue is None else jobs.c.priority == part.queue
    found = select(jobs.c.id).where(and_(jobs.c.state == State.DISPATCHED, of_part)).order_by(jobs.c.id)
    # One that somebody else holds is being claimed or cancelled.
    return list(connection.scalars(found.with_for_update(skip_locked=True, key_share=True)))


def _record(
    connection: Connection, part: Part, verb: str, details: dict[str, str | int], *, actor: str
) -> None:
    subject = str(part.queue) if part.project_id is None else to_edge("prj", part.project_id)
    auditing.record(connection, actor=actor, action=f"{part.what}.{verb}", subject=subject, details=details)
