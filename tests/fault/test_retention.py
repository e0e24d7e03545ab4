"""Workers are killed while they prune: nothing is half gone at the end, and no sum of money has changed."""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, func, select

from patchmill.store import retention
from patchmill.store.drift import drift
from patchmill.store.tables import jobs, runs
from tests.support.past import money, random_past, rows_of, secrets_of, store_past
from tests.support.stack import until

ROOT = Path(__file__).parents[2]
DAYS = 90
KILLS = 4


def worker(folder: Path, database_url: str, redis_url: str) -> subprocess.Popen[bytes]:
    with (folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PATCHMILL_DATA_DIR": str(folder),
                "PATCHMILL_DATABASE_URL": database_url,
                "PATCHMILL_REDIS_URL": redis_url,
                "PATCHMILL_RETENTION_DAYS": str(DAYS),
                "BYTESPIKE_API_KEY": "k",
            },
            stderr=log,
        )


def test_workers_that_are_killed_while_they_prune_leave_nothing_half_gone(
    engine: Engine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    past = random_past(1, now, number=400, living=0)
    with engine.begin() as connection:
        store_past(connection, past)
    with engine.connect() as connection:
        ages = retention.ages(connection, days=DAYS, now=now)
    stay = past.stay(ages)
    gone = {job.id for job in past.history.jobs} - stay
    before = money(engine), rows_of(engine, stay)

    def left() -> int:
        kept = select(func.count()).where(jobs.c.id.in_(gone), jobs.c.pruned_at.is_(None))
        with engine.connect() as connection:
            return connection.scalars(kept).one()

    rng, there = random.Random(1), len(gone)
    workers = [worker(tmp_path, database_url, redis_url) for _ in range(2)]
    try:
        for _ in range(KILLS):
            there = left()
            until(lambda: left() < there or not there, "some are pruned")  # noqa: B023 - asked at once
            victim = rng.randrange(len(workers))
            workers[victim].kill()
            workers[victim].wait()
            workers[victim] = worker(tmp_path, database_url, redis_url)
        until(lambda: not left(), "all are pruned", deadline_s=180.0)
        until(lambda: not hidden(engine), "runs are gone", deadline_s=180.0)
    finally:
        for each in workers:
            each.kill()
            each.wait()

    assert (money(engine), rows_of(engine, stay)) == before
    assert secrets_of(engine, gone) == []
    with engine.connect() as connection:
        assert list(drift(connection)) == []


def hidden(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalars(
            select(func.count()).select_from(runs).where(runs.c.pruned_at.is_not(None))
        ).one()
