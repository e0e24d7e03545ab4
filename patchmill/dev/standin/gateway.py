"""What all requests share: options, keys, limits, ledger, behaviour, and the quota headers."""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from patchmill.dev.standin.catalogue import PICOS_PER_USD
from patchmill.dev.standin.faults import Behaviour
from patchmill.dev.standin.ledger import Ledger
from patchmill.dev.standin.refusal import concurrency_limit, invalid_api_key
from patchmill.dev.standin.tokens import PromptCache

DEFAULT_KEY = "sk-byts-stand-in"
SPEND_WINDOW_S = 5 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stand-in starts. The money amounts only fill the quota headers; faults show what a cap does."""

    keys: frozenset[str] = frozenset({DEFAULT_KEY})
    concurrency: int = 25
    ledger_path: Path | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    spend_limit_usd: int = 50
    key_quota_usd: int = 500
    org_quota_usd: int = 1_000


class Gateway:
    """The state of one stand-in; everything in it runs on one event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ledger = Ledger(options.ledger_path)
        self.cache = PromptCache()
        self.behaviour = options.behaviour.model_copy(deep=True)
        self.admitted = 0
        self.holding = 0
        self._release = asyncio.Event()

    @property
    def concurrency(self) -> int:
        """Requests that the account may have in flight now."""
        return self.behaviour.concurrency or self.options.concurrency

    def admit(self) -> None:
        """Take one of the account's places; raises Refusal 429 when all are taken."""
        if self.admitted >= self.concurrency:
            raise concurrency_limit(self.concurrency)
        self.admitted += 1

    @property
    def release_signal(self) -> asyncio.Event:
        """What a request that is held now waits for."""
        return self._release

    def release(self) -> int:
        """Let go of every request that is held; returns how many."""
        self._release.set()
        self._release = asyncio.Event()
        return self.holding

    def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The accepted key that came with a request; raises Refusal 401."""
        key = sent_key(headers)
        if key is None or key not in self.options.keys:
            raise invalid_api_key()
        return key

    def key_name(self, key: str | None) -> str | None:
        """The key as the ledger writes it: one that is not accepted, maybe a real one, only as a digest."""
        if key is None or key in self.options.keys:
            return key
        return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def quota_headers(self, key: str | None) -> dict[str, str]:
        """The headers that every response carries."""
        spent = self.ledger.spent_picos(key or "")
        now = int(time.time())
        return {
            "X-RateLimit-Limit": _usd(self.options.spend_limit_usd * PICOS_PER_USD),
            "X-RateLimit-Remaining": _usd(self.options.spend_limit_usd * PICOS_PER_USD - spent),
            "X-RateLimit-Reset": str(now - now % SPEND_WINDOW_S + SPEND_WINDOW_S),
            "X-Quota-Remaining-Credits": _usd(self.options.key_quota_usd * PICOS_PER_USD - spent),
            "X-Org-Quota-Remaining-Credits": _usd(
                self.options.org_quota_usd * PICOS_PER_USD - self.ledger.spent_picos()
            ),
        }


def sent_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key of a request: `x-api-key` wins over `Authorization: Bearer`."""
    found = {name: value.decode("latin-1") for name, value in headers}
    if b"x-api-key" in found:
        return found[b"x-api-key"].strip()
    scheme, _, token = found.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _usd(picos: int) -> str:
    """US dollars with six places, never below zero, without a float on the way."""
    micros = max(0, picos) // 10**6
    return f"{micros // 10**6}.{micros % 10**6:06d}"
