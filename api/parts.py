"""What the endpoints work with, composed once by `api.app` and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.courier import Courier
from api.database import Database
from api.slots import SlotBoard
from api.waiting import Broadcaster
from api.waking import Waker
from patchmill.deliver.addresses import Network
from patchmill.job.ladder import Policy
from patchmill.queue.dispatch import Broker


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The services and the limits of this process."""

    database: Database
    broker: Broker
    waker: Waker
    waiting: Broadcaster
    courier: Courier
    webhook_networks: tuple[Network, ...]  # that are not public, and may be reached all the same
    pepper: bytes
    policy: Policy  # of projects that have set nothing; its model's price bounds the smallest budget
    call_deadline_s: float
    lease_ttl_s: float  # how long a worker may be silent and still counts as alive
    slots: SlotBoard
    max_file_bytes: int
    retention_days: int  # of projects that have set none; 0 is for ever


async def _of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_of)]
