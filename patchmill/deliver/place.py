"""Where a suggestion's text stands in its file: offsets, and the lines and columns that formats count."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from patchmill.edit.match import BOM
from patchmill.edit.offered import without_repeated
from patchmill.edit.span import line_content, line_end, split_lines
from patchmill.store.results import SuggestionRow

_STRIDE = 4096  # code points between two marks of bytes, so that a long line is not counted anew each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a source in code points, `end` excluded, and the text that comes in its place."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A line and a column, both 1-based."""

    line: int
    column: int


class Places:
    """The places of one source; offsets are in code points."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = split_lines(source)
        self._starts = [0, *accumulate(map(len, self.lines))]
        self._lf_starts = [0]
        while at := source.find("\n", self._lf_starts[-1]) + 1:
            self._lf_starts.append(at)
        sizes = (len(source[at : at + _STRIDE].encode()) for at in range(0, len(source), _STRIDE))
        self._byte_marks = [0, *accumulate(sizes)]

    def offset(self, line: int, column: int) -> int:
        """Find a line and a column of code points, of which a byte order mark is none.

        What lies beyond the line or the file is its end.
        """
        if line > len(self.lines):
            return len(self.source)
        mark = line == 1 and self.source.startswith(BOM)
        return min(self._starts[line - 1] + mark + column - 1, self.end_of(line))

    def end_of(self, line: int) -> int:
        """Find where a line's content ends; the end of the file where there is no such line."""
        if line > len(self.lines):
            return len(self.source)
        return self._starts[line - 1] + len(line_content(self.lines[line - 1]))

    def code_points(self, offset: int) -> Position:
        """Count as SARIF does: every line end counts, a byte order mark does not.

        The end of the file belongs to its last line, whose line end then has columns too.
        """
        line = max(min(bisect_right(self._starts, offset), len(self.lines)), 1)
        mark = line == 1 and offset > 0 and self.source.startswith(BOM)
        return Position(line=line, column=offset - self._starts[line - 1] + 1 - mark)

    def utf8_bytes(self, offset: int) -> Position:
        """Count as rdjson does: lines end with LF, columns are bytes of UTF-8."""
        line = bisect_right(self._lf_starts, offset)
        return Position(line=line, column=self._bytes(offset) - self._bytes(self._lf_starts[line - 1]) + 1)

    def lf_lines(self, row: SuggestionRow) -> tuple[int, int] | None:
        """Give the first and last line of a suggestion as git counts them, which knows no line end but LF.

        None for a suggestion that begins or ends within such a line, and for one of an empty file.
        """
        if not 1 <= row.start_line <= row.end_line <= len(self.lines):
            return None
        start, end = self._starts[row.start_line - 1], self._starts[row.end_line]
        first, last = bisect_right(self._lf_starts, start), bisect_right(self._lf_starts, end - 1)
        whole = self._lf_starts[first - 1] == start and (
            end == len(self.source) or self.source[end - 1] == "\n"
        )
        return (first, last) if whole else None

    def span(self, row: SuggestionRow) -> Span:
        """Give what a suggestion changes, without the lines and the line end that it only repeats.

        So neighbours may repeat a line and still be applied together, and an end lies within its line
        unless line ends themselves go.
        """
        hunk = without_repeated(row.hunk)
        start, text = self._starts[hunk.start_line - 1], hunk.replacement
        end = start + len(hunk.original)
        if hunk.start_line > len(self.lines) > 0:
            return self._after_last(text)
        common = line_end(self.lines[hunk.end_line - 1]) if hunk.original else ""
        if common and text and _last_end(text) == common:
            end, text = end - len(common), text.removesuffix(common)
        if start == 0 and hunk.original.startswith(BOM) and text.startswith(BOM):
            start, text = len(BOM), text.removeprefix(BOM)
        return Span(start=start, end=end, text=text)

    def _bytes(self, offset: int) -> int:
        """The bytes before an offset."""
        mark = offset // _STRIDE
        return self._byte_marks[mark] + len(self.source[mark * _STRIDE : offset].encode())

    def _after_last(self, text: str) -> Span:
        """Lines added after the last one, at the end of its content where its line end allows."""
        end = line_end(self.lines[-1])
        if text and _last_end(text) == end:
            at = self.end_of(len(self.lines))
            return Span(start=at, end=at, text=end + text.removesuffix(end))
        return Span(start=len(self.source), end=len(self.source), text=text)


def _last_end(text: str) -> str:
    return line_end(split_lines(text)[-1])
