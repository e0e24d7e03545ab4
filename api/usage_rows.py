"""Rows of usage as people and programs read them: groups by name, money and hours written out; and as CSV."""

import csv
import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from api.database import Connection
from patchmill.budget.local_time import local_day
from patchmill.budget.prices import to_usd
from patchmill.errors import FieldError, InvalidFields
from patchmill.store import overview
from patchmill.store.ids import to_edge
from patchmill.store.usage import Question, Sums, UsageRow, usage

MAX_ROWS = 100_000  # of one export
CSV = "text/csv; charset=utf-8"

_NAMED = {"project": "prj", "key": "key"}  # which have an id and a name
# What a spreadsheet takes for a formula where a cell begins with it, the wide forms of some keyboards too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SUMS = (
    "jobs",
    "calls",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
    "uncertain_usd",
)


def sums_document(sums: Sums) -> dict[str, Any]:
    """Write sums as the API does: money as decimal strings of dollars."""
    counts = {name: getattr(sums, name) for name in _SUMS if not name.endswith("_usd")}
    return counts | {"cost_usd": to_usd(sums.cost_picos), "uncertain_usd": to_usd(sums.uncertain_picos)}


def group_documents(
    connection: Connection, question: Question, rows: Sequence[UsageRow]
) -> list[dict[str, str | None]]:
    """Write the groups of rows: ids as users know them, each with its name, and hours with their offset."""
    names = _names(connection, question, rows)
    return [
        {
            column: value
            for name, place in zip(question.groups, row.place, strict=True)
            for column, value in _written(name, place, names).items()
        }
        for row in rows
    ]


def group_columns(groups: Iterable[str]) -> list[str]:
    """Give the names of what `group_documents` writes."""
    return [column for name in groups for column in _written(name, None, {})]


def csv_text(connection: Connection, question: Question) -> str:
    """Write all rows as CSV: a header, then text that no spreadsheet takes for a formula, and numbers.

    Raises:
        InvalidFields: there are more rows than one export holds.
    """
    rows = usage(connection, question, limit=MAX_ROWS + 1)
    if len(rows) > MAX_ROWS:
        detail = f"gives more than {MAX_ROWS:,} rows; name fewer groups, or ask for a shorter period"
        raise InvalidFields([FieldError("/query/group_by", "too_large", detail)])
    written = io.StringIO(newline="")
    lines = csv.writer(written)
    lines.writerow([*map(harmless, group_columns(question.groups)), *_SUMS])
    for groups, row in zip(group_documents(connection, question, rows), rows, strict=True):
        numbers = sums_document(row.sums)
        lines.writerow([*(harmless(value or "") for value in groups.values()), *numbers.values()])
    return written.getvalue()


def csv_headers(question: Question) -> dict[str, str]:
    """Let a browser keep an export as a file that says which days it is of."""
    first, last = (
        local_day(at, question.time_zone)
        for at in (question.since, question.until - timedelta(microseconds=1))
    )
    name = f"usage-{first}.csv" if first == last else f"usage-{first}-{last}.csv"
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def harmless(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would compute."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _names(connection: Connection, question: Question, rows: Sequence[UsageRow]) -> Mapping[uuid.UUID, str]:
    ids = {
        uuid.UUID(place)
        for row in rows
        for name, place in zip(question.groups, row.place, strict=True)
        if name in _NAMED and place is not None
    }
    return overview.names_of(connection, ids) if ids else {}


def _written(name: str, place: str | None, names: Mapping[uuid.UUID, str]) -> dict[str, str | None]:
    if name in _NAMED:
        identity = None if place is None else uuid.UUID(place)
        return {
            name: None if identity is None else to_edge(_NAMED[name], identity),
            f"{name}_name": None if identity is None else names.get(identity),
        }
    return {name: _hour(place) if name == "hour" and place is not None else place}


def _hour(place: str) -> str:
    """Write when an hour begins, as local clocks show it, with their offset."""
    start, _, ahead = place.partition("|")
    zone = timezone(timedelta(seconds=int(ahead)))
    written = datetime.fromisoformat(start).replace(tzinfo=UTC).astimezone(zone).isoformat()
    return written.removesuffix("+00:00") + "Z" if written.endswith("+00:00") else written
