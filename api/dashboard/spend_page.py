"""What was spent: one set of rows summed in four ways, and what budgets leave."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from api.dashboard import charts
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import PartsOf
from api.query import identity
from patchmill.errors import FieldError, InvalidFields
from patchmill.store import budgets, overview
from patchmill.store.budgets import BudgetRow, BudgetUse
from patchmill.store.ids import to_edge
from patchmill.store.spend import SpendRow, spend

PERIODS = (7, 30, 90)
TIME_ZONE = "UTC"

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What the calls of one group used and cost."""

    name: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    uncertain_picos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBudget:
    """A budget with its use in the current window, and that as parts of a line."""

    row: BudgetRow
    use: BudgetUse
    owner: str
    of_money: list[charts.Part]


@router.get("/spend")
def show_spend(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show what the last days cost, by day, model, kind and project."""
    del person
    days, project_id = _asked(request)
    now = datetime.now(UTC)
    first = now.date() - timedelta(days=days - 1)
    with parts.database.begin() as connection:
        rows = spend(
            connection,
            since=datetime.combine(first, time.min, UTC),
            time_zone=TIME_ZONE,
            project_id=project_id,
        )
        names = overview.project_names(connection)
        shown = [_budget(connection, each, names, now) for each in budgets.every_budget(connection)]
    values = {
        **sums(rows, [first + timedelta(days=each) for each in range(days)], names),
        "days": days,
        "periods": PERIODS,
        "time_zone": TIME_ZONE,
        "project": None if project_id is None else to_edge("prj", project_id),
        "projects": [(to_edge("prj", each), name) for each, name in names.items()],
        "budgets": shown,
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }
    return page(request, "spend", values)


def sums(rows: Sequence[SpendRow], days: Sequence[date], names: dict[uuid.UUID, str]) -> dict[str, Any]:
    """Sum the rows by each of their groups; every day of the period is there, spent or not."""
    by_day = {each.name: each for each in _grouped(rows, lambda row: row.day.isoformat())}
    every_day = [by_day.get(day.isoformat(), _sum(day.isoformat(), ())) for day in days]
    return {
        "by_day": every_day,
        "bars": charts.bars([each.cost_picos for each in every_day]),
        "groups": [
            ("Model", _dearest_first(_grouped(rows, lambda row: row.model))),
            ("Kind", _dearest_first(_grouped(rows, lambda row: row.kind))),
            ("Project", _dearest_first(_grouped(rows, lambda row: names.get(row.project_id, "")))),
        ],
        "total": _sum("Total", rows),
    }


def _grouped(rows: Iterable[SpendRow], name: Callable[[SpendRow], str]) -> list[Sum]:
    groups: dict[str, list[SpendRow]] = defaultdict(list)
    for row in rows:
        groups[name(row)].append(row)
    return [_sum(each, members) for each, members in groups.items()]


def _sum(name: str, rows: Iterable[SpendRow]) -> Sum:
    members = list(rows)
    return Sum(
        name=name,
        calls=sum(row.calls for row in members),
        input_tokens=sum(row.input_tokens for row in members),
        cached_tokens=sum(row.cached_tokens for row in members),
        output_tokens=sum(row.output_tokens for row in members),
        cost_picos=sum(row.cost_picos for row in members),
        uncertain_picos=sum(row.uncertain_picos for row in members),
    )


def _dearest_first(groups: list[Sum]) -> list[Sum]:
    return sorted(groups, key=lambda each: (-each.cost_picos, each.name))


def _asked(request: Request) -> tuple[int, uuid.UUID | None]:
    days = request.query_params.get("days") or "30"
    if days not in map(str, PERIODS):
        detail = f"must be one of {', '.join(map(str, PERIODS))}"
        raise InvalidFields([FieldError("/query/days", "not_allowed", detail)])
    return int(days), identity("prj", request.query_params.get("project") or None, "project")


def _budget(
    connection: Connection, row: BudgetRow, names: dict[uuid.UUID, str], now: datetime
) -> ShownBudget:
    use = budgets.use_of(connection, row, now)
    money = [("settled", use.settled.picos), ("held", use.held.picos), ("uncertain", use.uncertain.picos)]
    owner = {
        "installation": "installation",
        "project": f"project {names.get(row.project_id, '')}" if row.project_id else "",
        "key": "one key",
    }[row.scope]
    return ShownBudget(row=row, use=use, owner=owner, of_money=charts.parts(row.limit_picos or 0, money))
