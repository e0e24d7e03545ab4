"""A new version is rolled out while jobs come in: every process is replaced, and the schema changes."""

import itertools
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, create_engine, text

from patchmill.dev.surroundings import free_port
from patchmill.store import schema
from patchmill.store.access import ensure_project
from tests.support import invariants, plain_http
from tests.support.rehearsal import ADDED, FILLED, REMOVED, next_version
from tests.support.stack import Stack, until
from tests.support.two_doors import DECLINES, TwoDoors

SCALE = int(os.environ.get("PATCHMILL_FAULT_SCALE", "1"))
REPLACED = 2 if SCALE == 1 else SCALE  # times that an API process and a worker are
EVERY_S = 1.0 if SCALE == 1 else 60.0
PER_S = 5.0
LONG_S = 3.0  # of a transaction that is in the way of a migration
CALM_S = 2.0 if SCALE == 1 else 30.0
EARLIER = 5_000 if SCALE == 1 else 200_000  # jobs that are there before
pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240 + 150 * SCALE)]

SETTINGS = {
    "PATCHMILL_LEASE_TTL_S": "15",  # a busy machine may be late with a heartbeat
    "PATCHMILL_CALL_DEADLINE_S": "30",
    "PATCHMILL_STOP_GRACE_S": "45",
}


@dataclass(slots=True)
class Fleet:
    """Two API processes at two addresses, and two workers; each can be replaced by a new one."""

    stack: Stack
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    doors: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start all four."""
        self.doors = [self._door(port) for port in self.ports]
        self.workers = [self._worker() for _ in range(2)]

    @property
    def addresses(self) -> list[str]:
        """Where the API answers."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def replace_door(self, number: int) -> int:
        """Stop an API process and start a new one in its place; gives the exit code."""
        code = _stopped(self.doors[number])
        self.doors[number] = self._door(self.ports[number])
        return code

    def replace_worker(self, number: int) -> int:
        """Start a new worker, and stop an old one once that is ready; gives the exit code."""
        old, self.workers[number] = self.workers[number], self._worker()
        return _stopped(old)

    def _door(self, port: int) -> subprocess.Popen[bytes]:
        process = self.stack.start("api", PATCHMILL_PORT=str(port))
        until(lambda: _is_ready(f"http://127.0.0.1:{port}"), "a new API process")
        return process

    def _worker(self) -> subprocess.Popen[bytes]:
        log = self.stack.data_dir / f"worker-{len(self.stack.processes)}.log"
        process = self.stack.start("worker")
        until(lambda: "worker ready" in log.read_text(), "a new worker")
        return process


def _stopped(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=120)


def _is_ready(address: str) -> bool:
    try:
        return plain_http.get(f"{address}/readyz", timeout=10).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.fixture
def fleet(stack: Stack) -> Fleet:
    """Give the processes of a service that is under way."""
    stack.settings |= SETTINGS
    made = Fleet(stack)
    made.start()
    stack.behave(latency_ms=400, script=[DECLINES])
    return made


@pytest.fixture
def _of_next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process migrate as the next version does; those that are started know nothing of it."""
    scripts = next_version(tmp_path)
    monkeypatch.setattr(schema, "_scripts", lambda: scripts)


def add_cancelled_jobs(engine: Engine, number: int) -> None:
    """Add jobs that were cancelled at some time, for a migration to be at work with."""
    with engine.begin() as connection:
        project = ensure_project(connection, "earlier")
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL transaction_timeout = 0"))
        connection.execute(
            text(
                """
                WITH kept AS (
                    INSERT INTO sources (project_id, sha256, content) VALUES (:project, 'x', 'x = 1')
                ), made AS (
                    INSERT INTO jobs (id, project_id, kind, state, priority, run_at, finished_at, path,
                        language, sha256, bytes, request, origin, labels, timings, event_seq)
                    SELECT gen_random_uuid(), :project, 'fix', 'cancelled', 'bulk', now(), now(),
                        'src/' || number || '.py', 'python', 'x', 5, '{}', '{}', '{}', '{}', 2
                    FROM generate_series(1, :number) number RETURNING id
                )
                INSERT INTO events (project_id, job_id, seq, type, data)
                SELECT :project, id, seq, 'job.state',
                    CASE seq WHEN 1 THEN '{"from": null, "to": "queued"}'
                        ELSE '{"from": "queued", "to": "cancelled"}' END::jsonb
                FROM made, generate_series(1, 2) seq ORDER BY id, seq
                """
            ),
            {"project": project, "number": number},
        )


@contextmanager
def reading(engine: Engine) -> Iterator[None]:
    """Have a transaction open that has read the table of jobs, as a backup does, for a while."""
    unlimited = create_engine(engine.url)
    with unlimited.connect() as connection:
        connection.execute(text("SELECT FROM jobs LIMIT 1"))
        ending = threading.Timer(LONG_S, connection.rollback)
        ending.start()
        yield
        ending.join()
    unlimited.dispose()


@pytest.mark.usefixtures("_of_next_version")
def test_a_version_rolled_out_while_jobs_come_in_loses_none_and_spends_no_attempt(
    fleet: Fleet, engine: Engine
) -> None:
    add_cancelled_jobs(engine, EARLIER)
    pause = threading.Event()
    phases: dict[str, tuple[float, float]] = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        phases[name] = (begun, time.monotonic())

    codes: list[int] = []
    with TwoDoors(fleet.addresses, fleet.stack.key, per_s=PER_S) as load:
        until(lambda: load.accepted, "the first submission")
        with phase("calm"):
            pause.wait(CALM_S)
        with phase("column and table added beside a long transaction"), reading(engine):
            schema.upgrade(engine, ADDED)
        with phase("rows filled, index built"):
            schema.upgrade(engine, FILLED)
        with phase("processes replaced"):
            for number in itertools.islice(itertools.cycle(range(2)), REPLACED):
                codes += [fleet.replace_door(number), fleet.replace_worker(number)]
                pause.wait(EVERY_S)
        with phase("column and table removed"):
            schema.upgrade(engine, REMOVED)
        with phase("calm again"):
            pause.wait(CALM_S)

    accepted = len(load.accepted)
    ended = "SELECT count(*) FROM jobs WHERE state = 'succeeded'"
    until(lambda: invariants.rows(engine, ended)[0][0] == accepted, f"{accepted} jobs succeeded")
    slowest = "SELECT max(finished_at - created_at), max(fence) FROM jobs WHERE state = 'succeeded'"
    print(report(load, phases))  # noqa: T201 - `pytest -rP` shows it
    print("the slowest job took {}, the most claims of one: {}".format(*invariants.rows(engine, slowest)[0]))  # noqa: T201
    assert set(codes) == {0}
    assert {each.status for each in load.sent} <= {httpx.codes.ACCEPTED, httpx.codes.OK}
    assert sum(each.silent for each in load.sent) == 0, "no door answered"
    invariants.check(engine, fleet.stack.truth(), accepted=load.accepted)
    assert spent(engine, load.accepted) == []
    assert invariants.rows(engine, "SELECT DISTINCT state FROM calls") == [("settled",)]
    assert fleet.stack.truth()["requests"] == accepted == len(set(load.accepted))


def spent(engine: Engine, accepted: Iterable[str]) -> list[tuple[str, int]]:
    """Give the jobs that took another attempt than their one."""
    counted = invariants.rows(engine, "SELECT id, attempts FROM jobs WHERE attempts <> 1")
    ours = {uuid.UUID(each.removeprefix("job_")) for each in accepted}
    return [(str(job_id), attempts) for job_id, attempts in counted if job_id in ours]


def report(load: TwoDoors, phases: dict[str, tuple[float, float]]) -> str:
    """Tell how long submissions took in each phase, and how often a door refused one."""
    lines = [f"{len(load.sent)} submitted, {sum(each.refused for each in load.sent)} times refused at a door"]
    for name, (begun, ended) in phases.items():
        took = sorted(each.took_s * 1000 for each in load.between(begun, ended))
        lines.append(f"{name} ({ended - begun:.1f} s): {len(took)} submitted, {_tells(took)}")
    return "\n".join(lines)


def _tells(took_ms: list[float]) -> str:
    if not took_ms:
        return "none of them timed"
    return f"p50 {took_ms[len(took_ms) // 2]:.0f} ms, p99 {took_ms[int(len(took_ms) * 0.99)]:.0f} ms"
