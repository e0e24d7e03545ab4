"""Waiting for jobs to end: one reader a process, and only while someone waits."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import anyio.to_thread

from patchmill.errors import Unavailable
from patchmill.telemetry import get_logger

POLL_S = 0.25
POLL_WITHOUT_DATABASE_S = 1.0

_log = get_logger(__name__)


class Broadcaster:
    """Tells those who wait that their job has ended; lives on one event loop.

    `ended_among` gives those of some jobs that have ended; it is called in a thread.
    """

    def __init__(self, ended_among: Callable[[Collection[uuid.UUID]], set[uuid.UUID]]) -> None:
        self._ended_among = ended_among
        self._watchers: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._thread = anyio.CapacityLimiter(1)
        self._closing = False

    @asynccontextmanager
    async def watch(self, job_id: uuid.UUID) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set once the job ends.

        Look at the job after entering: what has ended already need not be waited for.
        """
        ended = asyncio.Event()
        if self._closing:
            ended.set()
        self._watchers.setdefault(job_id, set()).add(ended)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._run(), name="reader")
        try:
            yield ended
        finally:
            watchers = self._watchers[job_id]
            watchers.discard(ended)
            if not watchers:
                del self._watchers[job_id]

    def watchers(self) -> int:
        """Count those who wait."""
        return sum(map(len, self._watchers.values()))

    def release(self) -> None:
        """Let everyone go, now and from now on: the process stops."""
        self._closing = True
        for watchers in self._watchers.values():
            for ended in watchers:
                ended.set()

    async def _run(self) -> None:
        while self._watchers:
            pause = POLL_S
            try:
                ended = await anyio.to_thread.run_sync(
                    self._ended_among, list(self._watchers), limiter=self._thread
                )
                self._tell(ended)
            except Unavailable:
                pause = POLL_WITHOUT_DATABASE_S
                _log.warning("jobs_unreadable", watchers=self.watchers())
            await asyncio.sleep(pause)

    def _tell(self, ended: set[uuid.UUID]) -> None:
        for job_id in ended:
            for watcher in self._watchers.get(job_id, ()):
                watcher.set()
