"""Events as they happen: a stream for a job, and one for a run with all its jobs.

A stream gives history first, from the beginning or after `Last-Event-ID`, then what happens from then on,
without a gap and without a repetition between the two, and ends with an event `end` once the job or run has
ended. Whoever drops and comes back with the last id that came misses nothing.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Send

from api import live_examples
from api.auth import Caller, Reader
from api.live_shapes import Event
from api.openapi import problems
from api.parts import Parts, PartsOf
from api.query import refuse_unknown
from patchmill.errors import FieldError, InvalidFields, NotAcceptable, NotFound, RateLimited, Unavailable
from patchmill.store import events
from patchmill.store.events import EventRow
from patchmill.store.ids import known_id, no_such, to_edge

MEDIA_TYPE = "text/event-stream"
LAST_EVENT_ID = "Last-Event-ID"
KEEP_ALIVE_S = 15.0
PAGE = 1_000  # events of history read at once
MAX_ID = 2**63 - 1

_RETRY = "retry: 2000\n\n"
_KEEP_ALIVE = ": keep-alive\n\n"
_END = "event: end\ndata: {}\n\n"

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(refuse_unknown())])


class EventStream(StreamingResponse):
    """A stream of events; its generator is closed with it, however it ends."""

    media_type = MEDIA_TYPE

    def __init__(self, frames: AsyncGenerator[str]) -> None:
        super().__init__(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._frames = frames

    async def stream_response(self, send: Send) -> None:
        """Send what comes, for as long as the client takes it."""
        try:
            await super().stream_response(send)
        finally:
            await self._frames.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a stream is about: a job or a run of a project."""

    kind: Literal["job", "run"]
    id: uuid.UUID
    project_id: uuid.UUID

    def named(self) -> dict[str, uuid.UUID]:
        """Give it as the keyword that the store and the reader know it by."""
        return {self.kind: self.id}


_OK: dict[int | str, dict[str, Any]] = {
    int(HTTPStatus.OK): {
        "description": "Frames with `id`, `event` (the type) and `data` (an event as JSON); then `end`.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": live_examples.STREAM}},
    }
}
_PROBLEMS = problems(NotFound, NotAcceptable, InvalidFields, RateLimited)

_LastEventId = Annotated[
    str | None, Header(alias=LAST_EVENT_ID, description="go on after this id", max_length=100)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Who asks for a stream, and the id after which to go on."""

    caller: Caller
    parts: Parts
    after: int


async def _asked(
    request: Request, caller: Reader, parts: PartsOf, last_event_id: _LastEventId = None
) -> _Asked:
    _refuse_other_media(request)
    return _Asked(caller=caller, parts=parts, after=_number(last_event_id))


_Asking = Annotated[_Asked, Depends(_asked)]


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses={**_OK, **_PROBLEMS},
)
async def follow_job(job_id: str, asked: _Asking) -> EventStream:
    """Stream the job's events, the earlier ones first, until it has ended.

    A comment comes each 15 seconds when nothing else does. A stream may break off before its `end`: come back
    with the last id as `Last-Event-ID`. 429 when 500 streams of the project are open already.
    """
    return await _stream(asked, "job", job_id)


@router.get(
    "/runs/{run_id}/events",
    summary="Follow a run",
    status_code=HTTPStatus.OK,
    response_class=EventStream,
    responses={**_OK, **_PROBLEMS},
)
async def follow_run(run_id: str, asked: _Asking) -> EventStream:
    """Stream the events of the run and of all its jobs, in the order of their ids, until the run has ended.

    A comment comes each 15 seconds when nothing else does. A stream may break off before its `end`: come back
    with the last id as `Last-Event-ID`. 429 when 500 streams of the project are open already.
    """
    return await _stream(asked, "run", run_id)


def event_document(event: EventRow) -> Event:
    """Give an event as clients see it."""
    return Event(
        id=str(event.id),
        type=event.type,
        job=None if event.job_id is None else to_edge("job", event.job_id),
        run=None if event.run_id is None else to_edge("run", event.run_id),
        seq=event.seq,
        at=event.at,
        data=dict(event.data),
    )


async def _stream(asked: _Asked, kind: Literal["job", "run"], text: str) -> EventStream:
    project_id = asked.caller.project_id
    asked.parts.waiting.refuse_crowd(project_id)
    subject = Subject(kind=kind, id=known_id(kind, text), project_id=project_id)
    newest = await run_in_threadpool(_newest, asked.parts, subject)
    return EventStream(_frames(asked.parts, subject, min(asked.after, newest)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A part of the history: more may follow it, or what follows comes live, or it is all there will be."""

    events: list[EventRow]
    more: bool
    ended: bool


async def _frames(parts: Parts, subject: Subject, after: int) -> AsyncGenerator[str]:
    """Write a stream; one whose history cannot be read breaks off, and its client comes back."""
    yield _RETRY
    with suppress(Unavailable, RateLimited):
        async with parts.waiting.follow(**subject.named(), by=subject.project_id) as follower:
            last, more, ended = after, True, False
            while more:
                page = await run_in_threadpool(_history, parts, subject, last, follower.settled)
                more, ended = page.more, page.ended
                if page.events:
                    last = page.events[-1].id
                    yield "".join(map(_frame, page.events))
            while not ended:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        event = await anext(follower)
                except TimeoutError:
                    yield _KEEP_ALIVE
                    continue
                except StopAsyncIteration:
                    return
                news = _news([event, *follower.rest()], subject, last)
                if news:  # in one piece: it is a burst that comes to many at once
                    last, ended = news[-1].id, news[-1].ended() == subject.id
                    yield "".join(map(_frame, news))
            yield _END


def _news(rows: list[EventRow], subject: Subject, last: int) -> list[EventRow]:
    """Give what comes after an id, up to the end; what was history comes again when the reader is late."""
    news: list[EventRow] = []
    for event in rows:
        if event.id > last:
            last = event.id
            news.append(event)
            if event.ended() == subject.id:
                break
    return news


def _history(parts: Parts, subject: Subject, after: int, settled: int) -> _Page:
    """Read on: all of a job's events, and those of a run that none can come before any more."""
    with parts.database.begin() as connection:
        if subject.kind == "job":
            rows = events.of_job(connection, subject.id, after=after, limit=PAGE)
        else:
            rows = events.of_run(connection, subject.id, after=after, up_to=settled, limit=PAGE)
        state = events.last_state(connection, **subject.named())
    reached = rows[-1].id if rows else after
    if subject.kind == "run":
        reached = max(reached, settled)
    more = len(rows) == PAGE
    ended = state is not None and state.ended() is not None and state.id <= reached
    return _Page(events=rows, more=more, ended=ended and not more)


def _frame(event: EventRow) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event_document(event).model_dump_json()}\n\n"


def _newest(parts: Parts, subject: Subject) -> int:
    """Give the highest id that a stream can have given so far; raises NotFound without the subject."""
    with parts.database.begin() as connection:
        if not events.belongs(connection, subject.project_id, **subject.named()):
            raise no_such(subject.kind, to_edge(subject.kind, subject.id))
        return events.newest(connection)


def _refuse_other_media(request: Request) -> None:
    accepted = request.headers.get("accept", "*/*")
    if not any(_takes_stream(part) for part in accepted.split(",")):
        raise NotAcceptable(f"this is a stream of events; accept {MEDIA_TYPE}")


def _takes_stream(part: str) -> bool:
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    refused = any(parameter in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for parameter in parameters)
    return media_range in {MEDIA_TYPE, "text/*", "*/*"} and not refused


def _number(last_event_id: str | None) -> int:
    """Read the id after which to go on; raises InvalidFields for one that no stream gave."""
    if last_event_id is None:
        return 0
    number = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else -1
    if not 0 <= number <= MAX_ID:
        detail = "must be the id of an event, as a stream gave it"
        raise InvalidFields([FieldError(f"/headers/{LAST_EVENT_ID}", "not_allowed", detail)])
    return number
