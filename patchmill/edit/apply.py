"""Edits to hunks, hunks to text: which lines an edit means, and what becomes of the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Self

from patchmill.edit.anchors import disproved, without_anchors
from patchmill.edit.match import BOM, PAGE_BREAK, Match, Refusal, Shift, SourceLines, find
from patchmill.edit.protocol import AnchoredEdit, AnyEdit, Edit, Rejection, RejectionReason, Where
from patchmill.edit.span import Hunk, line_content, line_end, split_lines

# Above this many changed lines the lines of an edit are not paired one by one: that grows as the square.
_PAIRED_LINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where edits belong: hunks by position, not overlapping, and what was refused.

    `edits[i]` is the number of the edit that made `hunks[i]`; a rejection's `edit` is such a number too.
    """

    hunks: tuple[Hunk, ...]
    edits: tuple[int, ...]
    rejections: tuple[Rejection, ...]


def locate(source: str, edits: Sequence[AnyEdit], *, scope: tuple[int, int] | None = None) -> Located:
    """Find each edit's lines in the source, by their text or by anchors, and reduce it to the smallest hunk.

    Replacement lines take the line ends in use around them; lines that an edit only repeats keep their
    bytes; a byte order mark stays first. Edits are taken in order, so of two that clash the later is
    rejected. `scope` is the lines that may be touched, 1-based, both included.
    """
    lines = SourceLines(source)
    placed: list[tuple[Hunk, int]] = []
    rejections: list[Rejection] = []
    for number, edit in enumerate(edits):
        result = _place(lines, edit, scope)
        if isinstance(result, Hunk):
            result = _clash(lines, result, placed) or result
        if isinstance(result, Hunk):
            placed.append((result, number))
        else:
            refused = Rejection(edit=number, reason=result.reason, detail=result.detail, near=result.near)
            rejections.append(refused)
    placed.sort(key=lambda pair: _range(pair[0]))
    return Located(
        hunks=tuple(hunk for hunk, _ in placed),
        edits=tuple(number for _, number in placed),
        rejections=tuple(rejections),
    )


def apply_hunks(source: str, hunks: Sequence[Hunk]) -> str:
    """Apply hunks, in any order, to the source they were made from.

    Raises ValueError if a hunk's range or `original` is not the source's, if hunks overlap, or if a
    replacement would run into the line after it because a line end is missing.
    """
    lines = split_lines(source)
    ordered = sorted(hunks, key=_range)
    for before, after in pairwise(ordered):
        if overlap(before, after):
            raise ValueError(f"hunks overlap: {_lines_of(before)} and {_lines_of(after)}")
    parts: list[str] = []
    done = 0
    for hunk in ordered:
        low, high = _range(hunk)
        if not 0 <= low <= high <= len(lines) or "".join(lines[low:high]) != hunk.original:
            raise ValueError(f"not the source that this hunk was made from: {_lines_of(hunk)}")
        parts += [*lines[done:low], hunk.replacement]
        done = high
    parts = [part for part in (*parts, *lines[done:]) if part]
    for part in parts[:-1]:
        if not part.endswith(("\n", "\r")):
            raise ValueError(f"a line without an end stands before another: {part[-80:]!r}")
    return "".join(parts)


def overlap(one: Hunk, other: Hunk) -> bool:
    """Whether two hunks share a line, one inserts inside the other, or both insert at one point."""
    (low, high), (other_low, other_high) = _range(one), _range(other)
    return (low < other_high and other_low < high) or (low, high) == (other_low, other_high)


def anchored(source: str, hunk: Hunk) -> Hunk:
    """The form in which a hunk is offered as a suggestion: forges cannot comment on an empty range.

    An insertion becomes a replacement that repeats the line before it, or at the top the line after;
    in an empty file it stays `start_line` 1, `end_line` 0. Every other hunk is returned as it is.
    """
    lines = split_lines(source)
    if hunk.end_line >= hunk.start_line or not lines:
        return hunk
    number = max(hunk.start_line - 1, 1)
    neighbour = lines[number - 1]
    parts = (neighbour, hunk.replacement) if hunk.start_line > 1 else (hunk.replacement, neighbour)
    return Hunk(start_line=number, end_line=number, original=neighbour, replacement="".join(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMap:
    """Line numbers before and after hunks, 1-based; build it with `LineMap.of`."""

    _changes: tuple[tuple[int, int, int], ...]  # 0-based range of old lines, and how many replace it

    @classmethod
    def of(cls, hunks: Sequence[Hunk]) -> Self:
        """The map through hunks that do not overlap, in any order."""
        ranges = ((*_range(hunk), len(split_lines(hunk.replacement))) for hunk in hunks)
        return cls(_changes=tuple(sorted(ranges)))

    def new_line(self, old_line: int) -> int | None:
        """Where an old line is now; None if it lies in a replaced range."""
        moved = 0
        for low, high, size in self._changes:
            if old_line <= low:
                break
            if old_line <= high:
                return None
            moved += size - (high - low)
        return old_line + moved

    def old_line(self, new_line: int) -> int | None:
        """Where a line that is there now was before; None if a hunk wrote it."""
        moved = 0
        for low, high, size in self._changes:
            if new_line <= low + moved:
                break
            if new_line <= low + moved + size:
                return None
            moved += size - (high - low)
        return new_line - moved


def _place(source: SourceLines, edit: AnyEdit, scope: tuple[int, int] | None) -> Hunk | Refusal:
    """The hunk of one edit, or why there is none."""
    hunk = _searched(source, edit) if isinstance(edit, Edit) else _anchored(source, edit)
    if isinstance(hunk, Refusal):
        return hunk
    if scope and (hunk.start_line < scope[0] or hunk.end_line > scope[1]):
        detail = f"{_lines_of(hunk)} would change; only lines {scope[0]} to {scope[1]} may"
        return Refusal(reason=RejectionReason.OUTSIDE_SCOPE, detail=detail)
    return _with_bom(source, hunk)


def _searched(source: SourceLines, edit: Edit) -> Hunk | Refusal:
    """The hunk of an edit whose old text has one place."""
    search, replace = _contents(source, edit.search), _contents(source, edit.replace)
    if search == replace:
        return Refusal(reason=RejectionReason.NO_EFFECT, detail="search and replacement are the same")
    if any(line.strip() for line in search):
        match = find(source, search)
        return match if isinstance(match, Refusal) else _hunk(source, match, search, replace)
    if source.lines:
        detail = "the search text is empty or blank, and the file is not empty"
        return Refusal(reason=RejectionReason.EMPTY_SEARCH, detail=detail)
    return _first_lines(replace)


def _anchored(source: SourceLines, edit: AnchoredEdit) -> Hunk | Refusal:
    """The hunk of an edit whose anchors name lines of the source."""
    wrong = (disproved(source, anchor) for anchor in (edit.first, edit.last) if anchor is not None)
    refusal = next(filter(None, wrong), None)
    if refusal is not None:
        return refusal
    new = without_anchors(source, _contents(source, edit.replace))
    if edit.where is not Where.REPLACE and not new:
        return Refusal(reason=RejectionReason.NO_EFFECT, detail="no lines are to be inserted")
    if edit.first is None or edit.last is None:
        if not source.lines:
            return _first_lines(new)
        low, high, before = 0, 1, True
    else:
        low, high, before = edit.first.line - 1, edit.last.line, edit.where is Where.BEFORE
    if low >= high:
        detail = f"the last line, {high}, stands before the first, {low + 1}"
        return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail)
    search = source.contents[low:high]
    kept = [] if edit.where is Where.REPLACE else search
    replace = [*new, *kept] if before else [*kept, *new]
    return _hunk(source, Match(at=low, shift=Shift()), search, replace)


def _first_lines(contents: Sequence[str]) -> Hunk:
    """The hunk that fills an empty file."""
    return Hunk(start_line=1, end_line=0, original="", replacement="".join(f"{line}\n" for line in contents))


def _contents(source: SourceLines, text: str) -> list[str]:
    """The lines of an edit's text, as the file's lines are compared: without ends and byte order mark."""
    return [line_content(line) for line in split_lines(text.removeprefix(BOM) if source.bom else text)]


def _hunk(source: SourceLines, match: Match, search: list[str], replace: list[str]) -> Hunk | Refusal:
    """The smallest hunk that puts the replacement in the place of the matched lines."""
    low, high = match.at, match.at + len(search)
    new = _rewritten(source, match, search, replace)
    if new is None:
        detail = f"the search text is at line {low + 1}, but the replacement cannot take its indentation"
        return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail)
    before = "".join(source.lines[low - 1 : low]) if low else ""
    new = _apart([before, *new, "".join(source.lines[high : high + 1])])
    if new[0] == before:
        new = new[1:-1]
    else:
        low, new = low - 1, new[:-1]
    old = source.lines[low:high]
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if not old and not new:
        return Refusal(reason=RejectionReason.NO_EFFECT, detail="the file already has these lines there")
    return Hunk(
        start_line=low + head + 1, end_line=high - tail, original="".join(old), replacement="".join(new)
    )


def _rewritten(source: SourceLines, match: Match, search: list[str], replace: list[str]) -> list[str] | None:
    """The matched lines as the edit wants them, with ends; None if a line cannot be indented as needed.

    A line that search and replacement share keeps the file's bytes; any other takes the end of the line
    in whose place it comes, or of the one that it is added after, and a page break that the search left out.
    """
    new: list[str] = []
    open_end = match.at + len(search) == len(source.lines) and not line_end(source.lines[-1])
    for same, low, high, start, stop in _pairs(search, replace):
        if same:
            new += source.lines[match.at + low : match.at + high]
            continue
        for offset, text in enumerate(replace[start:stop]):
            shifted = match.shift.shifted(text)
            if shifted is None:
                return None
            place = max(min(low + offset, high - 1), 0)
            if offset < high - low and not search[place].startswith(PAGE_BREAK):
                shifted = source.page_break_at(match.at + place) + shifted
            closes_file = open_end and start + offset == len(replace) - 1
            new.append(shifted + ("" if closes_file else source.end_at(match.at + place)))
    for index, line in enumerate(new[:-1]):
        if not line_end(line):
            new[index] = line + source.end_at(len(source.lines) - 1)
    # A blank line that closes a file without final newline has no characters.
    return [line for line in new if line]


def _pairs(search: list[str], replace: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """Runs of search lines [low:high] that stay as, or give way to, replacement lines [start:stop]."""
    head = _common(search, replace)
    tail = _common(search[head:][::-1], replace[head:][::-1])
    old, new = search[head : len(search) - tail], replace[head : len(replace) - tail]
    runs = [(True, 0, head, 0, head)]
    if max(len(old), len(new)) > _PAIRED_LINES:
        runs.append((False, head, head + len(old), head, head + len(new)))
    else:
        for tag, low, high, start, stop in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            runs.append((tag == "equal", head + low, head + high, head + start, head + stop))
    runs.append((True, len(search) - tail, len(search), len(replace) - tail, len(replace)))
    return runs


def _apart(lines: list[str]) -> list[str]:
    """Turn the CR of a line into CRLF where the next line begins with LF: the two would become one end."""
    return [
        line + "\n" if line.endswith("\r") and follower.startswith("\n") else line
        for line, follower in pairwise([*lines, ""])
    ]


def _with_bom(source: SourceLines, hunk: Hunk) -> Hunk:
    """Keep the byte order mark first: a hunk on line 1 carries it, with the next line if it would go."""
    if not source.bom or hunk.start_line > 1:
        return hunk
    kept = ""
    end_line = hunk.end_line
    if not (hunk.original and hunk.replacement):
        kept = "".join(source.lines[end_line : end_line + 1])
        # A file of nothing but the mark has one line, the mark's.
        end_line += 1 if kept or not source.lines else 0
    original, replacement = BOM + hunk.original + kept, BOM + hunk.replacement + kept
    return Hunk(start_line=1, end_line=end_line, original=original, replacement=replacement)


def _clash(source: SourceLines, hunk: Hunk, placed: list[tuple[Hunk, int]]) -> Refusal | None:
    for other, number in placed:
        if overlap(hunk, other) or _spoil(source, *sorted((hunk, other), key=_range)):
            detail = f"{_lines_of(hunk)}: edit {number} changes {_lines_of(other)}"
            return Refusal(reason=RejectionReason.OVERLAP, detail=detail)
    return None


def _spoil(source: SourceLines, first: Hunk, second: Hunk) -> bool:
    """Whether two hunks that share no line make together what neither says.

    One takes away a file's only line, so that its mark stays alone, and the other adds lines; or a CR comes
    to stand before an LF, and the two would be one line end.
    """
    if first.replacement == BOM:
        return second.end_line < second.start_line
    touch = first.end_line + 1 == second.start_line and source.has_cr
    return touch and first.replacement[-1:] in {"", "\r"} and second.replacement[:1] in {"", "\n"}


def _range(hunk: Hunk) -> tuple[int, int]:
    """The hunk's lines as 0-based half-open range; empty for an insertion."""
    return hunk.start_line - 1, hunk.end_line


def _lines_of(hunk: Hunk) -> str:
    if hunk.end_line < hunk.start_line:
        return f"insertion before line {hunk.start_line}"
    return f"lines {hunk.start_line} to {hunk.end_line}"


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines two sequences share at their beginning."""
    size = min(len(one), len(other))
    return next((index for index in range(size) if one[index] != other[index]), size)
