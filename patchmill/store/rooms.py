"""What a call must fit in: its job's own cap, its run's, and the current windows of budgets.

The database's function `hold_call` locks and compares them, and `why_not_held` says what they are. Here that
becomes `Room`s to decide by, and windows are made that were missed.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.ledger import Amount, Room, name_of_budget
from patchmill.budget.windows import WindowKind, bounds
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import budgets, windows

Row = Mapping[str, Any]

_OF_RUN = {"name": "max_cost_usd of the run"}


def rooms_of(connection: Connection, rows: Sequence[Row]) -> list[Room]:
    """Give the rooms that a hold did not fit: the job's own, its run's if that has a cap, its budgets'."""
    names = _names(connection, [row["budget"] for row in rows if "budget" in row])
    return [_room(row, names) for row in rows]


def _names(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    columns = (budgets.c.id, budgets.c.name, budgets.c.scope, budgets.c.window)
    found = connection.execute(select(*columns).where(budgets.c.id.in_(map(uuid.UUID, ids)))) if ids else ()
    return {str(row.id): name_of_budget(row.name, row.scope, row.window) for row in found}


def _room(row: Row, names: Mapping[str, str]) -> Room:
    resets_at = row.get("resets_at")
    named = {"name": names[row["budget"]]} if "budget" in row else _OF_RUN if "run" in row else {}
    return Room(
        cap_tokens=row.get("cap_tokens"),
        cap_picos=row["cap_picos"],
        settled=_amount(row, "settled"),
        held=_amount(row, "held"),
        uncertain=_amount(row, "uncertain"),
        resets_at=None if resets_at is None else datetime.fromisoformat(resets_at),
        waits=row.get("waits", False),
        budget=_whose(row),
        **named,
        resets_in_s=row.get("resets_in_s"),
    )


def _amount(row: Row, counter: str) -> Amount:
    return Amount(tokens=row.get(f"{counter}_tokens", 0), picos=row[f"{counter}_picos"])


def _whose(row: Row) -> str | None:
    if "run" in row:
        return to_edge("run", uuid.UUID(row["run"]))
    return to_edge("bud", uuid.UUID(row["budget"])) if "budget" in row else None


_MAKE_MISSING = upsert(windows).on_conflict_do_nothing()


def make_windows(connection: Connection, at: str, missing: Sequence[Row]) -> None:
    """Make the windows of budgets that hold the instant `at`, unless somebody else just did."""
    instant = datetime.fromisoformat(at)
    connection.execute(_MAKE_MISSING, [_window(row, instant) for row in missing])


def _window(budget: Row, at: datetime) -> dict[str, Any]:
    span = bounds(WindowKind(budget["window"]), budget["time_zone"], at)
    return {
        "id": new_id(),
        "budget_id": uuid.UUID(budget["budget"]),
        "starts_at": span.starts_at,
        "resets_at": span.resets_at,
        "cap_picos": budget["cap_picos"],
        "cap_tokens": budget["cap_tokens"],
    }
