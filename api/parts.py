"""What the endpoints work with, composed once by `api.app` and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.database import Database
from api.waiting import Broadcaster
from api.waking import Waker
from patchmill.queue.dispatch import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The services and the limits of this process."""

    database: Database
    broker: Broker
    waker: Waker
    waiting: Broadcaster
    pepper: bytes
    model: str  # of a first call: its price bounds the smallest useful budget
    call_deadline_s: float
    max_file_bytes: int


async def _of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_of)]
