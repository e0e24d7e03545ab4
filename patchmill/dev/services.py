"""Postgres and Valkey together: started at once, stopped in order; for `up`, `demo` and tests."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from patchmill.dev.child import Child, Pause, Tether, stop_all
from patchmill.dev.postgres import Postgres
from patchmill.dev.valkey import Valkey

STOP_GRACE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Where the services are, and the processes of those that were started."""

    database_url: str
    redis_url: str
    children: tuple[Child, ...]


@contextmanager
def embedded(
    folder: Path,
    *,
    held_by: Tether,
    durable: bool,
    database_url: str | None = None,
    redis_url: str | None = None,
    pause: Pause | None = None,
    hurry: threading.Event | None = None,
) -> Iterator[Services]:
    """Run the services whose address is not given, with their data in a folder, until the block ends.

    `durable` keeps their data safe through a power cut. `pause` is what waiting goes through, and `hurry`
    says that stopping must not be graceful any more.

    Raises:
        Unavailable: a service did not start.
    """
    wait = threading.Event().wait if pause is None else pause
    postgres = Postgres(folder / "postgres", durable=durable, held_by=held_by, pause=wait)
    valkey = Valkey(folder / "valkey", durable=durable, held_by=held_by, pause=wait)
    wanted = [service for service, url in ((postgres, database_url), (valkey, redis_url)) if url is None]
    try:
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="start") as threads:
            for started in [threads.submit(service.start) for service in wanted]:
                started.result()
        yield Services(
            database_url=database_url or postgres.url,
            redis_url=redis_url or valkey.url,
            children=tuple(service.child for service in wanted if service.child is not None),
        )
    finally:
        children = [service.child for service in wanted if service.child is not None]
        stop_all(children, grace_s=STOP_GRACE_S, hurry=hurry or threading.Event())
        postgres.remove_sockets()
