"""Plots as inline SVG: plain geometry, no scripts, colours by the page's style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDE, NARROW = 920, 440  # in the plot's own units, which are about the pixels of a wide window
_LABEL, _RIGHT = 150, 70  # room for names on the left and figures on the right
_BAR, _GAP = 15, 5
_GROUP_GAP = 14
_BINS = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `share` is its length from 0 to 1, `figure` is written at its end, `tone` picks its colour."""

    name: str
    share: float
    figure: str
    tone: int = 0


def grouped_bars(groups: Mapping[str, Sequence[Bar]], *, title: str) -> str:
    """Draw horizontal bars, those of a group below each other under the group's name."""
    parts: list[str] = []
    y = 4
    for name, bars in groups.items():
        height = len(bars) * (_BAR + _GAP) - _GAP
        parts.append(_text(_LABEL - 10, y + height / 2, name, anchor="end"))
        for bar in bars:
            parts.append(_bar(bar, y, WIDE))
            y += _BAR + _GAP
        y += _GROUP_GAP - _GAP
    return _svg("".join(parts), y - _GROUP_GAP + 8, title, WIDE)


def bars(listed: Sequence[Bar], *, title: str, width: int = WIDE) -> str:
    """Draw horizontal bars, each with its name."""
    parts = []
    y = 4
    for bar in listed:
        parts += [_text(_LABEL - 10, y + _BAR / 2, bar.name, anchor="end"), _bar(bar, y, width)]
        y += _BAR + _GAP
    return _svg("".join(parts), y + 2, title, width)


def histogram(values: Sequence[float], *, title: str, unit: str) -> str:
    """Draw how values are spread, from 0 to the 99th percentile; what is beyond is in the last column."""
    if not values:
        return ""
    ordered = sorted(values)
    most = max(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1e-9)
    counts = [0] * _BINS
    for value in ordered:
        counts[min(_BINS - 1, int(value / most * _BINS))] += 1
    left, bottom, height = 44, 150, 130
    width = (NARROW - left - 10) / _BINS
    highest = max(counts)
    parts = [
        f'<rect class="tone0" x="{left + number * width + 1:.1f}" '
        f'y="{bottom - height * count / highest:.1f}" '
        f'width="{width - 2:.1f}" height="{height * count / highest:.1f}"><title>{count}</title></rect>'
        for number, count in enumerate(counts)
        if count
    ]
    parts.append(
        f'<line class="axis" x1="{left}" x2="{NARROW - 10}" y1="{bottom + 0.5}" y2="{bottom + 0.5}"/>'
    )
    for step in range(5):
        x = left + (NARROW - left - 10) * step / 4
        anchor = "end" if step == 4 else "middle"  # noqa: PLR2004 - the last one
        parts.append(_text(x, bottom + 14, f"{most * step / 4:.2g} {unit}", anchor=anchor))
    parts.append(_text(left - 8, bottom - height + 6, str(highest), anchor="end"))
    return _svg("".join(parts), bottom + 26, title, NARROW)


def _bar(bar: Bar, y: float, width: int) -> str:
    room = width - _LABEL - _RIGHT
    length = max(1.5, room * min(1.0, max(0.0, bar.share)))
    return (
        f'<rect class="track" x="{_LABEL}" y="{y}" width="{room}" height="{_BAR}" rx="2"/>'
        f'<rect class="tone{bar.tone}" x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2">'
        f"<title>{escape(bar.name)}: {escape(bar.figure)}</title></rect>"
        + _text(width - _RIGHT + 8, y + _BAR / 2, bar.figure)
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central"'
    return f"<text {where}>{escape(text)}</text>"


def _svg(content: str, height: float, title: str, width: int) -> str:
    return f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title)}">{content}</svg>'
