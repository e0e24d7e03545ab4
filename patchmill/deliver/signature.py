"""Signatures of webhook messages, after Standard Webhooks 1.0.0 by its library.

A webhook's secrets are derived from the installation's pepper and never stored: a copy of the database
signs nothing. Rotating a webhook raises the number that its secret is derived from.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from standardwebhooks import Webhook

OVERLAP = timedelta(hours=24)  # messages are signed with the old secret too for as long after a rotation
_PREFIX = "whsec_"


def secret(pepper: bytes, webhook_id: uuid.UUID, number: int) -> str:
    """Give a webhook's secret of this number, as its receiver writes it: `whsec_` and 32 bytes in base64."""
    key = hmac.digest(pepper, f"webhook:{webhook_id.hex}:{number}".encode(), hashlib.sha256)
    return _PREFIX + base64.b64encode(key).decode()


def secret_numbers(number: int, rotated_at: datetime | None, now: datetime) -> list[int]:
    """Give the numbers of the secrets that are valid now, the current one first."""
    overlaps = rotated_at is not None and now < rotated_at + OVERLAP and number > 1
    return [number, number - 1] if overlaps else [number]


def sign(secrets: Sequence[str], message: str, at: datetime, body: str) -> str:
    """Give the header `webhook-signature`: one signature for each secret, with blanks between them."""
    return " ".join(Webhook(key).sign(message, at, body) for key in secrets)
