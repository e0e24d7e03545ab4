"""News of budgets, each told once: a window passed a share of its limit, or is used up."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, literal, select, text, true
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.budget.prices import to_usd
from patchmill.instants import rfc3339
from patchmill.store import outbox
from patchmill.store.ids import to_edge
from patchmill.store.tables import budget_alerts, budgets, keys, windows

ALERT = "budget.alert"
EXHAUSTED = "budget.exhausted"
WHOLE = 100
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that was told of a window."""

    budget_id: uuid.UUID
    name: str
    type: str
    percent: int
    at: datetime
    resets_at: datetime | None


_IN_WINDOW = [
    *(windows.c[name] for name in ("starts_at", "resets_at", "settled_picos", "settled_tokens")),
    *(windows.c[name] for name in ("held_picos", "held_tokens", "uncertain_picos", "uncertain_tokens")),
]
_OF_BUDGET = [
    budgets.c[name]
    for name in ("name", "scope", "key_id", "window", "time_zone", "limit_picos", "limit_tokens", "at_limit")
]
_NEWS_OF = (
    select(
        windows.c.id.label("window_id"),
        budgets.c.id.label("budget_id"),
        func.coalesce(budgets.c.project_id, keys.c.project_id).label("project_id"),
        *_OF_BUDGET,
        *_IN_WINDOW,
    )
    .select_from(windows.join(budgets).outerjoin(keys, keys.c.id == budgets.c.key_id))
    .where(windows.c.id == bindparam("window"))
)
# The two newest windows of each budget that alerts: what ended a moment ago may have passed a share before.
_PASSED = text(
    """
    SELECT w.id AS window_id, share.percent
    FROM budgets b
    CROSS JOIN LATERAL (
        SELECT * FROM windows WHERE budget_id = b.id ORDER BY starts_at DESC LIMIT 2
    ) w
    CROSS JOIN LATERAL unnest(b.alert_percent) AS share(percent)
    WHERE b.ended_at IS NULL AND cardinality(b.alert_percent) > 0
      AND (w.resets_at IS NULL OR w.resets_at > now() - interval '10 minutes')
      AND (100 * (w.settled_picos + w.uncertain_picos)::numeric
           >= share.percent * nullif(b.limit_picos, 0)::numeric
        OR 100 * (w.settled_tokens + w.uncertain_tokens)::numeric
           >= share.percent * nullif(b.limit_tokens, 0)::numeric)
      AND NOT EXISTS (
        SELECT FROM budget_alerts a
        WHERE a.window_id = w.id AND a.type = 'budget.alert' AND a.percent = share.percent)
    ORDER BY w.id, share.percent
    LIMIT :limit
    """
)
_COLUMNS_TOLD = [
    budgets.c.id.label("budget_id"),
    *(budgets.c[name] for name in ("name", "limit_picos", "limit_tokens")),
    *(budget_alerts.c[name] for name in ("type", "percent", "at", "data")),
]
_TOLD_OF = (
    select(*_COLUMNS_TOLD, windows.c.resets_at)
    .select_from(budget_alerts.join(windows).join(budgets))
    .where(budgets.c.id == bindparam("budget"), windows.c.starts_at >= bindparam("since"))
    .order_by(budget_alerts.c.at.desc(), budget_alerts.c.percent.desc())
    .limit(SHOWN)
)
_newest = (
    select(windows.c.id, windows.c.resets_at)
    .where(windows.c.budget_id == budgets.c.id)
    .order_by(windows.c.starts_at.desc())
    .limit(1)
    .lateral("newest")
)
_last = (
    select(budget_alerts)
    .where(budget_alerts.c.window_id == _newest.c.id)
    .order_by(budget_alerts.c.type.desc(), budget_alerts.c.percent.desc())
    .limit(1)
    .lateral("last")
)
_STANDING = (
    select(
        budgets.c.id.label("budget_id"),
        *(budgets.c[name] for name in ("name", "limit_picos", "limit_tokens")),
        *(_last.c[name] for name in ("type", "percent", "at", "data")),
        _newest.c.resets_at,
    )
    .select_from(budgets.join(_newest, true()).join(_last, true()))
    .where(budgets.c.ended_at.is_(None), _newest.c.resets_at.is_(None) | (_newest.c.resets_at > func.now()))
    .order_by(_last.c.at.desc())
    .limit(SHOWN)
)
_USED_UP = select(windows.c.id).where(
    windows.c.budget_id == bindparam("budget"),
    windows.c.resets_at.is_not_distinct_from(bindparam("resets", type_=windows.c.resets_at.type)),
)


def alert_passed(connection: Connection, *, limit: int) -> int:
    """Tell of windows that have passed a share of their limit since somebody looked; say of how many.

    What is settled and what is uncertain counts, and whichever of money and tokens passes first.
    """
    passed = connection.execute(_PASSED, {"limit": limit}).all()
    return sum(_tell_once(connection, row.window_id, ALERT, row.percent) for row in passed)


def note_exhausted(connection: Connection, budget_id: uuid.UUID, resets_at: datetime | None) -> bool:
    """Tell that a call was refused because the window that ends then is used up; False if it was told."""
    window_id = connection.scalar(_USED_UP, {"budget": budget_id, "resets": resets_at})
    return window_id is not None and _tell_once(connection, window_id, EXHAUSTED, WHOLE)


def told_of(connection: Connection, budget_id: uuid.UUID, *, since: datetime) -> list[Told]:
    """Give what was told of a budget's windows that began since then, newest first."""
    rows = connection.execute(_TOLD_OF, {"budget": budget_id, "since": since}).mappings()
    return [_told(row) for row in rows]


def standing(connection: Connection) -> list[Told]:
    """Give the last that was told of each current window, while its budget has the limit of then."""
    rows = connection.execute(_STANDING).mappings()
    return [_told(row) for row in rows if row["data"]["limit"] == _limit(row)]


def _told(row: RowMapping) -> Told:
    return Told(**{field: row[field] for field in Told.__slots__})


def _tell_once(connection: Connection, window_id: uuid.UUID, type_: str, percent: int) -> bool:
    """Put the news out in the transaction that writes its row; whoever comes second finds the row."""
    row = connection.execute(_NEWS_OF, {"window": window_id}).mappings().one()
    data = _data(row, percent)
    added = connection.scalar(
        upsert(budget_alerts)
        .values(window_id=window_id, type=type_, percent=percent, data=data)
        .on_conflict_do_nothing()
        .returning(literal(1))
    )
    if added is None:
        return False
    outbox.tell_of_budget(connection, type_, data, project_id=row["project_id"])
    return True


def _data(row: RowMapping, percent: int) -> dict[str, Any]:
    identity = to_edge("bud", row["budget_id"])
    owner = None if row["project_id"] is None else to_edge("prj", row["project_id"])
    return {
        "id": identity,
        "name": row["name"],
        "scope": {
            "kind": row["scope"],
            "id": owner if row["key_id"] is None else to_edge("key", row["key_id"]),
        },
        "window": {
            "kind": row["window"],
            "time_zone": row["time_zone"],
            "starts_at": rfc3339(row["starts_at"]),
            "resets_at": None if row["resets_at"] is None else rfc3339(row["resets_at"]),
        },
        "percent": percent,
        "limit": _limit(row),
        **{
            name: {"usd": to_usd(row[f"{name}_picos"]), "tokens": row[f"{name}_tokens"]}
            for name in ("settled", "held", "uncertain")
        },
        "at_limit": row["at_limit"],
        "url": f"/v1/budgets/{identity}",
    }


def _limit(row: RowMapping) -> dict[str, Any]:
    picos = row["limit_picos"]
    return {"usd": None if picos is None else to_usd(picos), "tokens": row["limit_tokens"]}
