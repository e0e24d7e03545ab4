"""Limits on money: rolling spend caps of each key, its lifetime quota, and the organisation's wallet."""

import math
import time
from collections import deque
from dataclasses import dataclass, field

from patchmill.dev.standin.catalogue import PICOS_PER_USD
from patchmill.dev.standin.refusal import Refusal

HOUR_S = 3600
WINDOWS_S = (5 * HOUR_S, 24 * HOUR_S, 7 * 24 * HOUR_S)
PICOS_PER_MICRO = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Limits in pico-dollars; a cap is a window in seconds and what may be spent in it, 0 for no cap."""

    caps: tuple[tuple[int, int], ...] = ((WINDOWS_S[0], 50 * PICOS_PER_USD),)
    key_quota_picos: int = 500 * PICOS_PER_USD
    wallet_picos: int = 1_000 * PICOS_PER_USD


@dataclass(slots=True)
class _Rolling:
    """What was spent in the last seconds, charge by charge."""

    window_s: int
    charges: deque[tuple[float, int]] = field(default_factory=deque)
    picos: int = 0

    def add(self, at: float, picos: int) -> None:
        self.charges.append((at, picos))
        self.picos += picos

    def forget(self, now: float) -> None:
        while self.charges and self.charges[0][0] <= now - self.window_s:
            self.picos -= self.charges.popleft()[1]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A key's spend bucket: what is left in pico-dollars, and the Unix time from which there is more."""

    cap_picos: int
    left_picos: int
    resets_at: int


class Spending:
    """What each key has spent, by window and in all."""

    def __init__(self) -> None:
        self._rolling: dict[tuple[str | None, int], _Rolling] = {}
        self._charges: list[tuple[float, str | None, int]] = []
        self._of_key: dict[str | None, int] = {}
        self._total = 0

    def charge(self, key: str | None, picos: int, *, at: float) -> None:
        """Count what a call cost, at a Unix time; calls come in order."""
        if picos <= 0:
            return
        self._charges.append((at, key, picos))
        self._of_key[key] = self.of_key(key) + picos
        self._total += picos
        for (owner, _), rolling in self._rolling.items():
            if owner == key:
                rolling.add(at, picos)

    @property
    def total(self) -> int:
        """Pico-dollars spent by all keys."""
        return self._total

    def of_key(self, key: str | None) -> int:
        """Pico-dollars spent by one key."""
        return self._of_key.get(key, 0)

    def tightest(self, key: str | None, money: Money, *, now: float) -> Bucket | None:
        """The key's bucket that is closest to its cap; None without caps."""
        buckets = [self._bucket(key, window_s, cap, now) for window_s, cap in money.caps if cap > 0]
        return min(buckets, key=lambda bucket: bucket.left_picos, default=None)

    def _bucket(self, key: str | None, window_s: int, cap: int, now: float) -> Bucket:
        rolling = self._rolling.get((key, window_s))
        if rolling is None:
            rolling = self._rolling[key, window_s] = _Rolling(window_s)
            for at, owner, picos in self._charges:
                if owner == key:
                    rolling.add(at, picos)
        rolling.forget(now)
        over = rolling.picos - cap
        leaves_at = now
        for at, picos in rolling.charges:
            # Rounded up, so that a client that waits until then has really waited.
            leaves_at = at + window_s
            over -= picos
            if over < 0:
                break
        return Bucket(cap, max(0, cap - rolling.picos), math.ceil(leaves_at))


def check_money(spending: Spending, key: str, money: Money) -> None:
    """Raise Refusal when the wallet, the key's quota or one of its spend caps is used up.

    The call that crosses a limit is still served: what it costs is known only once it has ended.
    """
    if spending.total >= money.wallet_picos:
        raise Refusal(status=402, code="insufficient_balance", message="The organisation's wallet is empty.")
    if spending.of_key(key) >= money.key_quota_picos:
        raise Refusal(status=402, code="quota_exceeded", message="The key's lifetime quota is used up.")
    bucket = spending.tightest(key, money, now=time.time())
    if bucket is not None and bucket.left_picos == 0:
        message = f"The key's spend cap of {usd(bucket.cap_picos)} USD is reached."
        raise Refusal(status=429, code="rate_limit_error", message=message)


def money_headers(spending: Spending, key: str | None, money: Money) -> dict[str, str]:
    """The headers that say what is left; without spend caps those of the lifetime quota stand for them."""
    now = time.time()
    quota_left = money.key_quota_picos - spending.of_key(key)
    bucket = spending.tightest(key, money, now=now)
    if bucket is None:
        bucket = Bucket(money.key_quota_picos, quota_left, math.ceil(now))
    return {
        "X-RateLimit-Limit": usd(bucket.cap_picos),
        "X-RateLimit-Remaining": usd(bucket.left_picos),
        "X-RateLimit-Reset": str(bucket.resets_at),
        "X-Quota-Remaining-Credits": usd(quota_left),
        "X-Org-Quota-Remaining-Credits": usd(money.wallet_picos - spending.total),
    }


def usd(picos: int) -> str:
    """US dollars with six places, never below zero, without a float on the way."""
    micros = max(0, picos) // PICOS_PER_MICRO
    return f"{micros // 10**6}.{micros % 10**6:06d}"
