"""Budgets: what each leaves, how its window was spent, and when it will be used up."""

from datetime import datetime

from fastapi import APIRouter, Request, Response

from api.dashboard import charts
from api.dashboard.budget_view import ShownBudget, every_budget, shown_budget
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.parts import PartsOf
from patchmill.budget.windows import WindowKind
from patchmill.errors import NotFound
from patchmill.store import budget_alerts, budgets, overview, shared_time
from patchmill.store.ids import from_edge

router = APIRouter(prefix="/budgets", route_class=PageRoute)


@router.get("")
def list_budgets(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show every budget with what it leaves."""
    del person
    now = shared_time.now()
    with parts.database.begin() as connection:
        shown = every_budget(connection, overview.project_names(connection), now)
    return page(request, "budgets", {"budgets": shown})


@router.get("/{budget_id}")
def show_budget(request: Request, budget_id: str, person: Viewer, parts: PartsOf) -> Response:
    """Show one budget and how its window was spent."""
    del person
    now = shared_time.now()
    identity = from_edge("bud", budget_id)
    with parts.database.begin() as connection:
        row = next((each for each in budgets.every_budget(connection) if each.id == identity), None)
        if row is None:
            raise NotFound(f"there is no budget {budget_id[:100]}")
        shown = shown_budget(connection, row, overview.project_names(connection), now, whole=True)
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
