"""Budgets as text: a line in a table, and the course of a window as a small chart."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from patchmill.cli.table import table
from patchmill.cli.talk import shown
from patchmill.client.budget_documents import Budget, BudgetDetail, BurnDownStep

WIDTH = 20
CHART_WIDTH = 40
LEGEND = "# settled, + held, ? uncertain, . available"
_PARTS = (("settled", "#"), ("held", "+"), ("uncertain", "?"))


def budget_lines(budgets: Sequence[Budget]) -> list[str]:
    """Give a line for each budget under a head."""
    head = ["BUDGET", "SCOPE", "WINDOW", "USE", "", "LIMIT", "AVAILABLE", "RESETS", "NAME"]
    rows = [head]
    for each in budgets:
        axis = axis_of(each)
        window = each["window"]
        zone = _zone_of(each)
        rows.append(
            [
                each["id"],
                str(each["scope"]["kind"]),
                str(window["kind"]),
                bar(each, axis),
                f"{used_percent(each, axis)}%",
                both(each["limit"]),
                both(each["available"]),
                f"{when(window['resets_at'], zone)} {zone}" if window["resets_at"] else "never",
                each["name"],
            ]
        )
    return table(rows)


def describe(budget: BudgetDetail) -> list[str]:
    """Tell all of a budget, with its window as a chart."""
    window, scope = budget["window"], budget["scope"]
    zone = _zone_of(budget)
    until = f" until {when(window['resets_at'], zone)}" if window["resets_at"] else ""
    alerts = ", ".join(f"{percent}%" for percent in budget["alert_percent"])
    told = ", ".join(_told(each, zone) for each in budget["alerts"])
    owner = f" {scope['id']}" if scope["id"] else ""
    return [
        f"{budget['id']}  {shown(budget['name'])}",
        f"  limits     {scope['kind']}{owner}",
        f"  window     {window['kind']}, since {when(window['starts_at'], zone)}{until}, in {zone}",
        f"  limit      {both(budget['limit'])}; at the limit jobs {budget['at_limit']}",
        *(f"  {name:<10} {_spent(budget, name)}" for name, _ in _PARTS),
        f"  available  {both(budget['available'])}",
        f"  forecast   {_forecast(budget, zone)}",
        f"  alerts     {f'at {alerts}' if alerts else 'none'}{f'; told: {told}' if told else ''}",
        "",
        *chart(budget),
    ]


def chart(budget: BudgetDetail) -> list[str]:
    """Draw what was settled since the window began, a line a step; the whole width is the limit."""
    axis = axis_of(budget)
    limit = Decimal(budget["limit"][axis])
    unit = "tokens" if axis == "tokens" else "US dollars"
    zone = _zone_of(budget)
    lines = [f"  settled so far, in {unit}; the whole line is the limit, {budget['limit'][axis]}"]
    for step in _since_spent(budget["burn_down"], axis):
        value = Decimal(step["cumulative"][axis])
        marks = "#" * _length(value, limit, CHART_WIDTH)
        begins = when(step["starts_at"], zone)
        lines.append(f"  {begins:<16} |{marks:<{CHART_WIDTH}}| {step['cumulative'][axis]}")
    return lines


def _since_spent(steps: Sequence[BurnDownStep], axis: str) -> Sequence[BurnDownStep]:
    """Leave out what was before anything was settled, but for the last of it."""
    idle = sum(1 for step in steps if not Decimal(step["cumulative"][axis]))
    return steps[max(0, idle - 1) :]


def axis_of(budget: Budget | BudgetDetail) -> str:
    """The limit that is nearer to its end: money, or tokens."""
    axes = [axis for axis in ("usd", "tokens") if budget["limit"][axis] is not None]
    return max(axes, key=lambda axis: used_percent(budget, axis))


def used_percent(budget: Budget | BudgetDetail, axis: str) -> int:
    """How much of a limit is spoken for, in whole percents."""
    limit = Decimal(budget["limit"][axis])
    return int(100 * sum(_amounts(budget, axis)) / limit) if limit else 100


def bar(budget: Budget | BudgetDetail, axis: str) -> str:
    """Draw what is settled, held and uncertain side by side; the whole width is the limit."""
    limit = Decimal(budget["limit"][axis])
    drawn, start = "", Decimal(0)
    for amount, (_, mark) in zip(_amounts(budget, axis), _PARTS, strict=True):
        start += amount
        drawn += mark * (_length(start, limit, WIDTH) - len(drawn))
    return f"[{drawn:.<{WIDTH}}]"


def both(amount: Mapping[str, Any]) -> str:
    """Write money and tokens, those that are limited."""
    parts = [dollars(amount["usd"])] if amount["usd"] is not None else []
    parts += [f"{amount['tokens']:,} tokens"] if amount["tokens"] is not None else []
    return ", ".join(parts)


def dollars(usd: str) -> str:
    """Write an amount as people do, $7.50 and not $7.5; no digit is lost."""
    whole, _, fraction = usd.partition(".")
    return f"${whole}.{fraction:0<2}" if fraction else f"${whole}"


def when(at: str | None, zone: str) -> str:
    """Write a time to the minute as the clocks of a time zone show it."""
    return "-" if at is None else f"{datetime.fromisoformat(at).astimezone(_zone(zone)):%Y-%m-%d %H:%M}"


def _amounts(budget: Budget | BudgetDetail, axis: str) -> list[Decimal]:
    return [
        Decimal(budget["settled"][axis]),
        Decimal(budget["held"][axis]),
        Decimal(budget["uncertain"][axis]),
    ]


def _spent(budget: BudgetDetail, name: str) -> str:
    amounts: dict[str, dict[str, Any]] = {
        "settled": budget["settled"],
        "held": budget["held"],
        "uncertain": budget["uncertain"],
    }
    return both(amounts[name])


def _length(value: Decimal, limit: Decimal, width: int) -> int:
    """How long a part is drawn; what there is is seen, and what is more than the limit is cut."""
    if not value:
        return 0
    return width if value >= limit else max(1, int(width * value / limit))


def _told(alert: Mapping[str, Any], zone: str) -> str:
    what = "used up" if alert["type"] == "budget.exhausted" else f"{alert['percent']}%"
    return f"{what} at {when(alert['at'], zone)}"


def _forecast(budget: BudgetDetail, zone: str) -> str:
    """Say when nothing is left; that end comes after the window's, or nothing was settled lately."""
    ends = budget["forecast"]["exhausted_at"]
    return f"used up at {when(ends, zone)} at this pace" if ends else "not used up at this pace"


def _zone_of(budget: Budget | BudgetDetail) -> str:
    return budget["window"]["time_zone"] or "UTC"


def _zone(name: str) -> tzinfo:
    """Give the time zone of a window; the server knows it, so this machine does unless its data are older."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return UTC
