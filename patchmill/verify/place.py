"""Where things are before and after hunks: lines outside map one to one, a hunk's lines map as a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from patchmill.edit.apply import LineMap
from patchmill.edit.span import Hunk, split_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Lines, 1-based, both included; empty if the end is before the start."""

    start: int
    end: int

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it shares a line with start to end, both included."""
        return self.start <= end and start <= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line that kept its text, by its number after the edits, or a hunk's block, by the hunk's number."""

    line: int | None = None
    block: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The way through a set of hunks that do not overlap; build it with `Places.of`."""

    _map: LineMap
    _blocks: tuple[tuple[Region, Region], ...]  # each hunk's old and new lines

    @classmethod
    def of(cls, hunks: Sequence[Hunk]) -> Self:
        """The way through hunks, in any order."""
        blocks: list[tuple[Region, Region]] = []
        moved = 0
        for hunk in sorted(hunks, key=lambda hunk: (hunk.start_line, hunk.end_line)):
            size = len(split_lines(hunk.replacement))
            start = hunk.start_line + moved
            old = Region(start=hunk.start_line, end=hunk.end_line)
            blocks.append((old, Region(start=start, end=start + size - 1)))
            moved += size - (hunk.end_line - hunk.start_line + 1)
        return cls(_map=LineMap.of(hunks), _blocks=tuple(blocks))

    def of_old(self, line: int) -> Place:
        """The place of a line of the source."""
        new = self._map.new_line(line)
        if new is not None:
            return Place(line=new)
        return Place(block=next(n for n, (old, _) in enumerate(self._blocks) if old.overlaps(line, line)))

    def of_new(self, line: int) -> Place:
        """The place of a line of the edited text."""
        for number, (_, new) in enumerate(self._blocks):
            if new.overlaps(line, line):
                return Place(block=number)
        return Place(line=line)

    def region(self, start: int, end: int) -> tuple[Region, Region]:
        """Lines of the source, grown to whole hunks, and what they have become."""
        touched = [
            (old, new)
            for old, new in self._blocks
            if old.overlaps(start, end) or (old.end < old.start and start < old.start <= end)
        ]
        old = Region(
            start=min([start, *(block.start for block, _ in touched)]),
            end=max([end, *(block.end for block, _ in touched)]),
        )
        return old, Region(
            start=self._new_edge(old.start, first=True), end=self._new_edge(old.end, first=False)
        )

    def _new_edge(self, line: int, *, first: bool) -> int:
        """The first or last new line of what an old line at the edge of a region has become."""
        place = self.of_old(line)
        if place.line is not None:
            return place.line
        assert place.block is not None  # noqa: S101 - a place is one or the other
        block = self._blocks[place.block][1]
        return block.start if first else block.end
