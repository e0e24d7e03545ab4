"""The shapes of webhooks: requests, answers and their examples."""

import re
from typing import Annotated, Any, Literal

import httpx
from pydantic import AfterValidator, Field

from api.fields import Instant as GivenInstant
from api.fields import fault
from api.problems import nearest
from api.requests import Body
from api.schemas import Instant, Shape
from patchmill.deliver.webhook import TYPES

MAX_URL = 2_000
WEB_PORTS = (80, 443)
FIRST_FREE_PORT = 1_024  # below it the ports belong to other protocols
MAX_PORT = 65_535

_AUTHORITY = re.compile("[/?#]")  # what ends a URL's host


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
        host = url.host  # decoded only now: what no name of a host can be is a ValueError
    except (httpx.InvalidURL, ValueError) as error:
        raise fault("not_allowed", f"is not a URL: {str(error)[:100]}") from None
    if url.scheme not in {"http", "https"} or not host:
        raise fault("not_allowed", "must begin with https:// or http:// and name a host")
    if url.userinfo or "@" in _AUTHORITY.split(text.partition("//")[2], maxsplit=1)[0]:
        raise fault("not_allowed", "has a user name; messages are signed, and need no password")
    if url.fragment or "#" in text:
        raise fault("not_allowed", "has a fragment, which is never sent")
    if "%" in host or "\\" in text or any(character.isspace() for character in text):
        raise fault("not_allowed", "has a blank, a backslash, or an escape in its host")
    if url.port is not None and url.port not in WEB_PORTS and not FIRST_FREE_PORT <= url.port <= MAX_PORT:
        raise fault("not_allowed", "has a port of another protocol; use 80, 443, or one from 1024 on")
    return text


def _event(name: str) -> str:
    if name not in TYPES:
        raise fault("not_allowed", f"there is no such event{nearest(name, TYPES)}")
    return name


Url = Annotated[
    str,
    Field(min_length=1, max_length=MAX_URL, description="https or http, at a public address"),
    AfterValidator(_url),
]
Events = Annotated[
    list[Annotated[str, AfterValidator(_event)]],
    Field(min_length=1, max_length=50, description=f"of {', '.join(TYPES)}"),
]


class WebhookRequest(Body):
    """Where to send which news of the caller's project."""

    url: Url
    events: Events
    enabled: bool = True


class WebhookChange(Body):
    """What to change of a webhook; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    enabled: bool | None = None


class ReplayRequest(Body):
    """Which failed messages to send once more: those since this time, by their own."""

    since: GivenInstant


class Webhook(Shape):
    """Where news goes; its secret is shown once, by the answers that create and rotate it."""

    id: str
    url: str
    events: list[str]
    enabled: bool
    failing_since: Instant | None = Field(description="of the first failure since a delivery last succeeded")


class NewWebhook(Webhook):
    """A webhook with the secret that its messages are signed with."""

    secret: str


class WebhookList(Shape):
    """A page of webhooks, newest first."""

    data: list[Webhook]
    next_cursor: str | None


class Attempt(Shape):
    """One request to the endpoint."""

    at: Instant
    status: int | None
    latency_ms: int
    error: str | None


class Delivery(Shape):
    """One message on its way to one webhook."""

    id: str
    webhook: str
    message: str = Field(description="the header `webhook-id`: the same for each attempt and each replay")
    type: str
    state: Literal["pending", "delivered", "failed"]
    attempts: list[Attempt]
    next_attempt_at: Instant | None


class DeliveryList(Shape):
    """A page of deliveries, newest first."""

    data: list[Delivery]
    next_cursor: str | None


class Replayed(Shape):
    """How many messages are on their way once more; ask again until there is none."""

    replayed: int


_ID = "whk_019ab3f0d1a27c3e9b1a2c3d4e5f6071"
_AT = "2026-11-22T12:00:00.000000Z"

WEBHOOK_REQUESTS: dict[str, Any] = {
    "jobs and runs": {
        "url": "https://ci.example.com/patchmill",
        "events": ["job.succeeded", "job.failed", "run.finished"],
    },
}
WEBHOOK_CHANGES: dict[str, Any] = {"disable": {"enabled": False}}
REPLAY_REQUESTS: dict[str, Any] = {"since an outage": {"since": "2026-11-22T09:30:00Z"}}

WEBHOOK: dict[str, Any] = {
    "id": _ID,
    **WEBHOOK_REQUESTS["jobs and runs"],
    "enabled": True,
    "failing_since": None,
}
NEW_WEBHOOK: dict[str, Any] = {**WEBHOOK, "secret": "whsec_…"}
WEBHOOK_LIST: dict[str, Any] = {"data": [WEBHOOK], "next_cursor": None}
DELIVERY: dict[str, Any] = {
    "id": "dlv_019ab3f0d2b37d4fac2b3d4e5f607182",
    "webhook": _ID,
    "message": "msg_019ab3f0d2b37d4fac2b3d4e5f607183",
    "type": "job.succeeded",
    "state": "pending",
    "attempts": [{"at": _AT, "status": 503, "latency_ms": 12, "error": "the endpoint answered 503"}],
    "next_attempt_at": "2026-11-22T12:00:05.000000Z",
}
NEW_DELIVERY: dict[str, Any] = {**DELIVERY, "attempts": [], "next_attempt_at": _AT}
DELIVERY_LIST: dict[str, Any] = {"data": [DELIVERY], "next_cursor": None}
REPLAYED: dict[str, Any] = {"replayed": 12}
