"""Two versions of a file to a patch that `git apply` takes byte for byte."""

import re
from difflib import SequenceMatcher
from typing import Any

_CONTEXT = 3
# Git knows no line end but LF, so a patch must not be cut anywhere else.
_LF_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NAMED_ESCAPES = {
    ord(char): f"\\{name}"
    for char, name in zip('\a\b\t\n\v\f\r"\\', 'abtnvfr"\\', strict=True)
}  # fmt: skip
_PRINTABLE = range(0x20, 0x7F)


def unified_diff(path: str, old: str, new: str) -> str:
    """A git-style patch of one file that exists before and after; empty when nothing changes.

    `path` is relative to the repository's root, with forward slashes.
    """
    if old == new:
        return ""
    before, after = _LF_LINE.findall(old), _LF_LINE.findall(new)
    old_name, new_name = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    # A name with a space ends in a tab, as git writes it, so that readers see where it stops.
    stop = "\t" if " " in path else ""
    parts = [f"diff --git {old_name} {new_name}\n--- {old_name}{stop}\n+++ {new_name}{stop}\n"]
    for group in _Matcher(before, after).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        parts.append(f"@@ -{_extent(first[1], last[2])} +{_extent(first[3], last[4])} @@\n")
        for tag, low, high, start, stop_at in group:
            if tag == "equal":
                parts += [_marked(" ", line) for line in before[low:high]]
            else:
                parts += [_marked("-", line) for line in before[low:high]]
                parts += [_marked("+", line) for line in after[start:stop_at]]
    return "".join(parts)


class _Matcher(SequenceMatcher[str]):
    """Searches between what is alike at both ends alone: that is most of a file."""

    def __init__(self, before: list[str], after: list[str]) -> None:
        self._head = _alike_before(before, after)
        rest, new_rest = before[self._head :], after[self._head :]
        self._tail = _alike_before(rest[::-1], new_rest[::-1])
        self._ends = (len(before), len(after))
        super().__init__(None, rest[: len(rest) - self._tail], new_rest[: len(new_rest) - self._tail])

    def get_opcodes(self) -> list[Any]:
        """Give the steps from one text to the other, as of the whole texts."""
        head, tail = self._head, self._tail
        steps: list[Any] = [("equal", 0, head, 0, head)] if head else []
        steps += [(tag, *(head + at for at in places)) for tag, *places in super().get_opcodes()]
        if tail:
            end, new_end = self._ends
            steps.append(("equal", end - tail, end, new_end - tail, new_end))
        return steps


def _alike_before(one: list[str], other: list[str]) -> int:
    """Count the lines at the beginning that two lists share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _marked(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n\\ No newline at end of file\n"


def _extent(low: int, high: int) -> str:
    """A hunk header's range: first line and size; an empty range names the line before it."""
    size = high - low
    if size == 1:
        return f"{low + 1}"
    return f"{low + 1 if size else low},{size}"


def _quoted(name: str) -> str:
    """The name as git writes it: in C quotes if it has quotes, backslashes, controls or non-ASCII bytes."""
    data = name.encode()
    escaped = "".join(
        _NAMED_ESCAPES.get(byte) or (chr(byte) if byte in _PRINTABLE else f"\\{byte:03o}") for byte in data
    )
    return name if escaped == name else f'"{escaped}"'
