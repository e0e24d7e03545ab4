"""Source code by line and column, and edits of it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True, order=True)
class TextEdit:
    """Replace the characters from `start` up to, not including, `end`."""

    start: int
    end: int
    text: str

    def conflicts_with(self, other: "TextEdit") -> bool:
        """Whether both change the same characters, or insert at the same place."""
        if self.start == self.end == other.start == other.end:
            return True
        return self.start < other.end and other.start < self.end


class SourceText:
    """A file's text; lines count from 1 and end with LF."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = list(lines)
        self.text = "".join(f"{line}\n" for line in self.lines)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        """Where a line and a column, counted from 0 in characters, are in the text."""
        start = self._starts[min(line - 1, len(self.lines))]
        return min(start + column, len(self.text))

    def offset_of_bytes(self, line: int, column: int) -> int:
        """The same for a column in UTF-8 bytes, as `ast` counts."""
        before = self.lines[line - 1].encode()[:column].decode()
        return self.offset(line, len(before))

    def line_of(self, offset: int) -> int:
        """The line that a place in the text is on."""
        return bisect_right(self._starts, offset)

    def touched(self, edit: TextEdit) -> Sequence[int]:
        """The lines that an edit changes; an insertion between two lines touches neither and gives both."""
        first = self.line_of(edit.start)
        if edit.start == edit.end:
            between = edit.start == self._starts[first - 1]
            return (first - 1, first) if between else (first,)
        return range(first, self.line_of(edit.end - 1) + 1)

    def is_between_lines(self, edit: TextEdit) -> bool:
        """Whether an edit only inserts, and does so between two lines."""
        return edit.start == edit.end and self._starts[self.line_of(edit.start) - 1] == edit.start

    def apply(self, edits: Iterable[TextEdit]) -> "SourceText":
        """A new text with all edits made, none of them in conflict; insertions at one place keep order."""
        parts: list[str] = []
        position = 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            parts += self.text[position : edit.start], edit.text
            position = edit.end
        text = "".join(parts) + self.text[position:]
        return SourceText(text.removesuffix("\n").split("\n") if text else [])


@dataclass(frozen=True, slots=True)
class Change:
    """Old lines and the new ones in their place, both as half-open ranges that count from 0."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


def changes(old: Sequence[str], new: Sequence[str]) -> list[Change]:
    """What differs, in order; equal lines at both ends are set aside first, as most of a file is equal."""
    shortest = min(len(old), len(new))
    head = 0
    while head < shortest and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shortest - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = SequenceMatcher(
        None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False
    ).get_opcodes()
    return [
        Change(head + old_start, head + old_end, head + new_start, head + new_end)
        for tag, old_start, old_end, new_start, new_end in middle
        if tag != "equal"
    ]
