"""Lines of a text and changes of them, as the judge sees them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Whole lines that take the place of others; `start` and `end` are 1-based, both included."""

    start: int
    end: int
    original: str
    replacement: str

    def parts(self) -> list["Change"]:
        """What it really changes, without lines that it repeats; an insertion ends before it starts."""
        old = lines_of(self.original)
        return [
            Change(
                start=self.start + first - 1,
                end=self.start + last - 1,
                original="".join(old[first - 1 : last]),
                replacement="".join(new),
            )
            for first, last, new in changed_lines(old, lines_of(self.replacement))
        ]


def lines_of(text: str) -> list[str]:
    """The lines with their ends; only LF, CRLF and CR end one."""
    return _LINE.findall(text)


def applied(source: str, changes: Sequence[Change]) -> str | None:
    """The source with changes made; None if they are not of this source, or not of different lines."""
    lines = lines_of(source)
    before = len(lines) + 1
    for change in sorted(changes, key=lambda change: (change.start, change.end), reverse=True):
        if not 1 <= change.start <= change.end + 1 <= len(lines) + 1 or change.end >= before:
            return None
        if "".join(lines[change.start - 1 : change.end]) != change.original:
            return None
        lines[change.start - 1 : change.end] = lines_of(change.replacement)
        before = change.start
    return "".join(lines)


def changed_lines(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, list[str]]]:
    """What differs: first and last old line, from 1, and the new ones; an insertion ends before it starts."""
    return [
        (first + 1, last, list(new[start:end]))
        for tag, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
