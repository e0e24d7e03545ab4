"""Hundreds of streams of events on one thread, each read as it comes, with the moment at which it came."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from sqlalchemy import Engine

from patchmill.store.ids import to_edge
from tests.support.event_writing import new_job, new_run
from tests.support.stack import until

CROWD = 25  # streams of one run
JOBS_OF_RUN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One stream: what it follows, and with whose key."""

    path: str
    key: str


@dataclass(slots=True)
class Watched:
    """Jobs that events are written of, and the streams that tell them."""

    jobs: list[uuid.UUID] = field(default_factory=list)
    streams: list[Asked] = field(default_factory=list)

    @classmethod
    def half_jobs_half_runs(cls, engine: Engine, keys: Mapping[uuid.UUID, str], number: int) -> Self:
        """Make so many streams, in equal parts of each project: half of jobs, half of runs in crowds."""
        watched = cls()
        each = number // len(keys) // 2
        for project_id, key in keys.items():
            for _ in range(each):
                watched.jobs.append(new_job(engine, project_id))
                watched._follow("job", watched.jobs[-1], key)
            for crowd in range(0, each, CROWD):
                run_id, jobs = new_run(engine, project_id, JOBS_OF_RUN)
                watched.jobs += jobs
                for _ in range(min(CROWD, each - crowd)):
                    watched._follow("run", run_id, key)
        return watched

    def _follow(self, kind: str, identity: uuid.UUID, key: str) -> None:
        self.streams.append(Asked(path=f"/v1/{kind}s/{to_edge(kind, identity)}/events", key=key))


@dataclass(slots=True)
class Heard:
    """What came on one stream: each event's id and its check, if it is of one, with the moment."""

    ids: list[int] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    refused: str = ""


class Watchers:
    """So many streams, open for as long as the block runs."""

    def __init__(self, url: str, streams: Sequence[Asked]) -> None:
        self.heard = [Heard() for _ in streams]
        self._address = urlsplit(url)
        self._streams = streams
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="watchers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            until(self._are_open, f"{len(self._streams)} streams with their history")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def came(self, mark: str) -> list[float]:
        """Give the moments at which a mark came, on the streams on which it has."""
        return [heard.marks[mark] for heard in self.heard if mark in heard.marks]

    def _are_open(self) -> bool:
        refused = [heard.refused for heard in self.heard if heard.refused]
        assert not refused, refused[0]
        return all(heard.ids for heard in self.heard)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._read_all())

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])
        self._thread.join()
        self._loop.close()

    async def _read_all(self) -> None:
        at_once = asyncio.Semaphore(20)  # are being opened
        reading = [
            self._read(asked, heard, at_once) for asked, heard in zip(self._streams, self.heard, strict=True)
        ]
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*reading, return_exceptions=True)

    async def _read(self, asked: Asked, heard: Heard, at_once: asyncio.Semaphore) -> None:
        host, port = self._address.hostname, self._address.port
        async with at_once:
            reader, writer = await asyncio.open_connection(host, port)
            lines = ("GET {0.path} HTTP/1.1", "Host: patchmill", "Authorization: Bearer {0.key}", "", "")
            writer.write("\r\n".join(lines).format(asked).encode())
            status = await reader.readline()
            if b" 200 " not in status:
                heard.refused = f"{asked.path}: {status.decode()}"
                return
            await _data(reader, heard)
        try:
            while await _data(reader, heard):
                pass
        finally:
            writer.close()


async def _data(reader: asyncio.StreamReader, heard: Heard) -> bool:
    """Read up to the next event's data; False at the end. A piece that the server sends is whole lines."""
    while line := await reader.readline():
        if line.startswith(b"data: {") and line != b"data: {}\n":
            event = json.loads(line[6:])
            heard.ids.append(int(event["id"]))
            heard.marks.setdefault(event["data"].get("check", ""), time.monotonic())
            return True
    return False
