"""Definitions that another one of the same name follows before anybody uses them.

The last one is what counts. So the first may go, but if both say the same the last, where the finding is.
Where the first is no definition, such as an import, the last may not go either.
"""

import re
from collections.abc import Sequence

from patchmill.edit.span import line_content
from patchmill.verify.outline.read import Lines

_FROM = re.compile(r"Redefinition of unused .{1,200}? from line (\d{1,9})\b")
_DEFINES = re.compile(r"\s*(?:async\s+def|def|class)\b")
_MARK = "\ufeff"  # a byte order mark, at the beginning of a file
_CLOSING = (")", "]", "}")


def may_go(lines: Sequence[str], message: str, last: Lines) -> Lines | None:
    """Say which of two Python definitions may go as a whole, by ruff's message and where the last one is."""
    found = _FROM.search(message)
    if found is None:
        return last
    first = _definition(lines, int(found[1]))
    if first is None:
        return None
    return last if _said(lines, first) == _said(lines, last) else first


def _definition(lines: Sequence[str], number: int) -> Lines | None:
    """Find the definition whose header, or first decorator, is on a line; None if that is something else."""
    first = number
    while number < len(lines) and lines[number - 1].lstrip().startswith("@"):
        number += 1
    if not 1 <= number <= len(lines) or not _DEFINES.match(lines[number - 1].removeprefix(_MARK)):
        return None
    depth = _depth(lines[number - 1])
    while first > 1 and lines[first - 2].lstrip().startswith("@") and _depth(lines[first - 2]) == depth:
        first -= 1
    last = number
    for at in range(number + 1, len(lines) + 1):
        text = lines[at - 1]
        if text.strip() and _depth(text) <= depth and not text.lstrip().startswith(_CLOSING):
            break
        last = at if text.strip() else last
    return first, last


def _said(lines: Sequence[str], place: Lines) -> list[str]:
    return [line_content(line).removeprefix(_MARK).rstrip() for line in lines[place[0] - 1 : place[1]]]


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
