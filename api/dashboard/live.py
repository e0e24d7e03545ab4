"""What keeps pages live: a stream that says `news`, on which a page fetches its inner part again.

The stream carries no data, so whoever is signed out learns nothing from one that is still open; it ends after
a while, and coming back needs a session.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.dashboard.page_route import PageRoute
from api.dashboard.session import Viewer
from api.parts import PartsOf
from api.waiting import Follower
from patchmill.errors import NotFound
from patchmill.store.ids import from_edge

NEWS = b"event: news\ndata:\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
AT_MOST_EVERY_S = 1.0
SILENCE_S = 9.0
LONGEST_S = 600.0

router = APIRouter(prefix="/live", route_class=PageRoute)


class _Live(StreamingResponse):
    """Follows only while it is sent, however that ends."""

    def __init__(self, following: AbstractAsyncContextManager[Follower], *, ticks: bool) -> None:
        super().__init__((), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._following = following
        self._silence = NEWS if ticks else KEEP_ALIVE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send news until there is none to come, the time is over, or nobody listens."""
        async with self._following as events:
            self.body_iterator = _news(events, self._silence)
            await super().__call__(scope, receive, send)


@router.get("/all")
async def all_live(person: Viewer, parts: PartsOf) -> Response:
    """Tell of everything, and of time that passes: ages and rates change by themselves."""
    del person
    return _Live(parts.waiting.follow(), ticks=True)


@router.get("/jobs/{job_id}")
async def job_live(request: Request, job_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Tell of one job."""
    del person
    return _Live(parts.waiting.follow(job=_identity(request, "job", job_id)), ticks=False)


@router.get("/runs/{run_id}")
async def run_live(request: Request, run_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Tell of one run and its jobs."""
    del person
    return _Live(parts.waiting.follow(run=_identity(request, "run", run_id)), ticks=False)


def _identity(request: Request, prefix: str, text: str) -> uuid.UUID:
    found = from_edge(prefix, text)
    if found is None:
        raise NotFound(f"there is no {request.url.path}")
    return found


async def _news(events: Follower, silence: bytes) -> AsyncIterator[bytes]:
    """Say `news` at once, for what happened while the page was on its way, and then once for each burst.

    `silence` is said after a while without any.
    """
    happened, over = asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        async for _ in events:
            happened.set()
        over.set()
        happened.set()

    listener = asyncio.create_task(listen(), name="listener")
    end = time.monotonic() + LONGEST_S
    said = NEWS
    try:
        while not over.is_set() and time.monotonic() < end:
            happened.clear()
            yield said
            await asyncio.sleep(AT_MOST_EVERY_S)
            said = silence
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE_S):
                    await happened.wait()
                    said = NEWS
    finally:
        listener.cancel()
