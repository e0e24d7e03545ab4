"""Budgets as pages show them: what each leaves, as amounts and as parts of a line, and when it is used up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from api.dashboard import charts
from api.database import Connection
from patchmill.budget.ledger import Amount
from patchmill.store import budgets
from patchmill.store.budgets import BudgetRow
from patchmill.store.burn_down import Course, course_of, forecast
from patchmill.store.ids import to_edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One limit of a budget, in pico-dollars or tokens, what became of it, and that as parts of a line."""

    unit: str
    limit: int
    settled: int
    held: int
    uncertain: int
    available: int
    parts: list[charts.Part]

    @property
    def used(self) -> int:
        """What is spoken for."""
        return self.settled + self.held + self.uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBudget:
    """A budget with the course of its window."""

    id: str
    row: BudgetRow
    course: Course
    owner: str
    axes: list[Axis]
    exhausted_at: datetime | None


def every_budget(connection: Connection, names: Mapping[UUID, str], now: datetime) -> list[ShownBudget]:
    """Give every budget with what it leaves."""
    rows = budgets.every_budget(connection)
    return [shown_budget(connection, row, names, now, whole=False) for row in rows]


def shown_budget(
    connection: Connection, row: BudgetRow, names: Mapping[UUID, str], now: datetime, *, whole: bool
) -> ShownBudget:
    """Give a budget with what it leaves, and with the steps of its window if `whole`."""
    course = course_of(connection, row, now, whole=whole)
    owner = {
        "installation": "installation",
        "project": f"project {names.get(row.project_id, '')}" if row.project_id else "",
        "key": "one key",
    }[row.scope]
    limits = (("picos", row.limit_picos), ("tokens", row.limit_tokens))
    return ShownBudget(
        id=to_edge("bud", row.id),
        row=row,
        course=course,
        owner=owner,
        axes=[_axis(unit, limit, course) for unit, limit in limits if limit is not None],
        exhausted_at=forecast(row, course, now),
    )


def _axis(unit: str, limit: int, course: Course) -> Axis:
    amounts = {name: _of(getattr(course.use, name), unit) for name in ("settled", "held", "uncertain")}
    return Axis(
        unit=unit,
        limit=limit,
        available=max(0, limit - sum(amounts.values())),
        parts=charts.parts(limit, list(amounts.items())),
        **amounts,
    )


def _of(amount: Amount, unit: str) -> Any:
    return getattr(amount, unit)
