"""Rows of the price list as people write and read them: dollars per million tokens, and hours of the day."""

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from patchmill.budget.prices import Calendar, Price, Rates, from_usd, to_usd
from patchmill.budget.windows import time_zones
from patchmill.instants import rfc3339

TOKENS_PER_RATE = 1_000_000
MAX_RATE_PICOS = 10**12  # a dollar a token: a whole context of it still fits the ledger
RATES = ("input", "cached", "output")
EDGE = {name: f"{name}_usd_per_million" for name in RATES}
EXAMPLE = "'Asia/Shanghai 9-12,14-18'"
MODEL_LENGTH = SOURCE_LENGTH = 200
YEARS = range(2000, 3000)  # in which a price may begin or end

_HOURS = re.compile(r"([0-9]{1,2})-([0-9]{1,2})")
_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """A stored row: its number, the price, and where it was found."""

    id: int
    price: Price
    source: str


def rate_of(text: str) -> int:
    """Read US dollars per million tokens as pico-dollars per token.

    Raises:
        ValueError: no plain decimal, finer than a pico-dollar a token, or more than a dollar a token.
    """
    picos, rest = divmod(from_usd(text), TOKENS_PER_RATE)
    if rest:
        raise ValueError("finer than 0.000001 for a million tokens, which is a pico-dollar a token")
    if picos > MAX_RATE_PICOS:
        raise ValueError("more than a dollar a token")
    return picos


def rate_text(picos: int) -> str:
    """Write pico-dollars per token as US dollars per million tokens."""
    return to_usd(picos * TOKENS_PER_RATE)


def calendar_of(text: str) -> Calendar:
    """Read the hours in which a price outranks the plain one, as `Asia/Shanghai 9-12,14-18`.

    Raises:
        ValueError: says what is wrong with it.
    """
    zone, _, hours = text.strip().partition(" ")
    return calendar_from(zone, hours.split(","))


def calendar_from(time_zone: str, hours: Iterable[str]) -> Calendar:
    """Make a calendar of hours of the day, as `9-18`, or `22-6` over midnight; raises as `calendar_of`."""
    if time_zone not in time_zones():
        raise ValueError(f"{time_zone[:64]!r} is not the name of a time zone; write it as {EXAMPLE}")
    spans = [span for each in hours for span in _spans(each.strip())]
    if not spans:
        raise ValueError(f"has no hours; write it as {EXAMPLE}")
    return Calendar(time_zone=time_zone, hours=tuple(sorted(set(spans))))


def _spans(text: str) -> list[tuple[int, int]]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:20]!r} is not hours of the day such as 9-18; write it as {EXAMPLE}")
    start, end = int(found[1]), int(found[2])
    if start >= _DAY or end > _DAY or start == end:
        raise ValueError(f"{text!r} is not hours of a day, which go from 0 to 24")
    # Over midnight it is two stretches of one day.
    return [(start, end)] if start < end else [(start, _DAY), *([(0, end)] if end else [])]


def hours_text(calendar: Calendar) -> list[str]:
    """Write the hours of a calendar."""
    return [f"{start}-{end}" for start, end in calendar.hours]


def refuse_far_off(at: datetime) -> None:
    """Refuse a time of no use to a price.

    Raises:
        ValueError: says in which years it must lie.
    """
    if at.year not in YEARS:
        raise ValueError(f"lies outside the years {YEARS[0]} to {YEARS[-1]}")


def make_price(
    model: str,
    rates: Mapping[str, int],
    *,
    valid_from: datetime,
    valid_to: datetime | None = None,
    calendar: Calendar | None = None,
) -> Price:
    """Make a price of what was read.

    Raises:
        ValueError: it ends before it begins.
    """
    if valid_to is not None and valid_to <= valid_from:
        raise ValueError("must be later than the beginning")
    return Price(
        model=model,
        rates=Rates(**{f"{name}_picos": rates[name] for name in RATES}),
        valid_from=valid_from,
        valid_to=valid_to,
        calendar=calendar,
    )


def status_of(row: PriceRow, rows: Sequence[PriceRow], now: datetime) -> str:
    """Say whether a row is `current`, `upcoming`, or `past`: over, or replaced by one with the same hours."""
    return _status(row, _holding(rows, now), now)


def _status(row: PriceRow, holding: Collection[int], now: datetime) -> str:
    if row.price.valid_from > now:
        return "upcoming"
    return "current" if row.id in holding else "past"


def _holding(rows: Sequence[PriceRow], now: datetime) -> set[int]:
    """Give those that hold now and that no later one with the same hours replaces."""
    last: dict[Hashable, PriceRow] = {}
    for row in sorted(rows, key=lambda each: (each.price.valid_from, each.id)):
        price = row.price
        if price.valid_from <= now and (price.valid_to is None or now < price.valid_to):
            last[price.model, price.calendar] = row
    return {row.id for row in last.values()}


def sorted_rows(rows: Sequence[PriceRow], now: datetime) -> list[tuple[PriceRow, str]]:
    """Give rows with their status: current ones by model, then upcoming ones, then past ones."""
    holding = _holding(rows, now)
    with_status = [(row, _status(row, holding, now)) for row in rows]
    order = ("current", "upcoming", "past")

    def place(pair: tuple[PriceRow, str]) -> tuple[Any, ...]:
        row, status = pair
        begins = row.price.valid_from.timestamp()
        by_model = (row.price.model, row.price.calendar is not None)
        rest = (by_model, begins) if status != "past" else ((-begins,), 0)
        return (order.index(status), *rest, -row.id)

    return sorted(with_status, key=place)


def document_of(row: PriceRow, status: str) -> dict[str, Any]:
    """Give a row as the API and the command show it."""
    price, calendar = row.price, row.price.calendar
    return {
        "id": f"prc_{row.id}",
        "model": price.model,
        "status": status,
        **{EDGE[name]: rate_text(getattr(price.rates, f"{name}_picos")) for name in RATES},
        "peak": None
        if calendar is None
        else {"time_zone": calendar.time_zone, "hours": hours_text(calendar)},
        "valid_from": rfc3339(price.valid_from),
        "valid_to": None if price.valid_to is None else rfc3339(price.valid_to),
        "source": row.source,
    }
