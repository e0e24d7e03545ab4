"""Worker processes by incarnation: their heartbeats, and the jobs of those that fell silent."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, exists, func, insert, or_, select, update

from patchmill.store.tables import calls, jobs, workers


@dataclass(frozen=True, slots=True, kw_only=True)
class LostJob:
    """A running job whose worker fell silent, and the call that it may have left on the wire."""

    job_id: uuid.UUID
    fence: int
    losses: int
    open_call: uuid.UUID | None


def register(connection: Connection, worker_id: uuid.UUID, name: str) -> None:
    """Add this start of a worker process; ids are never reused."""
    connection.execute(insert(workers).values(id=worker_id, name=name))


def beat(connection: Connection, worker_id: uuid.UUID, *, draining: bool) -> bool:
    """Say that the process lives; False when its row is gone or was stopped."""
    beaten = connection.execute(
        update(workers)
        .where(workers.c.id == worker_id, workers.c.stopped_at.is_(None))
        .values(heartbeat_at=func.now(), draining=draining)
    )
    return beaten.rowcount == 1


def stop(connection: Connection, worker_id: uuid.UUID) -> None:
    """Say that the process ends; what it still runs is taken over without waiting for its lease."""
    connection.execute(update(workers).where(workers.c.id == worker_id).values(stopped_at=func.now()))


def count_live(connection: Connection, *, lease_ttl_s: float) -> int:
    """Count the processes that beat lately."""
    since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_ttl_s)
    return (
        connection.scalar(
            select(func.count())
            .select_from(workers)
            .where(workers.c.stopped_at.is_(None), workers.c.heartbeat_at > since)
        )
        or 0
    )


def lock_lost_jobs(
    connection: Connection,
    *,
    lease_ttl_s: float,
    quarantine_s: float,
    also: Collection[uuid.UUID],
    limit: int,
) -> list[LostJob]:
    """Lock running jobs whose worker is silent or stopped, and `also` others, but none in quarantine.

    A call that is on the wire keeps its job in quarantine until its deadline and `quarantine_s` more have
    passed: until then its worker may only be slow, and its late reply is welcome.
    """
    silent = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_ttl_s)
    patience = func.make_interval(0, 0, 0, 0, 0, 0, quarantine_s)
    sent = and_(calls.c.job_id == jobs.c.id, calls.c.state == "sent")
    rows = connection.execute(
        select(jobs.c.id, jobs.c.fence, jobs.c.losses)
        .join(workers, workers.c.id == jobs.c.worker_id)
        .where(
            jobs.c.state == "running",
            or_(
                workers.c.heartbeat_at < silent,
                workers.c.stopped_at.is_not(None),
                jobs.c.id.in_(list(also)),
            ),
            ~exists().where(sent, calls.c.deadline_at + patience > func.now()),
        )
        .order_by(jobs.c.id)
        .limit(limit)
        .with_for_update(of=jobs, skip_locked=True, key_share=True)
    ).all()
    return [_lost(connection, row.id, row.fence, row.losses) for row in rows]


def _lost(connection: Connection, job_id: uuid.UUID, fence: int, losses: int) -> LostJob:
    open_call = connection.scalars(
        select(calls.c.id).where(calls.c.job_id == job_id, calls.c.state == "sent")
    ).one_or_none()
    return LostJob(job_id=job_id, fence=fence, losses=losses, open_call=open_call)
