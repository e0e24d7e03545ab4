"""Which lines of a file a prompt shows: around what is asked for, by the file's own form or by indentation.

Whoever may parse the file gives its `Layout`; submitted text is not parsed here. Without one, functions and
blocks are found by indentation, which costs a line too many now and then.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from patchmill.edit.span import split_lines
from patchmill.job.record import KindName, Task

WHOLE_FILE_LINES = 40  # up to here the whole file is shown; it costs less than a missing line
LONGEST_BLOCK = 150  # of a longer one only the lines around what is asked for are shown
MARGIN_LINES = 3  # shown around a finding that lies in no function
MOST_PIECES = 32  # excerpts of one file; each has a heading and a fence
_BRIDGED = 2  # lines between two excerpts that cost less than another heading

Lines = tuple[int, int]  # first and last, 1-based, both included

_OPENS_BLOCK = re.compile(r"\s*(?:async\s+def|def|class)\b")
_IMPORT = re.compile(r"(?:import|from)\b")
# The same for languages with braces, roughly: a line too many costs little, and one too few a wrong answer.
_ANY_IMPORT = re.compile(
    r"(?:import|from|use|using|require|require_relative|package|namespace|extern crate|source)\b"
    r"|#\s*include\b|(?:const|let|var)\b[^=]*=\s*require\b|export\b.*\bfrom\b|<\?php\b"
)


class Extent(StrEnum):
    """How much of the file a prompt shows, the most first."""

    WHOLE = "the whole file"
    EXCERPTS = "the imports and the enclosing functions"
    FUNCTIONS = "the enclosing functions"
    MARGIN = "the lines around what is asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What holds lines that are asked for: a function, else a class or statements; the headers around it."""

    block: Lines
    headers: tuple[Lines, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The form of a file: its imports, and what holds each range of `asked_lines`, in that order."""

    imports: tuple[Lines, ...]
    holders: tuple[Holder, ...]


def asked_lines(task: Task) -> list[Lines]:
    """Give the lines that are asked for: those of each finding, or for an instruction the scope."""
    if task.findings:
        return [(finding.start_line, max(finding.start_line, finding.end_line)) for finding in task.findings]
    return [] if task.scope is None else [task.scope.as_pair()]


def extents(task: Task) -> tuple[Extent, ...]:
    """Give the extents in which a task can be shown, the best first and each smaller than the one before."""
    lines = split_lines(task.source)
    if task.kind is KindName.ANNOTATE or not asked_lines(task):
        return (Extent.WHOLE,)
    return tuple(Extent)[0 if len(lines) <= WHOLE_FILE_LINES else 1 :]


def excerpts(lines: Sequence[str], task: Task, extent: Extent, layout: Layout | None = None) -> list[Lines]:
    """Give the pieces of the file that a prompt shows, in order and apart, at most `MOST_PIECES`."""
    spans = _around(lines, task, extent, layout)
    if extent is Extent.EXCERPTS and layout is not None:
        spans += layout.imports
    elif extent is Extent.EXCERPTS:
        spans += _imports(lines, _IMPORT if task.language == "python" else _ANY_IMPORT)
    spans = [(max(1, start), min(end, len(lines))) for start, end in spans]
    return _at_most(MOST_PIECES, _merge((start, end) for start, end in spans if start <= end))


def _around(lines: Sequence[str], task: Task, extent: Extent, layout: Layout | None) -> list[Lines]:
    """Give what is asked for with the lines around it; a scope was chosen with what belongs to it."""
    asked = asked_lines(task)
    margins = [_margin(lines, start, end) for start, end in asked]
    if not task.findings:
        return margins
    if layout is not None and len(layout.holders) == len(asked):
        if extent is Extent.MARGIN:
            return margins
        places = zip(layout.holders, asked, strict=True)
        return [span for holder, place in places for span in _held(lines, holder, place)]
    enclosing = _enclosing if task.language == "python" else _block
    spans = [enclosing(lines, start, end) for start, end in asked]
    if extent is not Extent.MARGIN:
        return spans
    return [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(spans, margins, strict=True)]


def _held(lines: Sequence[str], holder: Holder, asked: Lines) -> list[Lines]:
    """Give the block that holds lines, or of a long one their surroundings, below the headers of all.

    A long block without any header is no definition: what holds lines in it only indentation can say.
    """
    first, last = holder.block
    if last - first < (LONGEST_BLOCK if holder.headers else WHOLE_FILE_LINES):
        return [*holder.headers, holder.block]
    return [*holder.headers, _margin(lines, *asked) if holder.headers else _block(lines, *asked)]


def _imports(lines: Sequence[str], begins: re.Pattern[str]) -> list[Lines]:
    """Find the top-level imports, those in brackets or braces with all their lines."""
    spans = []
    number = 1
    while number <= len(lines):
        if not begins.match(lines[number - 1]):
            number += 1
            continue
        end = number
        for opening, closing in ("()", "{}"):
            if opening in lines[number - 1] and closing not in lines[number - 1]:
                while end < len(lines) and closing not in lines[end - 1]:
                    end += 1
        spans.append((number, end))
        number = end + 1
    return spans


def _margin(lines: Sequence[str], start: int, end: int) -> Lines:
    return max(1, start - MARGIN_LINES), min(len(lines), end + MARGIN_LINES)


def _block(lines: Sequence[str], start: int, end: int) -> Lines:
    """Find the outermost block around a range that is not too long to be shown, by indentation alone."""
    best = _margin(lines, start, end)
    first, last = min(start, len(lines)), min(max(start, end), len(lines))
    while (depth := _depth(lines, first, last)) > 0:
        while first > 1 and _is_inside(lines[first - 1], depth):
            first -= 1
        while last < len(lines) and _is_inside(lines[last - 1], depth):
            last += 1
        if last - first >= LONGEST_BLOCK:
            break
        best = min(best[0], first), max(best[1], last)
    return best


def _depth(lines: Sequence[str], first: int, last: int) -> int:
    """Give the indentation of a range: that of its line with the least."""
    return min((_indent(line) for line in lines[first - 1 : last] if line.strip()), default=0)


def _is_inside(line: str, depth: int) -> bool:
    return not line.strip() or _indent(line) >= depth


def _enclosing(lines: Sequence[str], start: int, end: int) -> Lines:
    """Find the innermost function or class around a range, by indentation, with its decorators."""
    opener = _opener(lines, start)
    if opener is None:
        return _margin(lines, start, end)
    depth = _indent(lines[opener - 1])
    last = max(end, opener)
    for number in range(opener + 1, len(lines) + 1):
        line = lines[number - 1]
        if line.strip() and _indent(line) <= depth and not line.lstrip().startswith((")", "]", "}")):
            break
        if line.strip():
            last = max(last, number)
    first = opener
    while first > 1 and lines[first - 2].lstrip().startswith("@") and _indent(lines[first - 2]) == depth:
        first -= 1
    return first, last


def _opener(lines: Sequence[str], number: int) -> int | None:
    """Walk up from a line to the def or class that it belongs to."""
    index = min(number, len(lines))
    while index >= 1 and not lines[index - 1].strip():
        index -= 1
    if index < 1:
        return None
    depth = _indent(lines[index - 1])
    if _OPENS_BLOCK.match(lines[index - 1]):
        return index
    for above in range(index - 1, 0, -1):
        line = lines[above - 1]
        if line.strip() and _indent(line) < depth:
            if _OPENS_BLOCK.match(line):
                return above
            depth = _indent(line)
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _merge(spans: Iterable[Lines]) -> list[Lines]:
    """Join spans that overlap, touch, or leave out no more than a heading costs, in the order of the file."""
    merged: list[Lines] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1 + _BRIDGED:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _at_most(count: int, pieces: Sequence[Lines]) -> list[Lines]:
    """Join pieces across the shortest gaps until there are no more than `count`."""
    gaps = sorted(range(1, len(pieces)), key=lambda index: pieces[index][0] - pieces[index - 1][1])
    bridged = set(gaps[: max(0, len(pieces) - count)])
    joined: list[Lines] = []
    for index, piece in enumerate(pieces):
        if index in bridged:
            joined[-1] = joined[-1][0], piece[1]
        else:
            joined.append(piece)
    return joined
