"""What the gateway's headers say of money: heard with every call, written down now and then."""

import threading
from dataclasses import astuple
from typing import Any

from sqlalchemy import Engine

from patchmill.call.reply import Quota
from patchmill.store import circuits as store


class QuotaNote:
    """The last that this process has heard; every method may be called from any thread.

    Hearing costs a call nothing. The clock writes, so that the last word of a burst is never lost.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._heard: Quota | None = None

    def hear(self, quota: Quota) -> None:
        """Take what came with a call, if it says anything."""
        if any(each is not None for each in astuple(quota)):
            with self._lock:
                self._heard = quota

    def write(self) -> None:
        """Store the last that was heard since this was called before; nothing when that was nothing."""
        with self._lock:
            heard, self._heard = self._heard, None
        if heard is not None:
            with self._engine.begin() as connection:
                store.note_quota(connection, _as_stored(heard))


def _as_stored(quota: Quota) -> dict[str, Any]:
    """Write it as JSON can hold it: amounts as decimal strings, and by the names that readers know."""
    amounts = {
        "limit_usd": quota.limit_usd,
        "remaining_usd": quota.remaining_usd,
        "key_remaining_usd": quota.key_usd,
        "account_remaining_usd": quota.org_usd,
    }
    said = {name: None if amount is None else f"{amount:f}" for name, amount in amounts.items()}
    return {**said, "resets_at": None if quota.reset_at is None else quota.reset_at.isoformat()}
