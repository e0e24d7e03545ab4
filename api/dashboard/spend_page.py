"""What was spent: the sums of one moment in several ways, and what budgets leave."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from api.dashboard import charts
from api.dashboard.budget_view import every_budget
from api.dashboard.page_route import PageRoute
from api.dashboard.rendering import page
from api.dashboard.session import Viewer
from api.database import Connection
from api.parts import PartsOf
from api.query import identity
from api.usage_question import DAYS, UTC_ZONE, read_question
from api.usage_rows import CSV, csv_headers, csv_text, group_documents
from patchmill.budget.local_time import local_day
from patchmill.errors import FieldError, InvalidFields
from patchmill.store import overview
from patchmill.store.ids import to_edge
from patchmill.store.usage import GROUPS, LABEL, Question, Sums, moment, total, usage

PERIODS = (7, 30, 90)
AT_FIRST = ("model", "kind", "project")  # breakdowns that are shown where none is chosen
SHOWN = 200  # rows of one; an export has all
_IN_TIME = {"day", "hour"}  # are shown as time goes, others the dearest first
_NOTHING = Sums(**dict.fromkeys(Sums.__slots__, 0))

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """One group by the names that people know, and its sums."""

    names: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """A table: the groups, its rows as far as they are shown, and the address of all of them."""

    groups: tuple[str, ...]
    rows: Sequence[ShownRow]
    hidden: int
    export: str


@router.get("/spend")
def show_spend(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Show what a period cost, by day and in the ways that were asked for."""
    del person
    given = _given(request)
    with parts.database.begin() as connection:
        now = moment(connection)
        question = _question(given, now)
        names = overview.project_names(connection)
        by_day = _every_day(connection, question)
        chosen = [question.groups] if question.groups else [(name,) for name in AT_FIRST]
        values = {
            "by_day": by_day,
            "bars": charts.bars([each.sums.cost_picos for each in by_day]),
            "breakdowns": [_breakdown(connection, question, groups) for groups in chosen],
            "days_export": _export(replace(question, groups=("day",))),
            "total": total(connection, question),
            "budgets": every_budget(connection, names, now),
        }
    return page(request, "spend", {**values, **_chosen(given, question, names)})


@router.get("/spend.csv")
def export_spend(request: Request, person: Viewer, parts: PartsOf) -> Response:
    """Give every row of one breakdown as a file."""
    del person
    with parts.database.begin() as connection:
        question = _question(_given(request), moment(connection))
        return Response(csv_text(connection, question), media_type=CSV, headers=csv_headers(question))


def _given(request: Request) -> dict[str, str]:
    """Give what the address asks for; what a form leaves empty asks for nothing."""
    return {name: value for name, value in request.query_params.items() if value}


def _question(given: Mapping[str, str], now: datetime) -> Question:
    """Read what the address asks for; the days of a form count only where no other beginning is given."""
    days = given.get("days", str(DAYS))
    if days not in map(str, PERIODS):
        detail = f"must be one of {', '.join(map(str, PERIODS))}"
        raise InvalidFields([FieldError("/query/days", "not_allowed", detail)])
    label = given.get("label")
    asked = read_question(
        now=now,
        since=given.get("since"),
        until=given.get("until"),
        zone=given.get("time_zone", UTC_ZONE),
        group_by=[*([given["by"]] if "by" in given else []), *([f"{LABEL}{label}"] if label else [])],
        project_id=identity("prj", given.get("project"), "project"),
        days=int(days),
    )
    return asked.question


def _every_day(connection: Connection, question: Question) -> list[ShownRow]:
    """Sum by day; every day of the period is there, spent or not."""
    spent = {row.place[0]: row.sums for row in usage(connection, replace(question, groups=("day",)))}
    first, last = (
        local_day(at, question.time_zone)
        for at in (question.since, question.until - timedelta(microseconds=1))
    )
    days = ((first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1))
    return [ShownRow(names=(day,), sums=spent.get(day, _NOTHING)) for day in days]


def _breakdown(connection: Connection, question: Question, groups: tuple[str, ...]) -> Breakdown:
    grouped = replace(question, groups=groups)
    rows = usage(connection, grouped)
    if groups[0] not in _IN_TIME:
        rows.sort(key=lambda row: -row.sums.cost_picos)  # equal ones stay in the order of their places
    documents = group_documents(connection, grouped, rows[:SHOWN])
    return Breakdown(
        groups=groups,
        rows=[
            ShownRow(names=tuple(_name(name, document) for name in groups), sums=row.sums)
            for document, row in zip(documents, rows, strict=False)
        ],
        hidden=max(0, len(rows) - SHOWN),
        export=_export(grouped),
    )


def _name(group: str, document: Mapping[str, str | None]) -> str:
    written = document.get(f"{group}_name") or document[group]
    return f"no {group.removeprefix(LABEL)}" if written is None else written


def _export(question: Question) -> str:
    """Give the address of the same sums as a file: the period is that of the page, whenever it is fetched."""
    asked = {
        "by": ",".join(question.groups),
        "since": question.since.isoformat(),
        "until": question.until.isoformat(),
        "time_zone": question.time_zone,
    }
    if question.project_id is not None:
        asked["project"] = to_edge("prj", question.project_id)
    return f"/spend.csv?{urlencode(asked)}"


def _chosen(given: Mapping[str, str], question: Question, names: Mapping[uuid.UUID, str]) -> dict[str, Any]:
    """Give what the form shows again."""
    by = given.get("by", "")
    return {
        "given": given,
        "days": int(given.get("days", DAYS)),
        "periods": PERIODS,
        "since": question.since,
        "until": question.until,
        "time_zone": question.time_zone,
        "project": given.get("project"),
        "projects": [(to_edge("prj", each), name) for each, name in names.items()],
        "by": by,
        "ways": [*GROUPS, *([by] if by and by not in GROUPS else [])],
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }
