"""Waiting for what happens to jobs and runs: one reader a process, and only while someone watches.

Nobody is told by the database: the reader looks four times a second for events that are new to it
(`store/events.py` says how it can know that it has seen all, however long a transaction lasts), and hands
them to those who watch, in memory. What is new of a run is given once nothing can precede it any more: that
is what one more look, right after the one that brought it, is for. Whoever watches holds neither a thread nor
a connection. An outage of Postgres only delays: the reader goes on from the moment up to which it knew
everything.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
from fastapi.concurrency import run_in_threadpool

from api.database import Database
from api.known_events import KnownEvents
from patchmill.errors import RateLimited, Unavailable
from patchmill.store import events
from patchmill.store.events import EventRow, Moment
from patchmill.telemetry import get_logger

POLL_S = 0.25
SETTLE_S = 0.02  # after news of a run, until those have ended who were writing when it was read
POLL_WITHOUT_DATABASE_S = 1.0
BATCH = 2_000  # events of one look
MAX_BEHIND = 5_000  # events that a follower may leave unread before it is let go
MAX_FOLLOWERS = 2_000
MAX_FOLLOWERS_OF_PROJECT = 500  # so that no project takes the places of all others

_log = get_logger(__name__)

_Topic = tuple[str, uuid.UUID | None]
_Key = TypeVar("_Key")
_Member = TypeVar("_Member")
Seen = TypeVar("Seen")
_EVERYTHING: _Topic = ("all", None)
_OTHERWISE = "try again later, or ask with `wait`"


class Follower:
    """Events for one who follows, as an iterator.

    It ends when the process stops, or when too many events were left unread: whoever still wants more begins
    anew after the last event that came.
    """

    def __init__(self, *, by: uuid.UUID | None) -> None:
        self.by = by
        self.settled = 0  # of a run: its events up to this id are history, later ones come here
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

    def rest(self) -> list[EventRow]:
        """Give what else has come by now, without waiting for anything."""
        rest = list(self._unread)
        self._unread.clear()
        return rest

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
        self._known: KnownEvents | None = None
        self._any_settled = asyncio.Event()
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
        self,
        *,
        job: uuid.UUID | None = None,
        run: uuid.UUID | None = None,
        project: uuid.UUID | None = None,
        by: uuid.UUID | None = None,
    ) -> AsyncIterator[Follower]:
        """Give the events from now on of one job, one run with its jobs, one project, or of everything.

        `by` is the project whose share of all followers this one counts in.

        Read history after entering. Of a job, everything that this history lacks will come, and some of what
        it has may come again, with ids that are not higher. Of a run, everything comes in the order of ids,
        some later than it became visible: read its history up to `settled`, and what comes goes on from
        there. Otherwise events come as they become visible: in order within each job alone.

        Raises:
            RateLimited: too many follow for this project already.
            Unavailable: Postgres does not answer, or too many follow already.
        """
        await self._read()
        self.refuse_crowd(by)
        topic = _topic(job, run, project)
        follower = Follower(by=by)
        if self._closing:
            follower.let_go()
        self._followers.setdefault(topic, set()).add(follower)
        try:
            if run is not None:
                await self._any_settled.wait()
                follower.settled = self._settled()
            yield follower
        finally:
            _remove(self._followers, topic, follower)

    def refuse_crowd(self, by: uuid.UUID | None) -> None:
        """Refuse one more follower when there are too many, of a project or in all.

        Raises:
            RateLimited: too many follow for this project already.
            Unavailable: too many follow already.
        """
        followers = [follower for members in self._followers.values() for follower in members]
        if len(followers) >= MAX_FOLLOWERS:
            raise Unavailable(f"too many streams are open; {_OTHERWISE}")
        if by is not None and sum(follower.by == by for follower in followers) >= MAX_FOLLOWERS_OF_PROJECT:
            raise RateLimited(
                f"{MAX_FOLLOWERS_OF_PROJECT} streams of this project are open; {_OTHERWISE}", retry_after_s=5
            )

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
        self._any_settled.set()

    async def _read(self) -> None:
        """Have a reader that has looked once: what happens from here on is news to it.

        The caller adds itself before it gives way to anything else, so that the reader finds it.
        """
        async with self._starting:
            if self._closing or (self._reader is not None and not self._reader.done()):
                return
            self._any_settled.clear()
            known = await anyio.to_thread.run_sync(self._start, limiter=self._thread)
            self._keep(known)
            self._reader = asyncio.create_task(self._run(known), name="reader")
            self._reader.add_done_callback(self._after)

    def _after(self, reader: asyncio.Task[None]) -> None:
        """After a reader that broke, let everyone look for themselves; who comes next starts another one."""
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            _log.error("reader_broken", watchers=self.watchers(), exc_info=error)
            self._let_go()

    async def _run(self, known: KnownEvents) -> None:
        pause = POLL_S
        while self.watchers() and not self._closing:
            settles = pause == SETTLE_S
            try:
                pause = await self._look(known)
                if settles and pause == SETTLE_S:
                    pause = POLL_S - SETTLE_S  # news that never ends is no reason to look all the time
            except Unavailable as error:
                pause = POLL_WITHOUT_DATABASE_S
                _log.warning("events_unreadable", watchers=self.watchers(), **self._database.told(error))
            await asyncio.sleep(pause)

    async def _look(self, known: KnownEvents) -> float:
        """Tell what is new, at most a batch of it; says how long to pause before the next look."""
        moment, rows = await anyio.to_thread.run_sync(self._news, known, limiter=self._thread)
        more = len(rows) == BATCH
        for event in rows:
            self._tell(event)
        for event in known.take(moment, rows, more=more):
            self._give([("run", event.run_id)], event)
        self._keep(known)
        if more:
            return 0.0
        is_held_back = known.holds_back(rows) and any(topic[0] == "run" for topic in self._followers)
        return SETTLE_S if is_held_back else POLL_S

    def _keep(self, known: KnownEvents) -> None:
        self._known = known
        if known.settled is not None:
            self._any_settled.set()

    def _settled(self) -> int:
        return 0 if self._known is None or self._known.settled is None else self._known.settled

    def _start(self) -> KnownEvents:
        with self._database.begin() as connection:
            told = events.snapshot(connection)
            newest = events.newest(connection)
            return KnownEvents(told, newest, events.writing(connection))

    def _news(self, known: KnownEvents) -> tuple[Moment, list[EventRow]]:
        with self._database.begin() as connection:
            moment = known.reading or events.moment(connection)
            rows = events.between(
                connection, known.told, moment.snapshot, after=known.read_up_to, limit=BATCH
            )
            return moment, rows

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


def _topic(job: uuid.UUID | None, run: uuid.UUID | None, project: uuid.UUID | None) -> _Topic:
    for name, identity in (("job", job), ("run", run), ("project", project)):
        if identity is not None:
            return name, identity
    return _EVERYTHING


def _remove(members: dict[_Key, set[_Member]], key: _Key, member: _Member) -> None:
    members[key].discard(member)
    if not members[key]:
        del members[key]
