"""What a webhook is told and how: the types of messages, their body and their headers."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from patchmill import __version__
from patchmill.deliver.signature import sign
from patchmill.instants import rfc3339

TYPES = (
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "run.finished",
    "suggestion.outcome",
    "budget.alert",
    "budget.exhausted",
    "gateway.paused",
    "gateway.resumed",
    "webhook.test",
)
TEST = "webhook.test"
MAX_BODY_BYTES = 20_000  # of a message: what Standard Webhooks asks for


def body(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Give a message's body: the same bytes for each attempt and replay, in ASCII.

    `at` is the message's own time, with `Z` and microseconds; `data` is written in the order of its names.
    """
    message = {"type": kind, "timestamp": rfc3339(at), "data": data}
    return json.dumps(message, separators=(",", ":"))


def headers(message: str, at: datetime, text: str, secrets: Sequence[str]) -> dict[str, str]:
    """Give the headers of one attempt, made at a time in UTC, to deliver a body."""
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Patchmill/{__version__}",
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secrets, message, at, text),
    }
