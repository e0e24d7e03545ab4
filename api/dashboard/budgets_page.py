"""Budgets: what each leaves, how its window was spent, and when it will be used up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from api.dashboard import charts
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import PartsOf
from patchmill.budget.ledger import Amount
from patchmill.budget.windows import WindowKind
from patchmill.errors import NotFound
from patchmill.store import budget_alerts, budgets, overview
from patchmill.store.budgets import BudgetRow
from patchmill.store.burn_down import Course, course_of, forecast
from patchmill.store.ids import from_edge, to_edge

router = APIRouter(prefix="/budgets", route_class=PageRoute)


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


@router.get("")
def list_budgets(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show every budget with what it leaves."""
    del person
    now = datetime.now(UTC)
    with parts.database.begin() as connection:
        names = overview.project_names(connection)
        rows = budgets.every_budget(connection)
        shown = [_shown(connection, row, names, now, whole=False) for row in rows]
    return page(request, "budgets", {"budgets": shown})


@router.get("/{budget_id}")
def show_budget(request: Request, budget_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Show one budget and how its window was spent."""
    del person
    now = datetime.now(UTC)
    identity = from_edge("bud", budget_id)
    with parts.database.begin() as connection:
        row = next((each for each in budgets.every_budget(connection) if each.id == identity), None)
        if row is None:
            raise NotFound(f"there is no budget {budget_id[:100]}")
        shown = _shown(connection, row, overview.project_names(connection), now, whole=True)
        alerts = budget_alerts.told_of(connection, row.id, since=shown.course.use.bounds.starts_at)
    values = {
        "budget": shown,
        "drawn": drawn(shown, now),
        "alerts": alerts,
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }
    return page(request, "budget", values)


def drawn(budget: ShownBudget, now: datetime) -> charts.BurnDown:
    """Draw how the limit that is nearest to its end was used, and how that goes on."""
    axis = max(budget.axes, key=lambda each: each.used / max(each.limit, 1))
    steps = budget.course.steps
    values = [getattr(step.cumulative, axis.unit) for step in steps]
    starts = [step.starts_at for step in steps]
    first = 0
    if budget.row.window is WindowKind.TOTAL and len(starts) > 1:
        first, starts, values = values[0], starts[1:], values[1:]
    points = [(starts[0], first), *zip([*starts[1:], now], values, strict=True)]
    return charts.burn_down(
        points,
        limit=axis.limit,
        unit=axis.unit,
        ends_at=budget.course.use.bounds.resets_at,
        exhausted_at=budget.exhausted_at,
    )


def _shown(
    connection: Connection, row: BudgetRow, names: Mapping[UUID, str], now: datetime, *, whole: bool
) -> ShownBudget:
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
