"""Keys that are there twice: of such entries the last one counts, and an edit may take away any but that."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from patchmill.edit.span import line_content, split_lines

_RULE = re.compile(r"no-dupe-keys|key-duplicates|repeated-key|duplicate(?:object)?(?:keys|properties)")
_ENTRY = re.compile(r"""([ \t]*(?:-[ \t]+)?)(["']?)([\w.$/-]+)\2[ \t]*:(?:[ \t]|$)""")
_SHOWN = 60
_NEAR = 1_000  # lines
_DEEP = 1 << 30

_Key = tuple[int, str]  # how far in it stands, and what it is called


def is_about_keys(rule: str) -> bool:
    """Whether a rule, by its name in small letters, is about keys that are there twice."""
    return _RULE.search(rule) is not None


class Twins:
    """Finds entries with the same key in the same collection; a file's lines are read once."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._keys: list[_Key | None] = []
        self._depths: list[int] = []

    def of(self, line: int) -> set[int]:
        """The lines of the entries with the same key as a line's, as far as they are near."""
        if not self._keys:
            self._keys = [_key(text) for text in self._lines]
            self._depths = [len(text) - len(text.lstrip()) if text.strip() else _DEEP for text in self._lines]
        key = self._keys[line - 1] if 0 < line <= len(self._lines) else None
        if key is None:
            return set()
        below = range(line, min(line + _NEAR, len(self._lines) + 1))
        above = range(line, max(line - _NEAR, 0), -1)
        return {
            number
            for numbers in (below, above)
            for number in takewhile(lambda one: self._depths[one - 1] >= key[0], numbers)
            if self._keys[number - 1] == key
        }


def lost_entries(lines: Sequence[str], own: Iterable[int], edited: str) -> list[str]:
    """Say in words which of some lines' entries counted, and are gone from the edited text."""
    there = {_said(line) for line in split_lines(edited)}
    found: dict[_Key, list[int]] = {}
    for number in sorted(own):
        key = _key(lines[number - 1])
        if key is not None:
            found.setdefault(key, []).append(number)
    return [
        f"of the entries for {key}, line {numbers[-1]} `{_said(lines[numbers[-1] - 1])[:_SHOWN]}` is the one "
        "that counts: keep it, and take away another"
        for (_, key), numbers in found.items()
        if len(numbers) > 1 and _said(lines[numbers[-1] - 1]) not in there
    ]


def _key(line: str) -> _Key | None:
    match = _ENTRY.match(line)
    return None if match is None else (len(match[1]), match[3])


def _said(line: str) -> str:
    return line_content(line).strip().rstrip(",;")
