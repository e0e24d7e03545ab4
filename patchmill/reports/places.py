"""From a report's names to the submitted files, and from its columns to ours: code points from 1."""

import posixpath
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from patchmill.edit.span import line_content, split_lines
from patchmill.job.record import ToolEdit, ToolFix
from patchmill.reports.report import Lines, Offsets, ReportedEdit, ReportedFix, Unit

_BOM = "\ufeff"
_DRIVE = re.compile(r"[A-Za-z]:/")
_MAX_NAME = 4_096  # characters; a longer name matches no file

Point = tuple[int, int]  # line and column, both from 1


def match(names: Iterable[str], paths: Iterable[str]) -> dict[str, str]:
    """Tell which submitted file each name of a report means; names of other files are left out.

    A relative name is the path itself. Of an absolute one the longest ending that was submitted counts, so
    that the report may come from any folder; but where that would put one checkout inside another, the
    inner one is only a folder with a file of the same name.
    """
    known = set(paths)
    endings = _Endings(known)
    found: dict[str, str] = {}
    roots: dict[str, str] = {}
    for name in set(names):
        normal = _normal(name)
        if normal in known:
            found[name] = normal
        elif normal.startswith("/") or _DRIVE.match(normal):
            path = endings.longest(normal)
            if path is not None:
                found[name] = path
                roots[name] = normal.removesuffix(path)
    outermost = _outermost(set(roots.values()))
    return {name: path for name, path in found.items() if name not in roots or roots[name] in outermost}


class _Endings:
    """Paths by how they end, since a report may name thousands of files, each in hundreds of folders.

    They are kept backwards and sorted: so what a name ends with stands right before the name, or is an
    ending of what does.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._backwards = sorted(_backwards(path) for path in paths)
        self._shorter: list[int] = []  # of each, the number of the longest other that it ends with, or -1
        open_: list[int] = []
        for number, path in enumerate(self._backwards):
            while open_ and not path.startswith(self._backwards[open_[-1]]):
                open_.pop()
            self._shorter.append(open_[-1] if open_ else -1)
            open_.append(number)

    def longest(self, name: str) -> str | None:
        """Give the longest path that an absolute name ends with, in whole segments."""
        backwards = _backwards(name)
        number = bisect_right(self._backwards, backwards) - 1
        while number >= 0 and not backwards.startswith(self._backwards[number]):
            number = self._shorter[number]
        return None if number < 0 else self._backwards[number][-2::-1]


def _backwards(path: str) -> str:
    """A path from its end, with a slash where it begins, so that no segment is taken in part."""
    return ("/" + path.removeprefix("/"))[::-1]


def _outermost(roots: set[str]) -> set[str]:
    """The roots that lie in no other; each ends with a slash, so that sorting puts the outer one first."""
    kept: list[str] = []
    for root in sorted(roots):
        if not kept or not root.startswith(kept[-1]):
            kept.append(root)
    return set(kept)


def _normal(name: str) -> str:
    if not 0 < len(name) <= _MAX_NAME:
        return ""
    if "\\" in name and ("/" not in name or _DRIVE.match(name.replace("\\", "/"))):
        name = name.replace("\\", "/")
    return re.sub("^//", "/", posixpath.normpath(name))


class FileText:
    """A submitted file, in which a report's places are found."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix(_BOM)  # tools do not count the byte order mark
        lines = split_lines(self._text)
        self._starts = list(accumulate(map(len, lines), initial=0))
        closed = not lines or lines[-1].endswith(("\n", "\r"))
        self._contents = [line_content(line) for line in lines] + [""] * closed
        self._units: dict[tuple[int, Unit], array[int]] = {}

    @property
    def last(self) -> int:
        """The last line's number; after a final line end tools count one more, empty line."""
        return len(self._contents)

    def of_finding(self, place: Lines | Offsets | None, unit: Unit) -> Lines | None:
        """Give a finding's place; None when the file has no such line. Without a place it is line 1."""
        if place is None:
            return Lines(start_line=1, end_line=1)
        if isinstance(place, Offsets):
            start = self._at_offset(place.start, unit)
            end = self._at_offset(place.start + place.length, unit)
            if start is None or end is None:
                return None
            return Lines(start_line=start[0], start_column=start[1], end_line=end[0], end_column=end[1])
        start_line, end_line = place.start_line, max(place.start_line, place.end_line)
        if end_line > self.last:
            return None
        start_column, end_column = place.start_column, place.end_column
        first = None if start_column is None else self._column(start_line, start_column, unit)
        last = None
        if first is not None and end_column is not None and place.end_line >= start_line:
            last = self._column(end_line, end_column, unit)
            if (end_line, last) < (start_line, first):
                last = None
        return Lines(start_line=start_line, start_column=first, end_line=end_line, end_column=last)

    def of_fix(self, fix: ReportedFix, unit: Unit) -> ToolFix | None:
        """Give a tool's fix; None when the file has not all of its places."""
        edits = [self._edit(edit, unit) for edit in fix.edits]
        placed = tuple(edit for edit in edits if edit is not None)
        return ToolFix(safe=fix.safe, edits=placed) if placed and len(placed) == len(edits) else None

    def _edit(self, edit: ReportedEdit, unit: Unit) -> ToolEdit | None:
        place = edit.place
        if isinstance(place, Offsets):
            start = self._at_offset(place.start, unit)
            end = self._at_offset(place.start + place.length, unit)
        else:
            start = self._point(place.start_line, place.start_column or 1, unit)
            end = self._point(place.end_line, place.end_column, unit)
        if start is None or end is None or end < start:
            return None
        return ToolEdit(
            start_line=start[0], start_column=start[1], end_line=end[0], end_column=end[1], text=edit.text
        )

    def _point(self, line: int, column: int | None, unit: Unit) -> Point | None:
        """A point of the file; without a column the end of the line's text, None when there is no such."""
        if line > self.last:
            return None
        size = self._size(line, unit)
        if column is not None and column - 1 > size:
            return None
        return line, self._column(line, size + 1 if column is None else column, unit)

    def _column(self, line: int, column: int, unit: Unit) -> int:
        """A column counted in code points; at most the end of the line's text."""
        return self._code_points(line - 1, column - 1, unit) + 1

    def _size(self, line: int, unit: Unit) -> int:
        content = self._contents[line - 1]
        if unit is Unit.CODE_POINTS or content.isascii():
            return len(content)
        return self._counted(line - 1, unit)[-1]

    def _code_points(self, line: int, units: int, unit: Unit) -> int:
        content = self._contents[line]
        if unit is Unit.CODE_POINTS or content.isascii():
            return min(units, len(content))
        # Inside of a character means before it.
        return max(bisect_right(self._counted(line, unit), units) - 1, 0)

    def _counted(self, line: int, unit: Unit) -> "array[int]":
        """How many units stand before each character of a line, and in the whole of it."""
        key = (line, unit)
        if key not in self._units:
            self._units[key] = _counts(self._contents[line], unit)
        return self._units[key]

    def _at_offset(self, offset: int, unit: Unit) -> Point | None:
        """The point so many characters from the beginning; None beyond the end."""
        if unit is not Unit.CODE_POINTS and not self._text.isascii():
            key = (-1, unit)
            if key not in self._units:
                self._units[key] = _counts(self._text, unit)
            counted = self._units[key]
            if offset > counted[-1]:
                return None
            offset = bisect_right(counted, offset) - 1
        if offset > len(self._text):
            return None
        line = bisect_right(self._starts, offset) if offset < len(self._text) else self.last
        begin = self._starts[line - 1]
        return line, min(offset - begin, len(self._contents[line - 1])) + 1


def _counts(text: str, unit: Unit) -> "array[int]":
    if unit is Unit.UTF16:
        sizes = (2 if character > "\uffff" else 1 for character in text)
    else:
        sizes = (len(character.encode()) for character in text)
    return array("I", accumulate(sizes, initial=0))
