"""The whole service on this machine, Postgres to workers: started in order, watched, stopped in order."""

import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from sqlalchemy import Engine

from patchmill.cli.child_log import ChildLog, prefixed
from patchmill.cli.database import connected
from patchmill.cli.installation import Installed, install
from patchmill.cli.local_key import ensure_local_key
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.dev import procfile
from patchmill.dev.child import Child, Command, Rank, Tether, stop_all
from patchmill.dev.data_folder import claimed
from patchmill.dev.services import embedded
from patchmill.dev.standin.gateway import DEFAULT_KEY
from patchmill.errors import Unavailable
from patchmill.store import workers
from patchmill.store.key_secret import load_pepper

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
ANSWER_TIMEOUT_S = 2.0
EXTRA_GRACE_S = 10.0  # for a worker to end after its own grace
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A model gateway that runs already."""

    url: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start. A service whose address is None is started, too; a gateway of None is the stand-in.

    `surroundings` are the environment variables of the processes, to which their addresses are added.
    """

    data_dir: Path
    pepper_file: Path | None
    host: str
    port: int
    workers: int
    database_url: str | None
    redis_url: str | None
    gateway: Gateway | None
    concurrency: int
    lease_ttl_s: float
    stop_grace_s: float
    durable: bool
    surroundings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The service, ready: its addresses, the local key, and its processes."""

    api_url: str
    key: str
    database_url: str
    redis_url: str
    gateway_url: str
    installed: Installed
    children: tuple[Child, ...]
    stop: Stop

    def check(self) -> None:
        """Notice a process that ended.

        Raises:
            Unavailable: one did; its last lines were shown.
        """
        _check(self.children)

    def watch(self) -> None:
        """Wait until the user wants to stop (raises Interrupted) or a process ends (raises Unavailable)."""
        while True:
            self.stop.pause(0.2)
            self.check()


@contextmanager
def running(plan: Plan, *, stop: Stop, log: ChildLog, tell: Callable[[str], None]) -> Iterator[Running]:
    """Start everything and wait until it is ready; stop it, in order, when the block ends.

    Raises:
        Unavailable: something did not start; the message says what and why.
        Interrupted: the user asked to stop while it started.
    """
    check_port(plan.host, plan.port)
    with ExitStack() as stack:
        lock = stack.enter_context(claimed(plan.data_dir, pause=stop.pause))
        tether = stack.enter_context(Tether(lock))
        start = _Starter(plan, stop, log, tether)
        if plan.gateway is None:
            stack.callback(start.stop_all)
            start.gateway()
        tell("starting Postgres and Valkey")
        services = stack.enter_context(
            embedded(
                plan.data_dir,
                held_by=tether,
                durable=plan.durable,
                database_url=plan.database_url,
                redis_url=plan.redis_url,
                pause=stop.pause,
                hurry=stop.hurry,
            )
        )
        engine = stack.enter_context(connected(services.database_url))
        tell("bringing the database to this version's schema")
        installed = install(engine, data_dir=plan.data_dir, pepper_file=plan.pepper_file)
        stop.pause(0)
        with engine.begin() as connection:
            pepper = load_pepper(plan.pepper_file, plan.data_dir)
            key = ensure_local_key(connection, data_dir=plan.data_dir, pepper=pepper)
        tell(f"starting the API and {plan.workers} worker processes")
        stack.callback(start.stop_all)
        gateway = start.gateway_address()
        start.procfile(services.database_url, services.redis_url, gateway)
        every = (*services.children, *start.children)
        _wait_until_ready(plan, engine, every, stop)
        yield Running(
            api_url=_api_url(plan),
            key=key,
            database_url=services.database_url,
            redis_url=services.redis_url,
            gateway_url=gateway.url,
            installed=installed,
            children=every,
            stop=stop,
        )


class _Starter:
    """Starts the processes that are Patchmill's own."""

    def __init__(self, plan: Plan, stop: Stop, log: ChildLog, tether: Tether) -> None:
        self.children: list[Child] = []
        self._plan = plan
        self._stop = stop
        self._log = log
        self._tether = tether
        self._gateway_url: list[str] = []
        self._gateway_known = threading.Event()

    def gateway(self) -> None:
        """Start the stand-in; it says where it is when it is ready."""
        show = self._log.of("stand-in")

        def read(line: str) -> None:
            if line.startswith("http://") and not self._gateway_url:
                self._gateway_url.append(line)
                self._gateway_known.set()
            else:
                show(line)

        command = [sys.executable, "-m", "patchmill.cli", "standin", "--port", "0"]
        self._start(
            Command(
                name="stand-in",
                arguments=[*command, "--concurrency", str(self._plan.concurrency)],
                environment=procfile.environment(self._plan.surroundings, {}),
                rank=Rank.GATEWAY,
                on_line=read,
            )
        )

    def gateway_address(self) -> Gateway:
        """Give the gateway, once it is ready."""
        if self._plan.gateway is not None:
            return self._plan.gateway
        left = READY_TIMEOUT_S
        while not self._gateway_known.is_set():
            _check(self.children)
            if left < 0:
                raise Unavailable("the stand-in gateway did not start in time")
            self._stop.pause(POLL_S)
            left -= POLL_S
        return Gateway(url=self._gateway_url[0], key=DEFAULT_KEY)

    def procfile(self, database_url: str, redis_url: str, gateway: Gateway) -> None:
        """Start the lines of the Procfile: one API, and workers."""
        plan = self._plan
        settings = {
            "PATCHMILL_DATABASE_URL": database_url,
            "PATCHMILL_REDIS_URL": redis_url,
            "PATCHMILL_GATEWAY_URL": gateway.url,
            "PATCHMILL_GATEWAY_API_KEY": gateway.key,
            "PATCHMILL_DATA_DIR": str(plan.data_dir),
            "PATCHMILL_HOST": plan.host,
            "PATCHMILL_PORT": str(plan.port),
            "PATCHMILL_STOP_GRACE_S": str(plan.stop_grace_s),
        }
        environment = procfile.environment(plan.surroundings, settings)
        for line, words in procfile.read().items():
            is_worker = line == "worker"
            for number in range(1, (plan.workers if is_worker else 1) + 1):
                name = f"{line}-{number}" if is_worker else line
                self._start(
                    Command(
                        name=name,
                        arguments=words,
                        environment=environment,
                        rank=Rank.WORKER if is_worker else Rank.API,
                        on_line=self._log.of(name),
                    )
                )

    def stop_all(self) -> None:
        """Stop what was started: the API, the workers, the stand-in."""
        grace_s = self._plan.stop_grace_s + EXTRA_GRACE_S
        stop_all(self.children, grace_s=grace_s, hurry=self._stop.hurry)
        self.children.clear()

    def _start(self, command: Command) -> None:
        self.children.append(Child(command, self._tether))


def check_port(host: str, port: int) -> None:
    """Refuse a port on which something listens already.

    Raises:
        Unavailable: the port cannot be had; the message says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Unavailable(
                    f"something listens on {host} port {port} already; choose another port with --port"
                ) from error
            raise Unavailable(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _reachable(host: str) -> str:
    """The address at which this machine reaches what listens on a host."""
    return "127.0.0.1" if host in ANY_ADDRESS else host


def _api_url(plan: Plan) -> str:
    host = _reachable(plan.host)
    return f"http://[{host}]:{plan.port}" if ":" in host else f"http://{host}:{plan.port}"


def _wait_until_ready(plan: Plan, engine: Engine, children: tuple[Child, ...], stop: Stop) -> None:
    left = READY_TIMEOUT_S
    while not (_workers_beat(plan, engine) and _api_answers(plan)):
        _check(children)
        if left < 0:
            raise Unavailable(f"the API and the workers were not ready after {READY_TIMEOUT_S:g} s")
        stop.pause(POLL_S)
        left -= POLL_S


def _workers_beat(plan: Plan, engine: Engine) -> bool:
    with engine.begin() as connection:
        return workers.count_live(connection, lease_ttl_s=plan.lease_ttl_s) >= plan.workers


def _api_answers(plan: Plan) -> bool:
    with closing(HTTPConnection(_reachable(plan.host), plan.port, timeout=ANSWER_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False


def _check(children: tuple[Child, ...] | list[Child]) -> None:
    for child in children:
        code = child.ended()
        if code is None:
            continue
        for line in child.tail():
            say(prefixed(child.name, line))
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise Unavailable(f"{child.name} {how}, unasked; its last lines are above, and everything is stopped")
