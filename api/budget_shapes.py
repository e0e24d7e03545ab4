"""The shapes of budgets: requests, answers and their examples."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from api.fields import MAX_TOKENS, Short, TimeZone, fault
from api.fields import Usd as GivenUsd
from api.problems import nearest
from api.requests import Body
from api.schemas import Instant, Shape, Usd
from patchmill.budget.windows import WindowKind

MAX_ALERTS = 20  # shares of one budget


def _window(name: Any) -> Any:
    if isinstance(name, str) and name not in set(WindowKind):
        raise fault("not_allowed", f"there is no such window{nearest(name, WindowKind)}")
    return name


def _shares(percents: list[int]) -> list[int]:
    if len(set(percents)) < len(percents):
        raise fault("not_allowed", "names a share twice; each is told once")
    return sorted(percents)


AlertPercent = Annotated[
    list[Annotated[int, Field(ge=1, le=100)]],
    Field(
        max_length=MAX_ALERTS, description="percents of the limit at which `budget.alert` is told, each once"
    ),
    AfterValidator(_shares),
]
AtLimit = Annotated[
    Literal["wait", "fail"],
    Field(description="what a job does once the window is used up: wait for the next one, or fail"),
]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS)]


class BudgetScopeBody(Body):
    """Whose spending is limited: everyone's, a project's, or a key's."""

    kind: Literal["installation", "project", "key"]
    id: str | None = Field(None, description="prj_… or key_…; null for the installation")


class BudgetWindowBody(Body):
    """How long the limit counts, by the calendar of a time zone."""

    kind: Annotated[
        Literal[tuple(WindowKind)],  # type: ignore[valid-type]  # the kinds of windows are listed once
        BeforeValidator(_window),
        Field(description="how long the limit counts; hours are counted in UTC"),
    ]
    time_zone: TimeZone = Field("UTC", description="by which days, weeks and months begin")


class LimitBody(Body):
    """Money, tokens, or both."""

    usd: GivenUsd | None = None
    tokens: Tokens | None = None


class BudgetRequest(Body):
    """A limit on what a scope may spend in each window."""

    name: Short
    scope: BudgetScopeBody
    window: BudgetWindowBody
    limit: LimitBody
    at_limit: AtLimit = "wait"
    alert_percent: AlertPercent = Field([])


class LimitChange(Body):
    """Limits to set; null takes one away, what is left out stays."""

    usd: GivenUsd | None = None
    tokens: Tokens | None = None


class BudgetChange(Body):
    """What to change of a budget; what is left out stays. Its scope and its window are what it is."""

    name: Short | None = None
    limit: LimitChange | None = None
    at_limit: AtLimit | None = None
    alert_percent: AlertPercent | None = None


class BudgetScope(Shape):
    """Whose spending a budget limits."""

    kind: Literal["installation", "project", "key"]
    id: str | None


class BudgetWindow(Shape):
    """The current window of a budget."""

    kind: Literal["hour", "day", "week", "month", "total"]
    time_zone: str
    starts_at: Instant
    resets_at: Instant | None


class Limit(Shape):
    """Money and tokens; null where there is no limit."""

    usd: Usd | None
    tokens: int | None


class Spending(Shape):
    """Money and tokens."""

    usd: Usd
    tokens: int


class Forecast(Shape):
    """When the budget will be used up at the present pace."""

    exhausted_at: Instant | None = Field(description="null: not before the window ends, or not known")


class Budget(Shape):
    """A budget and its use in the current window."""

    id: str
    name: str
    scope: BudgetScope
    window: BudgetWindow
    limit: Limit
    settled: Spending
    held: Spending
    uncertain: Spending
    available: Limit
    at_limit: Literal["wait", "fail"]
    alert_percent: list[int]
    forecast: Forecast
    created_at: Instant


class BurnDownStep(Shape):
    """What was settled in one step of the window, and from its beginning until the end of the step."""

    starts_at: Instant
    settled: Spending
    cumulative: Spending


class BudgetAlert(Shape):
    """What was told of the window."""

    type: Literal["budget.alert", "budget.exhausted"]
    percent: int
    at: Instant


class BudgetDetail(Budget):
    """A budget with the course of its current window."""

    burn_down: list[BurnDownStep] = Field(
        description="five minutes of an hour, hours of a day, else days; the last `cumulative` is `settled`"
    )
    alerts: list[BudgetAlert] = Field(description="of this window, newest first")


class BudgetList(Shape):
    """Budgets, newest first."""

    data: list[Budget]
    next_cursor: str | None


_PROJECT_ID = "prj_019ab3ea5d0a7c44b0d2f6e8a1c35700"

BUDGET_REQUESTS: dict[str, Any] = {
    "project": {
        "name": "core team, monthly",
        "scope": {"kind": "project", "id": _PROJECT_ID},
        "window": {"kind": "month", "time_zone": "Europe/Berlin"},
        "limit": {"usd": "5.00"},
        "at_limit": "wait",
        "alert_percent": [80, 95],
    },
    "installation": {
        "name": "everyone, daily",
        "scope": {"kind": "installation"},
        "window": {"kind": "day"},
        "limit": {"usd": "2.5", "tokens": 5_000_000},
        "at_limit": "fail",
    },
}
BUDGET_CHANGES: dict[str, Any] = {
    "raise it": {"limit": {"usd": "7.50"}},
    "tokens in place of money": {"limit": {"usd": None, "tokens": 2_000_000}},
    "fail at once, and tell earlier": {"at_limit": "fail", "alert_percent": [50, 80, 95]},
}

BUDGET: dict[str, Any] = {
    "id": "bud_019ab3ea5d0a7c44b0d2f6e8a1c35790",
    "name": "core team, monthly",
    "scope": {"kind": "project", "id": _PROJECT_ID},
    "window": {
        "kind": "month",
        "time_zone": "Europe/Berlin",
        "starts_at": "2026-10-31T23:00:00.000000Z",
        "resets_at": "2026-11-30T23:00:00.000000Z",
    },
    "limit": {"usd": "5", "tokens": None},
    "settled": {"usd": "1.2", "tokens": 812_331},
    "held": {"usd": "0.0014", "tokens": 4_096},
    "uncertain": {"usd": "0", "tokens": 0},
    "available": {"usd": "3.7986", "tokens": None},
    "at_limit": "wait",
    "alert_percent": [80, 95],
    "forecast": {"exhausted_at": "2026-11-10T04:12:00.000000Z"},
    "created_at": "2026-10-22T12:00:00.000000Z",
}
BUDGET_DETAIL: dict[str, Any] = {
    **BUDGET,
    "burn_down": [
        {
            "starts_at": "2026-10-31T23:00:00.000000Z",
            "settled": {"usd": "0.7", "tokens": 500_000},
            "cumulative": {"usd": "0.7", "tokens": 500_000},
        },
        {
            "starts_at": "2026-11-01T23:00:00.000000Z",
            "settled": {"usd": "0.5", "tokens": 312_331},
            "cumulative": {"usd": "1.2", "tokens": 812_331},
        },
    ],
    "alerts": [],
}
BUDGET_LIST: dict[str, Any] = {"data": [BUDGET], "next_cursor": None}
