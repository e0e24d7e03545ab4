"""Prices as rows with a validity: what a token costs at an instant, and the most it may cost until another.

Rates are integers of pico-US-dollars (1e-12 USD) per token: 0.14 USD per million tokens is 140,000.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

PICOS_PER_USD = 10**12
MAX_PICOS = 2**63 - 1
_HOUR = timedelta(hours=1)
_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+")
_MOST_DIGITS = 7  # of whole dollars in `MAX_PICOS`
_FINEST_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Pico-dollars per token: input not served from the cache, input that was, and output."""

    input_picos: int
    cached_picos: int
    output_picos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Hours of the day, each as [from, to), in which a price outranks the one without a calendar."""

    time_zone: str
    hours: tuple[tuple[int, int], ...]

    def covers(self, at: datetime) -> bool:
        """Say whether the instant lies in one of the hours."""
        hour = at.astimezone(ZoneInfo(self.time_zone)).hour
        return any(start <= hour < end for start, end in self.hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One row of the price list; `valid_to` is open when None, and `id` is None until it is stored."""

    model: str
    rates: Rates
    valid_from: datetime
    valid_to: datetime | None = None
    calendar: Calendar | None = None
    id: int | None = None

    def valid(self, at: datetime) -> bool:
        """Say whether this row holds at the instant."""
        within = self.valid_from <= at and (self.valid_to is None or at < self.valid_to)
        return within and (self.calendar is None or self.calendar.covers(at))


def price_at(prices: Sequence[Price], at: datetime) -> Price | None:
    """Give the row that holds for one model at an instant: a calendar row first, then the latest.

    Of two that begin together the one that was added later holds: it corrects the other.
    """
    rows = [price for price in reversed(prices) if price.valid(at)]
    if not rows:
        return None
    return max(rows, key=lambda price: (price.calendar is not None, price.valid_from))


def rates_at(prices: Sequence[Price], at: datetime) -> Rates | None:
    """Give one model's rates at an instant; None without a row."""
    price = price_at(prices, at)
    return None if price is None else price.rates


def highest_rates(prices: Sequence[Price], since: datetime, until: datetime) -> Rates | None:
    """Give the highest of each rate that may hold between two instants; None if there is a gap."""
    seen = [rates_at(prices, at) for at in _instants(prices, since, until)]
    known = [rates for rates in seen if rates is not None]
    if len(known) < len(seen):
        return None
    return Rates(
        input_picos=max(rates.input_picos for rates in known),
        cached_picos=max(rates.cached_picos for rates in known),
        output_picos=max(rates.output_picos for rates in known),
    )


def lasting(prices: Sequence[Price], now: datetime) -> list[Price]:
    """Give the rows of one model that may hold now or later: none that ended, or was replaced for good."""
    latest: dict[Calendar | None, tuple[datetime, int]] = {}
    for number, price in enumerate(prices):
        if price.valid_to is None and price.valid_from <= now:
            rank = (price.valid_from, number)
            latest[price.calendar] = max(latest.get(price.calendar, rank), rank)
    return [
        price
        for number, price in enumerate(prices)
        if (price.valid_to is None or price.valid_to > now)
        and (price.valid_from, number) >= latest.get(price.calendar, (price.valid_from, number))
    ]


def _instants(prices: Sequence[Price], since: datetime, until: datetime) -> Iterable[datetime]:
    """Every instant in the span at which rates may change: its ends, row borders and quarters of hours.

    Every time zone in use lies a whole number of quarters of an hour from UTC.
    """
    yield since
    for price in prices:
        for border in (price.valid_from, price.valid_to):
            if border is not None and since < border <= until:
                yield border
    quarter = since.replace(minute=0, second=0, microsecond=0)
    while (quarter := quarter + _HOUR / 4) <= until:
        if quarter > since:
            yield quarter
    yield until


def to_usd(picos: int) -> str:
    """Write pico-dollars as a decimal string of dollars, without an exponent or trailing zeros."""
    whole, fraction = divmod(abs(picos), PICOS_PER_USD)
    sign = "-" if picos < 0 else ""
    digits = f"{fraction:012d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def from_usd(text: str) -> int:
    """Read a decimal string of dollars as pico-dollars.

    Raises:
        ValueError: not a plain non-negative decimal, finer than a pico-dollar, or too large to store.
    """
    if text.startswith("-"):
        raise ValueError("below zero")
    if not _PLAIN.fullmatch(text):
        raise ValueError("not a plain decimal number")
    whole, _, fraction = text.partition(".")
    if len(whole.lstrip("0")) > _MOST_DIGITS:  # before Python reads thousands of them
        raise ValueError("larger than the ledger can hold")
    if len(fraction.rstrip("0")) > _FINEST_DIGITS:
        raise ValueError("finer than 0.000000000001")
    picos = int(whole or "0") * PICOS_PER_USD + int(fraction[:_FINEST_DIGITS].ljust(_FINEST_DIGITS, "0"))
    if picos > MAX_PICOS:
        raise ValueError("larger than the ledger can hold")
    return picos
