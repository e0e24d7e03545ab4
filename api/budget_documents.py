"""Budgets as documents: the limit, what is left of it, how it went and what was told of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.budget_shapes import Budget, BudgetDetail
from api.database import Connection
from patchmill.budget.ledger import Amount
from patchmill.budget.prices import to_usd
from patchmill.store import budget_alerts
from patchmill.store.budgets import BudgetRow
from patchmill.store.burn_down import Course, course_of, forecast
from patchmill.store.ids import to_edge


def budget_document(connection: Connection, row: BudgetRow, now: datetime) -> Budget:
    """Give a budget as lists show it."""
    return Budget.model_validate(_fields(row, course_of(connection, row, now, whole=False), now))


def budget_detail(connection: Connection, row: BudgetRow, now: datetime) -> BudgetDetail:
    """Give a budget with the course of its window."""
    course = course_of(connection, row, now, whole=True)
    alerts = budget_alerts.told_of(connection, row.id, since=course.use.bounds.starts_at)
    return BudgetDetail.model_validate(
        {
            **_fields(row, course, now),
            "burn_down": [
                {
                    "starts_at": step.starts_at,
                    "settled": _spending(step.settled),
                    "cumulative": _spending(step.cumulative),
                }
                for step in course.steps
            ],
            "alerts": [{"type": each.type, "percent": each.percent, "at": each.at} for each in alerts],
        }
    )


def _fields(row: BudgetRow, course: Course, now: datetime) -> dict[str, Any]:
    use = course.use
    spoken_for = [use.settled, use.held, use.uncertain]
    owner = to_edge("prj", row.project_id) if row.project_id else None
    return {
        "id": to_edge("bud", row.id),
        "name": row.name,
        "scope": {"kind": row.scope, "id": to_edge("key", row.key_id) if row.key_id else owner},
        "window": {
            "kind": row.window,
            "time_zone": row.time_zone,
            "starts_at": use.bounds.starts_at,
            "resets_at": use.bounds.resets_at,
        },
        "limit": _limit(row.limit_picos, row.limit_tokens),
        "settled": _spending(use.settled),
        "held": _spending(use.held),
        "uncertain": _spending(use.uncertain),
        "available": _limit(
            _left(row.limit_picos, [part.picos for part in spoken_for]),
            _left(row.limit_tokens, [part.tokens for part in spoken_for]),
        ),
        "at_limit": row.at_limit,
        "alert_percent": list(row.alert_percent),
        "forecast": {"exhausted_at": forecast(row, course, now)},
        "created_at": row.created_at,
    }


def _left(limit: int | None, spoken_for: Sequence[int]) -> int | None:
    """What may still be held; a limit lowered below what is in use leaves nothing."""
    return None if limit is None else max(0, limit - sum(spoken_for))


def _limit(picos: int | None, tokens: int | None) -> dict[str, Any]:
    return {"usd": None if picos is None else to_usd(picos), "tokens": tokens}


def _spending(amount: Amount) -> dict[str, Any]:
    return {"usd": to_usd(amount.picos), "tokens": amount.tokens}
