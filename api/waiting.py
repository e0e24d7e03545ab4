"""Waiting for what happens to jobs and runs: one reader a process, and only while someone watches.

Nobody is told by the database: the reader looks four times a second for events that are new to it
(`store/events.py` says how it can know that it has seen all), and hands them to those who watch, in memory.
Whoever watches holds neither a thread nor a connection. An outage of Postgres only delays: the reader goes on
from the point up to which it knew everything.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi.concurrency import run_in_threadpool

from api.database import Database
from patchmill.errors import Unavailable
from patchmill.store import events
from patchmill.store.events import EventRow, News, Start
from patchmill.telemetry import get_logger

POLL_S = 0.25
POLL_WITHOUT_DATABASE_S = 1.0
SETTLED_AFTER_S = 6.0  # no transaction that has taken an event's id lives longer
BATCH = 2_000  # events of one look
MAX_BEHIND = 5_000  # events that a follower may leave unread before it is let go
MAX_FOLLOWERS = 2_000

_log = get_logger(__name__)

_Topic = tuple[str, uuid.UUID | None]
_Key = TypeVar("_Key")
_Member = TypeVar("_Member")
Seen = TypeVar("Seen")
_EVERYTHING: _Topic = ("all", None)


class Follower:
    """Events for one who follows, as an iterator.

    It ends when the process stops, or when too many events were left unread: whoever still wants more begins
    anew after the last event that came.
    """

    def __init__(self, *, settled: int) -> None:
        self.settled = settled  # of a run: its events up to this id are history, later ones come here
        self._unread: deque[EventRow] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> EventRow:
        while not self._unread:
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._unread.popleft()

    def give(self, event: EventRow) -> None:
        """Add an event, unless too many are unread: then it and all later ones are not given."""
        if len(self._unread) >= MAX_BEHIND:
            self._ended = True
        if not self._ended:
            self._unread.append(event)
        self._news.set()

    def let_go(self) -> None:
        """End at once."""
        self._unread.clear()
        self._ended = True
        self._news.set()


class Broadcaster:
    """Tells those who watch what happens; lives on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._followers: dict[_Topic, set[Follower]] = {}
        self._known = _Known(Start(settled=0, seen=frozenset(), fence=0), 0.0)
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._thread = anyio.CapacityLimiter(1)
        self._closing = False

    @asynccontextmanager
    async def watch(self, identity: uuid.UUID) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set once this job or run ends.

        Look at it after entering: what has ended already need not be waited for.

        Raises:
            Unavailable: Postgres does not answer.
        """
        await self._read()
        ended = asyncio.Event()
        if self._closing:
            ended.set()
        self._waiters.setdefault(identity, set()).add(ended)
        try:
            yield ended
        finally:
            _remove(self._waiters, identity, ended)

    async def at_the_end(
        self, identity: uuid.UUID, wait_s: float, read: Callable[[], Seen], *, ended: Callable[[Seen], bool]
    ) -> Seen:
        """Read something at once, or when the job or run that it is about has ended, or the time is over.

        `read` is called in a thread; `ended` says whether waiting is needless.
        """
        if wait_s == 0:
            return await run_in_threadpool(read)
        async with self.watch(identity) as end:
            seen = await run_in_threadpool(read)
            if ended(seen):
                return seen
            with anyio.move_on_after(wait_s):
                await end.wait()
            return await run_in_threadpool(read)

    @asynccontextmanager
    async def follow(
        self, *, job: uuid.UUID | None = None, run: uuid.UUID | None = None, project: uuid.UUID | None = None
    ) -> AsyncIterator[Follower]:
        """Give the events from now on of one job, one run with its jobs, one project, or of everything.

        Read history after entering. Of a job, everything that this history lacks will come, and some of what
        it has may come again, with ids that are not higher. Of a run, everything comes in the order of ids,
        some later than it became visible: read its history up to `settled`, and what comes goes on from
        there. Otherwise events come as they become visible: in order within each job alone.

        Raises:
            Unavailable: Postgres does not answer, or too many follow already.
        """
        await self._read()
        if sum(map(len, self._followers.values())) >= MAX_FOLLOWERS:
            raise Unavailable("too many streams are open; try again later, or ask with `wait`")
        topic = _topic(job, run, project)
        follower = Follower(settled=self._known.settled)
        if self._closing:
            follower.let_go()
        self._followers.setdefault(topic, set()).add(follower)
        try:
            yield follower
        finally:
            _remove(self._followers, topic, follower)

    def watchers(self) -> int:
        """Count those who wait or follow."""
        return sum(map(len, self._waiters.values())) + sum(map(len, self._followers.values()))

    def release(self) -> None:
        """Let everyone go, now and from now on: the process stops."""
        self._closing = True
        self._let_go()

    def _let_go(self) -> None:
        for waiters in self._waiters.values():
            for ended in waiters:
                ended.set()
        for followers in self._followers.values():
            for follower in followers:
                follower.let_go()

    async def _read(self) -> None:
        """Have a reader that has looked once: what happens from here on is news to it.

        The caller adds itself before it gives way to anything else, so that the reader finds it.
        """
        async with self._starting:
            if self._closing or (self._reader is not None and not self._reader.done()):
                return
            start = await anyio.to_thread.run_sync(self._start, limiter=self._thread)
            self._known = _Known(start, time.monotonic())
            self._reader = asyncio.create_task(self._run(), name="reader")
            self._reader.add_done_callback(self._after)

    def _after(self, reader: asyncio.Task[None]) -> None:
        """After a reader that broke, let everyone look for themselves; who comes next starts another one."""
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            _log.error("reader_broken", watchers=self.watchers(), exc_info=error)
            self._let_go()

    async def _run(self) -> None:
        while self.watchers() and not self._closing:
            pause = POLL_S
            try:
                if await self._look() == BATCH:
                    pause = 0.0
            except Unavailable:
                pause = POLL_WITHOUT_DATABASE_S
                _log.warning("events_unreadable", watchers=self.watchers())
            await asyncio.sleep(pause)

    async def _look(self) -> int:
        known, began = self._known, time.monotonic()
        found = await anyio.to_thread.run_sync(self._news, known.settled, known.newest, limiter=self._thread)
        for event in known.fresh(found.rows):
            self._tell(event)
        for event in known.settle(found, began=began, ended=time.monotonic()):
            self._give([("run", event.run_id)], event)
        return len(found.rows)

    def _start(self) -> Start:
        with self._database.begin() as connection:
            return events.start(connection)

    def _news(self, settled: int, newest: int) -> News:
        with self._database.begin() as connection:
            return events.news(connection, settled=settled, highest=newest, limit=BATCH)

    def _tell(self, event: EventRow) -> None:
        identity = event.ended()
        if identity is not None:
            for ended in self._waiters.get(identity, ()):
                ended.set()
        self._give([("job", event.job_id), ("project", event.project_id), _EVERYTHING], event)

    def _give(self, topics: Iterable[_Topic], event: EventRow) -> None:
        for topic in topics:
            for follower in self._followers.get(topic, ()):
                follower.give(event)


class _Known:
    """What the reader knows: all events up to `settled`, and some after it."""

    def __init__(self, start: Start, now: float) -> None:
        self.settled = start.settled
        self.newest = max(start.seen, default=start.settled)
        self._seen = set(start.seen)  # after `settled`
        self._marks = deque([_Mark(newest=self.newest, fence=start.fence, at=now)])  # oldest first

    def fresh(self, rows: list[EventRow]) -> list[EventRow]:
        """Give those that were never seen, and remember them."""
        fresh = [event for event in rows if event.id not in self._seen]
        self._seen.update(event.id for event in fresh)
        return fresh

    def settle(self, found: News, *, began: float, ended: float) -> list[EventRow]:
        """Move on the point up to which all is known; give the events that it passes, by id.

        The times are those of the look; what it found is never older than its beginning.
        """
        if found.fence is not None:
            self.newest = found.rows[-1].id
            self._marks.append(_Mark(newest=self.newest, fence=found.fence, at=ended))
        read_up_to = found.rows[-1].id if len(found.rows) >= BATCH else self.newest
        before = self.settled
        while self._marks and self._marks[0].has_passed(found.oldest, began):
            self.settled = max(before, min(self._marks[0].newest, read_up_to))
            if self._marks[0].newest > read_up_to:
                break  # late events have filled the batch: the rest is read by the next look
            self._marks.popleft()
        if self.settled == before:
            return []
        self._seen = {number for number in self._seen if number > self.settled}
        return [event for event in found.rows if event.id <= self.settled]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What an earlier look has seen: its newest event, a fence behind everything before that, and when."""

    newest: int
    fence: int
    at: float

    def has_passed(self, oldest: int, now: float) -> bool:
        """Say whether a look finds nobody open any more who may hold an id up to the newest of this one."""
        return self.fence < oldest or now - self.at > SETTLED_AFTER_S


def _topic(job: uuid.UUID | None, run: uuid.UUID | None, project: uuid.UUID | None) -> _Topic:
    for name, identity in (("job", job), ("run", run), ("project", project)):
        if identity is not None:
            return name, identity
    return _EVERYTHING


def _remove(members: dict[_Key, set[_Member]], key: _Key, member: _Member) -> None:
    members[key].discard(member)
    if not members[key]:
        del members[key]
