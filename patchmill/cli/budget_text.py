"""Budgets as text: a line in a table, and the course of a window as a small chart."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from patchmill.cli.talk import shown
from patchmill.client.documents import Budget, BudgetDetail, BurnDownStep

WIDTH = 20
CHART_WIDTH = 40
LEGEND = "# settled, + held, ? uncertain, . available"
_PARTS = (("settled", "#"), ("held", "+"), ("uncertain", "?"))


def table(budgets: Sequence[Budget]) -> list[str]:
    """Give a line for each budget under a head."""
    head = ["BUDGET", "WINDOW", "USE", "", "LIMIT", "AVAILABLE", "RESETS", "NAME"]
    rows = [head]
    for each in budgets:
        axis = axis_of(each)
        window = each["window"]
        rows.append(
            [
                each["id"],
                str(window["kind"]),
                bar(each, axis),
                f"{used_percent(each, axis)}%",
                both(each["limit"]),
                both(each["available"]),
                when(window["resets_at"]) if window["resets_at"] else "never",
                each["name"],
            ]
        )
    return aligned(rows)


def describe(budget: BudgetDetail) -> list[str]:
    """Tell all of a budget, with its window as a chart."""
    window, scope = budget["window"], budget["scope"]
    until = f" until {when(window['resets_at'])}" if window["resets_at"] else ""
    ends = budget["forecast"]["exhausted_at"]
    alerts = ", ".join(f"{percent}%" for percent in budget["alert_percent"]) or "none"
    told = ", ".join(_told(each) for each in budget["alerts"])
    owner = f" {scope['id']}" if scope["id"] else ""
    return [
        f"{budget['id']}  {shown(budget['name'])}",
        f"  limits     {scope['kind']}{owner}",
        f"  window     {window['kind']} ({window['time_zone']}), since {when(window['starts_at'])}{until}",
        f"  limit      {both(budget['limit'])}; at the limit jobs {budget['at_limit']}",
        *(f"  {name:<10} {_spent(budget, name)}" for name, _ in _PARTS),
        f"  available  {both(budget['available'])}",
        f"  forecast   {f'used up at {when(ends)} at this pace' if ends else 'lasts, or nobody knows'}",
        f"  alerts     at {alerts}{f'; told: {told}' if told else ''}",
        "",
        *chart(budget),
    ]


def chart(budget: BudgetDetail) -> list[str]:
    """Draw what was settled since the window began, a line a step; the whole width is the limit."""
    axis = axis_of(budget)
    limit = Decimal(budget["limit"][axis])
    unit = "tokens" if axis == "tokens" else "US dollars"
    lines = [f"  settled so far, in {unit}; the whole line is the limit, {budget['limit'][axis]}"]
    for step in _since_spent(budget["burn_down"], axis):
        value = Decimal(step["cumulative"][axis])
        marks = "#" * _length(value, limit, CHART_WIDTH)
        lines.append(f"  {when(step['starts_at']):<16} |{marks:<{CHART_WIDTH}}| {step['cumulative'][axis]}")
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
    parts = [f"${amount['usd']}"] if amount["usd"] is not None else []
    parts += [f"{amount['tokens']:,} tokens"] if amount["tokens"] is not None else []
    return ", ".join(parts)


def when(at: str | None) -> str:
    """Write a time to the minute, in UTC."""
    return "-" if at is None else at[:16].replace("T", " ")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows as columns."""
    cells = [[shown(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


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


def _told(alert: Mapping[str, Any]) -> str:
    what = "used up" if alert["type"] == "budget.exhausted" else f"{alert['percent']}%"
    return f"{what} at {when(alert['at'])}"
