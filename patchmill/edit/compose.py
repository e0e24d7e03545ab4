"""Two steps in one: hunks of a text that other hunks have made, as hunks of the source itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from patchmill.edit.apply import apply_hunks, overlap
from patchmill.edit.offered import without_repeated
from patchmill.edit.span import Hunk, split_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What hunks of both steps that share lines do together; `hunk` is None where they cancel each other."""

    hunk: Hunk | None
    first: frozenset[Hunk]
    second: frozenset[Hunk]


def compose(source: str, first: Sequence[Hunk], second: Sequence[Hunk]) -> list[Composed]:
    """Give every hunk of the second step as one of the source, in the order of the file.

    `first` are hunks of the source, `second` of the text that these make. A hunk of the first step that
    shares no line with the second is in no result, and applies beside all of them.

    Raises ValueError if hunks do not fit their text, or overlap within their step.
    """
    text = apply_hunks(source, first)
    apply_hunks(text, second)
    lines, new_lines = split_lines(source), split_lines(text)
    composed: list[Composed] = []
    moved = 0  # how many lines further on the text is than the source
    for part in _parts(first, second):
        if part.second:
            start = part.low - moved
            size = part.high - part.low - sum(map(_growth, part.first))
            whole = Hunk(
                start_line=start + 1,
                end_line=start + size,
                original="".join(lines[start : start + size]),
                replacement=_replaced(new_lines, part),
            )
            hunk = without_repeated(whole)
            beside = [
                *(one.hunk for one in composed if one.hunk),
                *(one for one in first if one not in part.first),
            ]
            if any(overlap(hunk, other) for other in beside):
                hunk = whole  # what is left of it would be a second insertion at one point
            composed.append(
                Composed(
                    hunk=None if hunk.original == hunk.replacement else hunk,
                    first=frozenset(part.first),
                    second=frozenset(part.second),
                )
            )
        moved += sum(map(_growth, part.first))
    return composed


@dataclass(slots=True, kw_only=True)
class _Part:
    """Lines of the text between the steps, from 0, the end excluded, and the hunks that are about them.

    `reach` are the same lines in halves, with half a line around an insertion of the second step: beside
    lines of the first step it must not stay alone, since both could be insertions at one point.
    """

    low: int
    high: int
    reach: tuple[int, int]
    first: list[Hunk] = field(default_factory=list)
    second: list[Hunk] = field(default_factory=list)

    def meets(self, other: "_Part") -> bool:
        return self.reach[0] < other.reach[1] and other.reach[0] < self.reach[1]

    def take(self, other: "_Part") -> None:
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.reach = (min(self.reach[0], other.reach[0]), max(self.reach[1], other.reach[1]))
        self.first += other.first
        self.second += other.second


def _parts(first: Sequence[Hunk], second: Sequence[Hunk]) -> list[_Part]:
    """The hunks of both steps, joined where they share lines, in the order of the text between the steps."""
    single: list[_Part] = []
    moved = 0
    for hunk in sorted(first, key=lambda hunk: (hunk.start_line, hunk.end_line)):
        low = hunk.start_line - 1 + moved
        moved += _growth(hunk)
        high = hunk.end_line + moved
        single.append(_Part(low=low, high=high, reach=(2 * low, 2 * high), first=[hunk]))
    for hunk in second:
        low, high = hunk.start_line - 1, hunk.end_line
        around = 1 if low == high else 0
        reach = (2 * low - around, 2 * high + around)
        single.append(_Part(low=low, high=high, reach=reach, second=[hunk]))
    parts: list[_Part] = []
    for part in sorted(single, key=lambda part: part.reach):
        if parts and parts[-1].meets(part):
            parts[-1].take(part)
        else:
            parts.append(part)
    return parts


def _replaced(lines: Sequence[str], part: _Part) -> str:
    """The part's lines after the second step."""
    pieces: list[str] = []
    done = part.low
    for hunk in sorted(part.second, key=lambda hunk: (hunk.start_line, hunk.end_line)):
        pieces += [*lines[done : hunk.start_line - 1], hunk.replacement]
        done = hunk.end_line
    return "".join([*pieces, *lines[done : part.high]])


def _growth(hunk: Hunk) -> int:
    """How many lines a hunk adds."""
    return len(split_lines(hunk.replacement)) - (hunk.end_line - hunk.start_line + 1)
