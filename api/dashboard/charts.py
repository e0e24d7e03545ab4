"""Numbers as bars: geometry alone, drawn by a template as SVG, always beside the numbers themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH = 720
HEIGHT = 160
_GAP = 2
_ROOM = 0.95  # of the height: a line at the top is seen whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart, in the units of its view box."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of one line that shows a share of a whole, in percent."""

    name: str
    start: float
    length: float


def bars(values: Sequence[int]) -> list[Bar]:
    """Give a bar for each value, from left to right, the highest one as high as the chart."""
    if not values:
        return []
    highest = max(*values, 1) if len(values) > 1 else max(values[0], 1)
    step = WIDTH / len(values)
    return [
        Bar(
            x=round(number * step, 2),
            y=round(HEIGHT - HEIGHT * value / highest, 2),
            width=round(max(1.0, step - _GAP), 2),
            height=round(HEIGHT * value / highest, 2),
        )
        for number, value in enumerate(values)
    ]


def parts(whole: int, values: Sequence[tuple[str, int]]) -> list[Part]:
    """Lay values side by side on a line that is as long as the whole, or as they are together."""
    length = max(whole, sum(value for _, value in values), 1)
    laid, start = [], 0.0
    for name, value in values:
        share = 100 * value / length
        laid.append(Part(name=name, start=round(start, 2), length=round(share, 2)))
        start += share
    return laid


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnDown:
    """What was spent of a limit over time: a line, the limit across, and how it goes on at this pace."""

    unit: str
    since: datetime
    until: datetime
    line: str  # points of a polyline
    limit_y: float
    forecast: str | None


def burn_down(
    points: Sequence[tuple[datetime, int]],
    *,
    limit: int,
    unit: str,
    ends_at: datetime | None,
    exhausted_at: datetime | None,
) -> BurnDown:
    """Draw amounts at instants, from the first until the window ends; without an end some room is left."""
    since, now = points[0][0], points[-1][0]
    until = ends_at or max(now + (now - since) / 4, exhausted_at or now)
    span = max((until - since).total_seconds(), 1.0)
    highest = max(limit, points[-1][1], 1)

    def place(at: datetime, value: int) -> str:
        x = WIDTH * min(max((at - since).total_seconds() / span, 0.0), 1.0)
        return f"{x:.2f},{HEIGHT - _ROOM * HEIGHT * value / highest:.2f}"

    lasts = exhausted_at is None or exhausted_at <= now
    return BurnDown(
        unit=unit,
        since=since,
        until=until,
        line=" ".join(place(at, value) for at, value in points),
        limit_y=round(HEIGHT - _ROOM * HEIGHT * limit / highest, 2),
        forecast=None if lasts else f"{place(*points[-1])} {place(exhausted_at or now, limit)}",
    )
