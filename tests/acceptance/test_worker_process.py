import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from patchmill.store import schema
from patchmill.store.engine import open_engine
from tests.support.stack import until
from worker.main import main

ROOT = Path(__file__).parents[2]
SERVICES = {
    "PATCHMILL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "PATCHMILL_REDIS_URL": "redis://127.0.0.1:1/0",
}


@contextmanager
def working(
    folder: Path, database_url: str, redis_url: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PATCHMILL_DATA_DIR": str(folder),
                "PATCHMILL_DATABASE_URL": database_url,
                "PATCHMILL_REDIS_URL": redis_url,
                "BYTESPIKE_API_KEY": "k",
            },
            stderr=output,
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_never_reached_redis_stops_cleanly_and_ends_its_lease(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    with working(tmp_path, database_url, SERVICES["PATCHMILL_REDIS_URL"]) as (process, log):
        until(lambda: "Cannot connect to redis" in log.read_text(), "Celery at work")
        until(lambda: leases(engine), "a lease")
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0, log.read_text()

    assert "Traceback" not in log.read_text()
    assert "worker stopped" in log.read_text()
    assert leases(engine) == [True]


def test_a_worker_that_is_told_to_stop_while_it_starts_ends_its_lease(
    engine: Engine, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with working(tmp_path, database_url, redis_url) as (process, log):
        until(lambda: leases(engine), "a lease")
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0, log.read_text()

    assert leases(engine) == [True]


def test_a_worker_waits_for_the_schema_and_goes_on_once_it_is_there(
    empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    engine = open_engine(empty_database_url, pool_size=1)
    with working(tmp_path, empty_database_url, redis_url) as (process, log):
        until(lambda: "run `patchmill migrate`" in log.read_text(), "the sentence")
        schema.upgrade(engine)
        until(lambda: "worker ready" in log.read_text(), "a ready worker")
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0, log.read_text()

    assert log.read_text().count("patchmill migrate") == 1
    assert "ProgrammingError" not in log.read_text()
    assert leases(engine) == [True]
    engine.dispose()


def test_a_worker_without_a_database_says_once_where_it_looks_and_can_be_stopped(
    redis_url: str, tmp_path: Path
) -> None:
    with working(tmp_path, "postgresql://me:hidden-word@127.0.0.1:1/none", redis_url) as (process, log):
        until(lambda: "postgres is away" in log.read_text(), "the outage")
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0, log.read_text()

    first = json.loads(log.read_text().splitlines()[0])
    assert first["host"] == "127.0.0.1:1"
    assert "Connection refused" in first["error"]
    assert "hidden-word" not in log.read_text()


def leases(engine: Engine) -> list[bool]:
    """Say of each lease whether it was ended."""
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT stopped_at IS NOT NULL FROM workers"))
        return [ended for (ended,) in rows]


def test_a_worker_process_without_settings_ends_with_one_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "PATCHMILL_DATABASE_URL and PATCHMILL_REDIS_URL must be set" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PATCHMILL_REDIS_URL": SERVICES["PATCHMILL_REDIS_URL"]}, "PATCHMILL_DATABASE_URL must be set"),
        (SERVICES, "PATCHMILL_GATEWAY_API_KEY (or BYTESPIKE_API_KEY) must be set"),
        (SERVICES | {"PATCHMILL_DATABASE_URL": "mysql://h/d", "BYTESPIKE_API_KEY": "k"}, "needs PostgreSQL"),
        (SERVICES | {"PATCHMILL_REDIS_URL": "redis://redis.example/0"}, "PATCHMILL_REDIS_TRUSTED_NETWORK"),
        (SERVICES | {"PATCHMILL_GATEWAY_CONCURRENCY": "none"}, "PATCHMILL_GATEWAY_CONCURRENCY"),
        (SERVICES | {"PATCHMILL_UNKNOWN_POLICY": "maybe"}, "PATCHMILL_UNKNOWN_POLICY"),
        (SERVICES | {"BYTESPIKE_API_KEY": "k", "PATCHMILL_GATEWAY_URL": "ftp://x"}, "http"),
    ],
)
def test_a_worker_that_cannot_work_exits_2_with_one_sentence_that_helps(
    settings: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith(("PATCHMILL_", "BYTESPIKE_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert main() == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
