"""Worker processes by incarnation: their heartbeats, and the jobs of those that fell silent."""

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, exists, func, insert, or_, select, tuple_, update

from patchmill.store import shared_time
from patchmill.store.tables import attempts, calls, jobs, projects, workers

RECENTLY = timedelta(hours=1)  # who ended or fell silent within it is listed

Held = tuple[uuid.UUID, int]  # a job's id and the number of the dispatch that it was claimed by


@dataclass(frozen=True, slots=True, kw_only=True)
class LostJob:
    """A running job that no thread runs; an orphan when its worker lives all the same."""

    job_id: uuid.UUID
    fence: int
    losses: int
    orphan: bool
    apart: bool  # it had begun to work, as one that may lose no worker more
    policy: Mapping[str, Any]  # what its project has set of its own


class Standing(StrEnum):
    """How a worker process is."""

    WORKING = "working"
    DRAINING = "draining"  # it finishes what it has, and takes no more
    SILENT = "silent"  # it has not beaten for a lease time: its jobs are taken over
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A start of a worker process, with the jobs that it runs by what Postgres knows."""

    id: uuid.UUID
    name: str
    version: str | None
    standing: Standing
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None
    jobs: int


def register(connection: Connection, worker_id: uuid.UUID, name: str, version: str | None = None) -> None:
    """Add this start of a worker process; ids are never reused."""
    connection.execute(insert(workers).values(id=worker_id, name=name, version=version))


def beat(connection: Connection, worker_id: uuid.UUID, *, draining: bool) -> bool:
    """Say that the process lives, and hear the time; False when its row is gone or was stopped."""
    asked_at = time.monotonic()
    told = connection.scalar(
        update(workers)
        .where(workers.c.id == worker_id, workers.c.stopped_at.is_(None))
        .values(heartbeat_at=func.now(), draining=draining)
        .returning(func.clock_timestamp())
    )
    if told is None:
        return False
    shared_time.hear(told, asked_at=asked_at, heard_at=time.monotonic())
    return True


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


_IN_HAND = (
    select(func.count())
    .where(jobs.c.state == "running", jobs.c.worker_id == workers.c.id)
    .correlate(workers)
    .scalar_subquery()
)


def list_recent(connection: Connection, *, lease_ttl_s: float) -> list[Worker]:
    """Give the processes that live, or did lately, or still have jobs: the latest start first."""
    silent = workers.c.heartbeat_at <= func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_ttl_s)
    lately = func.coalesce(workers.c.stopped_at, workers.c.heartbeat_at) > func.now() - RECENTLY
    standing = case(
        (workers.c.stopped_at.is_not(None), Standing.STOPPED),
        (silent, Standing.SILENT),
        (workers.c.draining, Standing.DRAINING),
        else_=Standing.WORKING,
    )
    rows = connection.execute(
        select(workers, standing.label("standing"), _IN_HAND.label("jobs"))
        .where(or_(lately, exists().where(jobs.c.state == "running", jobs.c.worker_id == workers.c.id)))
        .order_by(workers.c.started_at.desc(), workers.c.id)
    )
    return [
        Worker(
            id=row.id,
            name=row.name,
            version=row.version,
            standing=Standing(row.standing),
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
            stopped_at=row.stopped_at,
            jobs=row.jobs,
        )
        for row in rows
    ]


_WORKS_APART = (
    update(attempts)
    .where(attempts.c.job_id == bindparam("of_job"), attempts.c.fence == bindparam("of_claim"))
    .values(apart=True)
)


def begin_apart(connection: Connection, job_id: uuid.UUID, fence: int) -> None:
    """Note that a job that may lose no worker more begins to work: if it loses this one, that counts."""
    connection.execute(_WORKS_APART, {"of_job": job_id, "of_claim": fence})


def lock_lost_job(
    connection: Connection, *, lease_ttl_s: float, quarantine_s: float, orphans: Collection[Held]
) -> LostJob | None:
    """Lock a running job whose worker is silent or stopped, or one of `orphans`, but none in quarantine.

    A call that is on the wire keeps its job in quarantine until its deadline and `quarantine_s` more have
    passed: until then its worker may only be slow, and its late reply is welcome.
    """
    silent = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, lease_ttl_s)
    patience = func.make_interval(0, 0, 0, 0, 0, 0, quarantine_s)
    sent = and_(calls.c.job_id == jobs.c.id, calls.c.state == "sent")
    orphan = tuple_(jobs.c.id, jobs.c.dispatch_no).in_(list(orphans))
    row = connection.execute(
        select(
            *(jobs.c.id, jobs.c.fence, jobs.c.losses, orphan.label("orphan")),
            *(attempts.c.apart, projects.c.policy),
        )
        .join(workers, workers.c.id == jobs.c.worker_id)
        .join(attempts, and_(attempts.c.job_id == jobs.c.id, attempts.c.fence == jobs.c.fence))
        .join(projects, projects.c.id == jobs.c.project_id)
        .where(
            jobs.c.state == "running",
            or_(workers.c.heartbeat_at < silent, workers.c.stopped_at.is_not(None), orphan),
            ~exists().where(sent, calls.c.deadline_at + patience > func.now()),
        )
        .order_by(jobs.c.id)
        .limit(1)
        .with_for_update(of=jobs, skip_locked=True, key_share=True)
    ).one_or_none()
    if row is None:
        return None
    return LostJob(
        job_id=row.id,
        fence=row.fence,
        losses=row.losses,
        orphan=row.orphan,
        apart=row.apart,
        policy=row.policy,
    )
