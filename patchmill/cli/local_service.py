"""`--local`: the whole service for the time of one command, in a folder that is thrown away afterwards."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchmill.cli.child_log import ChildLog
from patchmill.cli.environment import Gateway, Plan, Running, running
from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.notice import NOT_A_MODEL
from patchmill.cli.stopping import Stop
from patchmill.cli.talk import say
from patchmill.dev.surroundings import free_port
from patchmill.settings import Settings, gateway_key, load

LEASE_TTL_S = 30.0
STOP_GRACE_S = 10.0
# What the service shall be told of an installation: nothing.
_INSTALLATION = frozenset(
    f"PATCHMILL_{name}"
    for name in ("DATABASE_URL", "REDIS_URL", "KEY_PEPPER_FILE", "SERVER_URL", "SERVER_KEY", "DATA_DIR")
)
_KEYS = frozenset({"PATCHMILL_GATEWAY_API_KEY", "BYTESPIKE_API_KEY", "PATCHMILL_GATEWAY_URL"})


@contextmanager
def local_service() -> Iterator[Running]:
    """Start Postgres, Valkey, the API and a worker on free ports; stop and remove everything at the end.

    The gateway is the real one if its key is set, else the stand-in, which is said.

    Raises:
        Unavailable: something did not start.
        Interrupted: the user asked to stop; what was submitted ends with the service.
    """
    settings = load()
    has_key = settings.gateway_api_key is not None and settings.gateway_api_key.get_secret_value()
    gateway = Gateway(url=settings.gateway_url, key=gateway_key(settings)) if has_key else None
    if gateway is None:
        say(f"{NOT_A_MODEL}\nSet BYTESPIKE_API_KEY to use the real gateway.\n")
    word = "stopping; the work ends with the service that was started for it"
    try:
        with (
            Stop(word) as stop,
            temporary_folder("patchmill-local-") as folder,
            running(
                _plan(settings, folder, gateway), stop=stop, log=ChildLog(verbose=False), tell=_nothing
            ) as service,
        ):
            yield service
    except Interrupted:
        # However it was asked to stop: it did not do what it was started for.
        raise Interrupted(Exit.INTERRUPTED) from None


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Give a folder that services can work in, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if os.geteuid() == 0:
            folder.chmod(0o711)  # Postgres, which runs as another user then, passes through
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plan(settings: Settings, folder: Path, gateway: Gateway | None) -> Plan:
    foreign = _INSTALLATION if gateway is not None else _INSTALLATION | _KEYS
    surroundings = {name: value for name, value in os.environ.items() if name.upper() not in foreign}
    if gateway is None:
        surroundings["NO_PROXY"] = surroundings["no_proxy"] = "127.0.0.1"
    return Plan(
        data_dir=folder / "data",
        pepper_file=None,
        host="127.0.0.1",
        port=free_port(),
        workers=1,
        database_url=None,
        redis_url=None,
        gateway=gateway,
        concurrency=settings.gateway_concurrency,
        lease_ttl_s=LEASE_TTL_S,
        stop_grace_s=STOP_GRACE_S,
        durable=False,
        surroundings=surroundings,
    )


def _nothing(_: str) -> None:
    """Tell nothing: a command that was asked for suggestions does not tell how its service starts."""
