"""A new version is rolled out while jobs come in: every process is replaced, and the schema changes."""

import itertools
import signal
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, create_engine, text

from patchmill.dev.surroundings import free_port
from patchmill.store import schema
from patchmill.store.access import ensure_project
from tests.support import faults, invariants, plain_http
from tests.support.faults import Told, percentile
from tests.support.load import declining
from tests.support.nursery import Process
from tests.support.rehearsal import ADDED, FILLED, REMOVED, next_version
from tests.support.stack import Stack, until
from tests.support.two_doors import TwoDoors

REPLACED = faults.of_scale(2, 10)  # times that an API process and a worker are
EVERY_S = 60.0 if faults.LONG else 1.0
PER_S = 5.0
AFTERWARDS_S = 1.0
LONG_S = 3.0  # of a transaction that is in the way of a migration
CALM_S = faults.of_scale(2, 30)
EARLIER = faults.of_scale(5_000, 100_000)  # jobs that are there before
CALM, REPLACING = "nothing else happens", "processes are replaced"
pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(2 * faults.timeout_s(300))]

SETTINGS = {
    "PATCHMILL_LEASE_TTL_S": "30",  # a busy machine may be late with a heartbeat
    "PATCHMILL_CALL_DEADLINE_S": "60",
    "PATCHMILL_STOP_GRACE_S": "90",
}


@dataclass(slots=True)
class Fleet:
    """Two API processes at two addresses, and two workers; each can be replaced by a new one."""

    stack: Stack
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    doors: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)

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

    def _door(self, port: int) -> Process:
        process = self.stack.start("api", PATCHMILL_PORT=str(port))
        until(lambda: _is_ready(f"http://127.0.0.1:{port}"), "a new API process")
        return process

    def _worker(self) -> Process:
        log = self.stack.data_dir / f"worker-{len(self.stack.processes)}.log"
        process = self.stack.start("worker")
        until(lambda: "worker ready" in log.read_text(), "a new worker")
        return process


def _stopped(process: Process) -> int:
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
    stack.behave(latency_ms=400, script=declining())
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
def unlimited(engine: Engine) -> Iterator[Engine]:
    """Give an engine whose transactions may take any time."""
    patient = create_engine(engine.url)
    yield patient
    patient.dispose()


@contextmanager
def reading(engine: Engine) -> Iterator[None]:
    """Have a transaction open that has read the table of jobs, as a backup does, for a while."""
    with unlimited(engine) as patient, patient.connect() as connection:
        connection.execute(text("SELECT FROM jobs LIMIT 1"))
        ending = threading.Timer(LONG_S, connection.rollback)
        ending.start()
        yield
        ending.join()


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
        with phase(CALM):
            pause.wait(CALM_S)
        with phase("a column and a table are added"), reading(engine):
            schema.upgrade(engine, ADDED)
        with phase("an index is built and rows are filled"):
            schema.upgrade(engine, FILLED)
            pause.wait(AFTERWARDS_S)
        with phase(REPLACING):
            for number in itertools.islice(itertools.cycle(range(2)), REPLACED):
                codes += [fleet.replace_door(number), fleet.replace_worker(number)]
                pause.wait(EVERY_S)
        with phase("they are removed"):
            schema.upgrade(engine, REMOVED)
            pause.wait(AFTERWARDS_S)

    accepted = len(load.accepted)
    ended = "SELECT count(*) FROM jobs WHERE state = 'succeeded'"
    until(lambda: invariants.rows(engine, ended)[0][0] == accepted, f"{accepted} jobs succeeded", 240)
    assert set(codes) == {0}
    assert {each.status for each in load.sent} <= {httpx.codes.ACCEPTED, httpx.codes.OK}
    assert sum(each.silent for each in load.sent) == 0, "no door answered"
    with unlimited(engine) as patient:  # there may be many rows to look at
        invariants.check(patient, fleet.stack.truth(), accepted=load.accepted)
    assert spent(engine, load.accepted) == []
    assert invariants.rows(engine, "SELECT DISTINCT state FROM calls") == [("settled",)]
    assert fleet.stack.truth()["requests"] == accepted == len(set(load.accepted))
    slowest = "SELECT max(finished_at - created_at) FROM jobs WHERE state = 'succeeded'"
    tell(load, phases, invariants.rows(engine, slowest)[0][0].total_seconds())


def spent(engine: Engine, accepted: Iterable[str]) -> list[tuple[str, int]]:
    """Give the jobs that took another attempt than their one."""
    counted = invariants.rows(engine, "SELECT id, attempts FROM jobs WHERE attempts <> 1")
    ours = {uuid.UUID(each.removeprefix("job_")) for each in accepted}
    return [(str(job_id), attempts) for job_id, attempts in counted if job_id in ours]


def tell(load: TwoDoors, phases: Mapping[str, tuple[float, float]], slowest_s: float) -> None:
    """Report what was measured: how long submissions took in each phase, and the slowest job."""
    took = {
        name: percentile([each.took_s for each in load.between(*span)], 0.99) * 1000
        for name, span in phases.items()
    }
    migrations = [name for name in phases if name not in {CALM, REPLACING}]
    refused = sum(each.refused for each in load.sent)
    faults.tell(
        Told(
            broke="every process is replaced, one after another, under load",
            often=f"{REPLACED} API processes and {REPLACED} workers, {EVERY_S:.0f} s apart",
            jobs=len(load.sent),
            bar="0 lost, 0 attempts spent, 0 calls unknown; each submission answered by a door",
            measured=f"0 lost, 0 spent, 0 unknown; {refused} refused by one door, 0 by both; submissions p99 "
            f"{took[REPLACING]:.0f} ms, {took[CALM]:.0f} before; the slowest job took {slowest_s:.1f} s",
        )
    )
    faults.tell(
        Told(
            broke="the schema grows and shrinks under load, with a transaction in its way",
            often=f"a column, a table, an index, {EARLIER:,} rows filled; all removed again",
            jobs=sum(len(load.between(*phases[name])) for name in migrations),
            bar="no submission and no job fails",
            measured="none failed; submissions p99 "
            + ", ".join(f"{took[name]:.0f} ms while {name}" for name in migrations)
            + f", {took[CALM]:.0f} before",
        )
    )
