"""From an old and a new text to edits: SEARCH/REPLACE blocks with unique old lines, or lines by anchors."""

from collections.abc import Sequence
from dataclasses import dataclass

from patchmill.dev.standin.anchored import write_anchored
from patchmill.dev.standin.prompt import Task
from patchmill.dev.standin.source_text import Change, SourceText, changes

_MARKERS = ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE")
_MORE_LINES = 4


@dataclass(slots=True)
class _Hunk:
    """Old lines `start` to `end` (half-open, from 0) and the changes inside."""

    start: int
    end: int
    inside: list[Change]


def write_blocks(task: Task, new: SourceText, together: Sequence[range] = ()) -> list[str]:
    """One block for each place that changed, or one edit by anchors if the task has them.

    Neighbouring lines are added until the old text occurs once; some more where excerpts hide what else
    occurs, and with each repair turn. A change whose lines cannot be told from the markers, or cannot be
    made unique, is left out. Changes that touch the same range of lines in `together` share a block.
    """
    places = _Places(task.source)
    hunks = _joined(changes(task.source.lines, new.lines), together)
    if task.anchors is not None:
        edits = [
            write_anchored(task.anchors, hunk.start, hunk.end, _replaced(hunk, task, new)) for hunk in hunks
        ]
        return [edit for edit in edits if edit is not None]
    for hunk in hunks:
        for _ in range(_MORE_LINES * (len(task.repairs) + (not task.is_whole))):
            _grow(hunk, task)
        while not places.has_one(hunk) and _grow(hunk, task):
            pass
    blocks = [_render(hunk, task, new) for hunk in _merged(hunks) if places.has_one(hunk)]
    return [block for block in blocks if block is not None]


def _joined(found: Sequence[Change], together: Sequence[range]) -> list[_Hunk]:
    hunks: list[_Hunk] = []
    for change in found:
        before = hunks[-1].inside[-1] if hunks else None
        if before is not None and any(_touches(before, one) and _touches(change, one) for one in together):
            hunks[-1].end = change.old_end
            hunks[-1].inside.append(change)
        else:
            hunks.append(_Hunk(change.old_start, change.old_end, [change]))
    return hunks


def _merged(hunks: Sequence[_Hunk]) -> list[_Hunk]:
    """One hunk for those that meet; one that grew may reach back over several before it."""
    merged: list[_Hunk] = []
    for hunk in hunks:
        start, end, inside = hunk.start, hunk.end, hunk.inside
        while merged and merged[-1].end >= start:
            before = merged.pop()
            start, end = min(before.start, start), max(before.end, end)
            inside = [*before.inside, *inside]
        merged.append(_Hunk(start, end, inside))
    return merged


def _touches(change: Change, lines: range) -> bool:
    """Whether a change is in the lines, which count from 1; an insertion is where either neighbour is."""
    if change.old_start == change.old_end:
        return change.old_start in lines or change.old_start + 1 in lines
    return change.old_start < lines.stop - 1 and change.old_end >= lines.start


def _grow(hunk: _Hunk, task: Task) -> bool:
    """Add the shorter side's neighbour, if the prompt shows it; whether there was one to add."""
    above = hunk.inside[0].old_start - hunk.start
    below = hunk.end - hunk.inside[-1].old_end
    can_above, can_below = hunk.start in task.shown, hunk.end + 1 in task.shown
    if can_above and (above <= below or not can_below):
        hunk.start -= 1
    elif can_below:
        hunk.end += 1
    return can_above or can_below


class _Places:
    """Where runs of lines occur in a file."""

    def __init__(self, source: SourceText) -> None:
        self._source = source
        self._stripped = [line.strip() for line in source.lines]
        self._starts: dict[str, list[int]] = {}
        for number, line in enumerate(self._stripped):
            self._starts.setdefault(line, []).append(number)

    def has_one(self, hunk: _Hunk) -> bool:
        """Whether the old lines occur once, also as a part of other lines, and when spaces are ignored."""
        lines = self._source.lines[hunk.start : hunk.end]
        stripped = self._stripped[hunk.start : hunk.end]
        if not any(stripped) or self._source.text.count("\n".join(lines)) != 1:
            return False
        starts = self._starts[stripped[0]]
        return sum(self._stripped[start : start + len(stripped)] == stripped for start in starts) == 1


def _replaced(hunk: _Hunk, task: Task, new: SourceText) -> list[str]:
    """The lines that take the place of a hunk."""
    replaced: list[str] = []
    position = hunk.start
    for change in hunk.inside:
        replaced += task.source.lines[position : change.old_start]
        replaced += new.lines[change.new_start : change.new_end]
        position = change.old_end
    return [*replaced, *task.source.lines[position : hunk.end]]


def _render(hunk: _Hunk, task: Task, new: SourceText) -> str | None:
    replaced = _replaced(hunk, task, new)
    searched = task.source.lines[hunk.start : hunk.end]
    if any(line.startswith(_MARKERS) for line in (*searched, *replaced)):
        return None
    return "\n".join((_MARKERS[0], *searched, _MARKERS[1], *replaced, _MARKERS[2]))
