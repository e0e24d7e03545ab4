"""Numbers as bars: geometry alone, drawn by a template as SVG, always beside the numbers themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 720
HEIGHT = 160
_GAP = 2


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
