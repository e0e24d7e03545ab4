"""Prices from a file: CSV or JSON, each row with the number of its line, and what is wrong with it."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from patchmill.budget.price_rows import (
    EDGE,
    MODEL_LENGTH,
    RATES,
    SOURCE_LENGTH,
    calendar_from,
    calendar_of,
    make_price,
    rate_of,
    refuse_far_off,
)
from patchmill.budget.prices import Calendar, Price
from patchmill.errors import ConfigurationError

IGNORED = ("id", "status")  # what `patchmill prices --json` writes beside
FIELDS = ("model", *EDGE.values(), "peak", "valid_from", "valid_to", "source")
NEEDED = ("model", *EDGE.values())
SOURCE = "operator"
_BLANK = re.compile(r"\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPrices:
    """The rows of a file, and a sentence for each line that is none."""

    rows: list[tuple[Price, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def read_prices(text: str, now: datetime) -> ReadPrices:
    """Read a list of prices; those without a beginning begin `now`.

    Raises:
        ConfigurationError: it is neither a JSON list nor CSV with a header.
    """
    read = ReadPrices()
    entries = _json_entries(text) if text.lstrip()[:1] in {"[", "{"} else _csv_entries(text)
    for line, entry in entries:
        try:
            read.rows.append(price_from(entry, now))
        except ValueError as error:
            read.wrong.append(f"line {line}: {error}")
    return read


def price_from(entry: Mapping[str, Any], now: datetime) -> tuple[Price, str]:
    """Make a price, and its source, of the fields that people give.

    Raises:
        ValueError: names the field, and says what is wrong with it.
    """
    _refuse_unknown(entry)
    missing = [name for name in NEEDED if not _given(entry, name)]
    if missing:
        raise ValueError(f"{missing[0]}: is missing")
    model = _text(entry, "model", MODEL_LENGTH)
    rates = {name: _rate(entry, EDGE[name]) for name in RATES}
    valid_from = _time(entry, "valid_from") or now
    valid_to, calendar = _time(entry, "valid_to"), _calendar(entry)
    try:
        price = make_price(model, rates, valid_from=valid_from, valid_to=valid_to, calendar=calendar)
    except ValueError as error:
        raise ValueError(f"valid_to: {error}") from None
    return price, _text(entry, "source", SOURCE_LENGTH) if _given(entry, "source") else SOURCE


def _refuse_unknown(names: Iterable[Any]) -> None:
    names = list(names)
    if None in names:
        raise ValueError("has more columns than the header; a field with commas stands in double quotes")
    unknown = [name for name in names if name not in FIELDS and name not in IGNORED]
    if unknown:
        raise ValueError(f"there is no field {str(unknown[0])[:50]!r}; known: {', '.join(FIELDS)}")


def _given(entry: Mapping[str, Any], name: str) -> bool:
    return entry.get(name) not in {None, ""} if not isinstance(entry.get(name), dict | list) else True


def _text(entry: Mapping[str, Any], name: str, longest: int) -> str:
    value = entry[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be text")  # noqa: TRY004 - one kind of error for a mistake in a file
    if len(value) > longest:
        raise ValueError(f"{name}: must be at most {longest} characters")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError(f"{name}: has a character that cannot be stored")
    return value


def _rate(entry: Mapping[str, Any], name: str) -> int:
    value = entry[name]
    if not isinstance(value, str):
        raise ValueError(f'{name}: must be a decimal number in quotes, such as "0.14"')  # noqa: TRY004 - likewise
    try:
        return rate_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: must be US dollars for a million tokens, such as 0.14: {error}") from None


def _time(entry: Mapping[str, Any], name: str) -> datetime | None:
    if not _given(entry, name):
        return None
    try:
        at = datetime.fromisoformat(entry[name])
        at = (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: must be a time such as 2026-12-01T00:00:00Z, or a day in UTC") from None
    try:
        refuse_far_off(at)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return at


def _calendar(entry: Mapping[str, Any]) -> Calendar | None:
    if not _given(entry, "peak"):
        return None
    peak = entry["peak"]
    try:
        if isinstance(peak, str):
            return calendar_of(peak)
        return calendar_from(peak["time_zone"], peak["hours"])
    except (AttributeError, KeyError, TypeError):
        raise ValueError("peak: must have `time_zone`, and `hours` as a list of texts") from None
    except ValueError as error:
        raise ValueError(f"peak: {error}") from None


def _csv_entries(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    header = [name.strip() for name in reader.fieldnames or []]
    if "model" not in header:
        semicolons = "; columns are parted by commas" if ";" in "".join(header) else ""
        raise ConfigurationError(
            f"the prices are neither a JSON list nor CSV with the header {','.join(FIELDS)}{semicolons}"
        )
    reader.fieldnames = header
    try:
        _refuse_unknown(header)
    except ValueError as error:
        raise ConfigurationError(f"the prices, line 1: {error}") from None
    try:
        for row in reader:
            yield reader.line_num, {name: _cell(value) for name, value in row.items()}
    except csv.Error as error:
        raise ConfigurationError(f"the prices, line {reader.line_num}: {error}") from None


def _cell(value: str | list[str] | None) -> str | list[str]:
    """Give what stands in a column; behind the last one, whose name is None, it is a list."""
    return value if isinstance(value, list) else (value or "").strip()


def _json_entries(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = json.JSONDecoder()
    place = _skip(text, 0)
    if text[place] != "[":
        raise ConfigurationError("the prices must be a JSON list of objects")
    line, seen = 1, 0
    place = _skip(text, place + 1)
    while place < len(text) and text[place] != "]":
        line, seen = line + text.count("\n", seen, place), place
        try:
            entry, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:  # such as a number of thousands of digits
            raise ConfigurationError(f"the prices are not JSON from line {line} on: {error}") from None
        yield line, entry if isinstance(entry, dict) else {str(entry): "no object"}
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            break
    if text[place:].strip() != "]":
        line = text.count("\n", 0, place) + 1
        raise ConfigurationError(f"the prices are not JSON from line {line} on")


def _skip(text: str, place: int) -> int:
    """The next place that is not blank."""
    blank = _BLANK.match(text, place)
    return place if blank is None else blank.end()
