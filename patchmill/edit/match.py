"""Where search lines stand in a source: exactly, without trailing whitespace, or uniformly indented."""

import difflib
import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

from patchmill.edit.protocol import RejectionReason
from patchmill.edit.span import line_content, line_end, split_lines

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
PAGE_BREAK = "\f"  # may stand before a line without being a part of its indentation

_BLANK = " \t\f\v"
_INDENT = " \t"
_LISTED = 10  # matches named in a rejection
_TRIED = 1000  # places whose indentation is compared
_QUOTED = 80  # characters of a line quoted in a rejection
_COMPARED = 200  # characters of a line that the nearest one is looked for with
_CANDIDATES = 200  # lines sharing most words, among which the most similar is looked for
_WORD = re.compile(r"\w+")


_Found = TypeVar("_Found")


class SourceLines:
    """A source cut into lines, without its byte order mark, in the forms that search lines are compared with.

    `lines` keep their ends, `contents` do not; indexes count from 0.
    """

    def __init__(self, source: str) -> None:
        self.bom = source.startswith(BOM)
        self.lines = split_lines(source.removeprefix(BOM))
        self.contents = [line_content(line) for line in self.lines]

    @cached_property
    def has_cr(self) -> bool:
        """Whether a line ends by a CR alone."""
        return any(line.endswith("\r") for line in self.lines)

    @cached_property
    def trimmed(self) -> list[str]:
        """The contents without trailing whitespace, and without a page break before them."""
        return [line.rstrip(_BLANK).lstrip(PAGE_BREAK) for line in self.contents]

    @cached_property
    def bodies(self) -> list[str]:
        """The contents without trailing whitespace and indentation."""
        return [line.lstrip(_INDENT) for line in self.trimmed]

    def page_break_at(self, index: int) -> str:
        """The page breaks before a line."""
        content = self.contents[index]
        return content[: len(content) - len(content.lstrip(PAGE_BREAK))]

    def end_at(self, index: int) -> str:
        """The line end in use at a line: its own, or if the last line has none, that of the line before."""
        return line_end(self.lines[index]) or (line_end(self.lines[index - 1]) if index else "") or "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How indentation in the answer becomes that of the file: a prefix to add, or one to take away."""

    add: str = ""
    remove: str = ""

    def shifted(self, line: str) -> str | None:
        """The line with the file's indentation; None if that would mix tabs and spaces, or cannot be done."""
        if not line.strip(_BLANK):
            return line
        if not line.startswith(self.remove):
            return None
        line = line.removeprefix(self.remove)
        mixes = self.add and line[0] in _INDENT and line[0] != self.add[0]
        return None if mixes else self.add + line


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The one place of the search lines: the index of the first, and the shift of their indentation."""

    at: int
    shift: Shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an edit cannot be used; `near` is the lines that it may mean, 1-based, both included."""

    reason: RejectionReason
    detail: str
    near: tuple[int, int] | None = None


def find(source: SourceLines, search: Sequence[str]) -> Match | Refusal:
    """Find the one place where the search lines (contents, at least one not blank) stand in the source.

    The first way of comparing that finds anything decides: exactly; without trailing whitespace; with
    all lines indented by the same tabs or the same spaces more, or less, than in the file.
    """
    trimmed = [line.rstrip(_BLANK).lstrip(PAGE_BREAK) for line in search]
    bodies = [line.lstrip(_INDENT) for line in trimmed]
    places = _first(_windows(source.contents, search)) or _first(_windows(source.trimmed, trimmed))
    if places:
        return _unique([Match(at=at, shift=Shift()) for at in places])
    places = list(islice(_windows(source.bodies, bodies), _TRIED + 1))
    if len(places) > _TRIED:
        detail = f"the search text is at more than {_TRIED} places, with other indentation; it must be unique"
        return Refusal(reason=RejectionReason.AMBIGUOUS, detail=detail)
    shifts = ((at, _shift(source.trimmed[at : at + len(search)], trimmed)) for at in places)
    matches = _first(Match(at=at, shift=shift) for at, shift in shifts if shift)
    if matches:
        return _unique(matches)
    if places:
        detail = (
            f"the search text is at {_line_list(places)} with other indentation; "
            "tabs and spaces must be as in the file"
        )
        near = (places[0] + 1, places[0] + len(search))
        return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail, near=near)
    return _absent(source, bodies)


def _windows(lines: Sequence[str], search: Sequence[str]) -> Iterator[int]:
    """Each index at which the search lines stand in the lines."""
    # Searching the joined text stays linear however often lines repeat; no line contains an LF.
    text = "\n".join(("", *lines, ""))
    wanted = "\n".join(("", *search, ""))
    seen, index = 0, 0
    place = text.find(wanted)
    while place >= 0:
        index += text.count("\n", seen, place)
        yield index
        seen = place
        place = text.find(wanted, place + 1)


def _first(found: Iterator[_Found]) -> list[_Found]:
    """As many as are named in a rejection, and one, to tell that there are more."""
    return list(islice(found, _LISTED + 1))


def _unique(matches: list[Match]) -> Match | Refusal:
    if len(matches) == 1:
        return matches[0]
    detail = f"the search text is at {_line_list([match.at for match in matches])}; it must be unique"
    return Refusal(reason=RejectionReason.AMBIGUOUS, detail=detail)


def _shift(lines: list[str], search: list[str]) -> Shift | None:
    """The one shift that turns every search line into the line of the file; None if there is none."""
    shifts = {
        _difference(_indent(line), _indent(wanted))
        for line, wanted in zip(lines, search, strict=True)
        if line
    }
    return shifts.pop() if len(shifts) == 1 else None


def _difference(indent: str, wanted: str) -> Shift | None:
    """The shift from the wanted indentation to the file's; None unless it is tabs alone or spaces alone."""
    if indent.endswith(wanted):
        shift = Shift(add=indent.removesuffix(wanted))
    elif wanted.endswith(indent):
        shift = Shift(remove=wanted.removesuffix(indent))
    else:
        return None
    return shift if len(set(shift.add + shift.remove)) == 1 else None


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(_INDENT))]


def _line_list(indexes: list[int]) -> str:
    listed = ", ".join(str(index + 1) for index in indexes[:_LISTED])
    more = " and more" if len(indexes) > _LISTED else ""
    return f"line{'s' if len(indexes) > 1 else ''} {listed}{more}"


def _absent(source: SourceLines, bodies: list[str]) -> Refusal:
    """Name the first search line that is nowhere in the file and the most similar line that is."""
    known = set(source.bodies)
    missing = next((index for index, body in enumerate(bodies) if body not in known), None)
    if missing is None:
        detail = "each line of the search text is in the file, but they do not stand together in this order"
        first = next(index for index, body in enumerate(bodies) if body)
        begins = source.bodies.index(bodies[first]) - first
    else:
        wanted = bodies[missing]
        detail = f"line {missing + 1} of the search text, {wanted[:_QUOTED]!r}, is nowhere in the file"
        nearest = _nearest(source, wanted)
        if nearest is None:
            return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail)
        detail += f"; the most similar is line {nearest + 1}, {source.contents[nearest][:_QUOTED]!r}"
        begins = nearest - missing
    near = (max(begins, 0) + 1, min(begins + len(bodies), len(source.lines)))
    return Refusal(reason=RejectionReason.NOT_FOUND, detail=detail, near=near)


def _nearest(source: SourceLines, wanted: str) -> int | None:
    """The index of the line most similar to the wanted one; None if none resembles it."""
    words = set(_WORD.findall(wanted[:_COMPARED]))
    first: dict[str, int] = {}
    for index, body in enumerate(source.bodies):
        if body:
            first.setdefault(body[:_COMPARED], index)
    candidates = heapq.nlargest(_CANDIDATES, first, key=lambda body: len(words & set(_WORD.findall(body))))
    similar = difflib.get_close_matches(wanted[:_COMPARED], candidates, n=1)
    return first[similar[0]] if similar else None
