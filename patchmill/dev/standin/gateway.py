"""What all requests share: options, keys, limits, ledger, behaviour, and the quota headers."""

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from patchmill.dev.standin.behaviour import Behaviour
from patchmill.dev.standin.catalogue import PICOS_PER_USD
from patchmill.dev.standin.faults import FaultRule, Strike
from patchmill.dev.standin.ledger import Ledger
from patchmill.dev.standin.players import Player, Rules
from patchmill.dev.standin.refusal import concurrency_limit, invalid_api_key
from patchmill.dev.standin.spending import WINDOWS_S, Money, check_money, money_headers
from patchmill.dev.standin.tokens import PromptCache
from patchmill.dev.standin.wire_cases import CASES

DEFAULT_KEY = "sk-byts-stand-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stand-in starts, and who answers; its limits on money hold until the behaviour sets others."""

    keys: frozenset[str] = frozenset({DEFAULT_KEY})
    concurrency: int = 25
    ledger_path: Path | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    spend_limit_usd: int = 50
    key_quota_usd: int = 500
    org_quota_usd: int = 1_000
    player: Player = field(default_factory=Rules)

    @property
    def money(self) -> Money:
        """The limits on money."""
        return Money(
            caps=((WINDOWS_S[0], self.spend_limit_usd * PICOS_PER_USD),),
            key_quota_picos=self.key_quota_usd * PICOS_PER_USD,
            wallet_picos=self.org_quota_usd * PICOS_PER_USD,
        )


class Gateway:
    """The state of one stand-in; everything in it runs on one event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.ledger = Ledger(options.ledger_path)
        self.cache = PromptCache()
        self.behave(options.behaviour)
        self.admitted = 0
        self.holding = 0
        self._release = asyncio.Event()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave so from now on: times and draws begin anew."""
        self.behaviour = behaviour.model_copy(deep=True)
        self.chance = random.Random(behaviour.seed)  # noqa: S311 - to be repeatable, not secret
        self._behaves_since = time.monotonic()
        self._next_cases = deque(CASES) if behaviour.every_wire_case else deque()

    def take_fault(self, prompt: str, *, model: str, stream: bool) -> Strike | None:
        """What strikes this request, if anything does."""
        elapsed_s = time.monotonic() - self._behaves_since
        strike = self.behaviour.take_fault(
            prompt, model=model, stream=stream, elapsed_s=elapsed_s, chance=self.chance
        )
        return strike or self._next_case(stream=stream)

    def _next_case(self, *, stream: bool) -> Strike | None:
        for name in self._next_cases:
            if CASES[name].fits(stream=stream):
                self._next_cases.remove(name)
                self._next_cases.append(name)
                return FaultRule(wire_case=name)
        return None

    @property
    def out_of_reach(self) -> frozenset[str]:
        """Models that the key cannot use now: those that are missing, and those of other groups."""
        return frozenset([*self.behaviour.missing_models, *self.behaviour.models_not_in_group])

    @property
    def money(self) -> Money:
        """The limits on money that hold now."""
        limits = self.behaviour.limits
        return self.options.money if limits is None else limits.money

    @property
    def concurrency(self) -> int:
        """Requests that the account may have in flight now."""
        return self.behaviour.concurrency or self.options.concurrency

    def admit(self, key: str) -> None:
        """Take one of the account's places; raises Refusal 402 or 429 when money or places are used up."""
        check_money(self.ledger.spending, key, self.money)
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
        if not self.behaviour.odd.quota_headers:
            return {}
        return money_headers(self.ledger.spending, key, self.money)


def sent_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key of a request: `x-api-key` wins over `Authorization: Bearer`."""
    found = {name: value.decode("latin-1") for name, value in headers}
    if b"x-api-key" in found:
        return found[b"x-api-key"].strip()
    scheme, _, token = found.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
