"""What the API answers about budgets; see `documents` for what holds of all of them."""

from typing import Any, TypedDict


class Budget(TypedDict):
    """A limit on what a scope may spend, and its use in the current window; null where there is no limit."""

    id: str
    name: str
    scope: dict[str, str | None]
    window: dict[str, str | None]
    limit: dict[str, Any]
    settled: dict[str, Any]
    held: dict[str, Any]
    uncertain: dict[str, Any]
    available: dict[str, Any]
    at_limit: str
    alert_percent: list[int]
    forecast: dict[str, str | None]
    created_at: str


class BurnDownStep(TypedDict):
    """What was settled from `starts_at` until the next step, and `cumulative` since the window began."""

    starts_at: str
    settled: dict[str, Any]
    cumulative: dict[str, Any]


class BudgetDetail(Budget):
    """A budget with the course of its window, and what was told of it."""

    burn_down: list[BurnDownStep]
    alerts: list[dict[str, Any]]
