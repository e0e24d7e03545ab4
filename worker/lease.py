"""This process's lease: a heartbeat on its own thread and connection, and whether it may still act."""

import os
import socket
import threading
import time
import uuid

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from patchmill import __version__
from patchmill.store import workers
from patchmill.store.engine import trouble
from patchmill.store.ids import new_id
from patchmill.telemetry import get_logger

BEATS_PER_TTL = 6
TRUSTED_SHARE = 2 / 3  # of the TTL: past it this process must assume that its jobs are given away

log = get_logger(__name__)


class Lease:
    """One incarnation of a worker process, alive while it beats through an engine of its own.

    Times are taken from the monotonic clock before each beat is sent, so the process distrusts its lease
    earlier than Postgres does.
    """

    def __init__(self, engine: Engine, *, ttl_s: float) -> None:
        self.worker_id: uuid.UUID = new_id()
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._engine = engine
        self._ttl_s = ttl_s
        self._beaten_at = float("-inf")
        self._steady_since = float("inf")
        self._stop = threading.Event()
        self._draining = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Register with Postgres, waiting for it as long as needed, and begin to beat."""
        self._thread.start()

    def valid(self) -> bool:
        """Say whether this process may claim jobs and send calls."""
        return time.monotonic() - self._beaten_at < self._ttl_s * TRUSTED_SHARE

    def steady(self) -> bool:
        """Say whether this process has beaten without a gap for a whole TTL.

        Only then may it call others silent: right after an outage of Postgres everybody seems to be.
        """
        return self.valid() and time.monotonic() - self._steady_since >= self._ttl_s

    @property
    def draining(self) -> bool:
        """Whether the process is about to stop and takes no more work."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Take no more work."""
        self._draining.set()

    def end(self) -> None:
        """Stop beating and tell Postgres, so that what is left is taken over at once."""
        self._stop.set()
        self._thread.join(timeout=self._ttl_s)
        try:
            with self._engine.begin() as connection:
                workers.stop(connection, self.worker_id)
        except SQLAlchemyError as error:
            log.warning("lease not ended; it will run out", **trouble(self._engine, error))
        self._engine.dispose()

    def _run(self) -> None:
        registered = False
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                with self._engine.begin() as connection:
                    if not registered:
                        workers.register(connection, self.worker_id, self.name, __version__)
                    elif not workers.beat(connection, self.worker_id, draining=self.draining):
                        log.error("this worker was declared stopped; it takes no more work")
                        return
                registered = True
                if not self.valid():
                    self._steady_since = started
                self._beaten_at = started
            except SQLAlchemyError as error:
                log.warning("heartbeat failed", **trouble(self._engine, error))
            self._stop.wait(self._ttl_s / BEATS_PER_TTL)
