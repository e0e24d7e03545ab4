"""Keys that are there twice: of such entries the last one counts, and an edit may take away any but that."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile

from patchmill.edit.span import line_content, split_lines

_RULE = re.compile(r"no-dupe-keys|key-duplicates|repeated-key|duplicate-?(?:object-?)?(?:keys|properties)")
_ENTRY = re.compile(r"""([ \t]*(?:-[ \t]+)?)(["']?)([\w.$/-]+)\2[ \t]*:(?:\s|$)""")
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
        below = range(line + 1, min(line + _NEAR, len(self._lines) + 1))
        near = [line, *takewhile(lambda one: self._depths[one - 1] >= key[0], below)]
        if self._depths[line - 1] >= key[0]:  # else it is the first of a list's item
            for number in range(line - 1, max(line - _NEAR, 0), -1):
                near.append(number)
                if self._depths[number - 1] < key[0]:
                    break
        return {number for number in near if self._keys[number - 1] == key}


def lost_entries(lines: Sequence[str], own: Iterable[int], edited: str) -> list[str]:
    """Say in words which of some lines' entries counted, and are gone from the edited text."""
    before, after = Counter(map(_said, lines)), Counter(map(_said, split_lines(edited)))
    found: dict[_Key, list[int]] = {}
    for number in sorted(own):
        key = _key(lines[number - 1])
        if key is not None:
            found.setdefault(key, []).append(number)
    twice = [key for (_, key), numbers in found.items() if len(numbers) > 1]
    if twice:
        names = [{key[1] for line in text if (key := _key(line))} for text in (lines, split_lines(edited))]
        if more := names[1] - names[0]:
            return [f"`{min(more)}` is a new key: of the entries for {twice[0]} keep the one that counts"]
    return [
        f"of the entries for {key}, line {numbers[-1]} `{_said(lines[numbers[-1] - 1])[:_SHOWN]}` is the one "
        "that counts: keep it, and take away another"
        for (_, key), numbers in found.items()
        if len(numbers) > 1 and _is_lost([_said(lines[number - 1]) for number in numbers], before, after)
    ]


def _is_lost(entries: Sequence[str], before: Counter[str], after: Counter[str]) -> bool:
    """Whether of entries with one key the last is gone; others that say the same may go."""
    return after[entries[-1]] < before[entries[-1]] - (entries.count(entries[-1]) - 1)


def _key(line: str) -> _Key | None:
    match = _ENTRY.match(line)
    return None if match is None else (len(match[1]), match[3])


def _said(line: str) -> str:
    return line_content(line).strip().removeprefix("- ").strip().rstrip(",;")
