"""Keys that are there twice: of such entries the last one counts, and an edit may take away any but that."""

import re
from collections.abc import Iterable, Iterator, Sequence

from patchmill.edit.span import line_content, split_lines

_RULE = re.compile(r"no-dupe-keys|key-duplicates|repeated-key|duplicate(?:object)?(?:keys|properties)")
_ENTRY = re.compile(r"""([ \t]*(?:-[ \t]+)?)(["']?)([\w.$/-]+)\2[ \t]*:(?:[ \t]|$)""")
_SHOWN = 60

_Key = tuple[int, str]  # how far in it stands, and what it is called


def is_about_keys(rule: str) -> bool:
    """Whether a rule, by its name in small letters, is about keys that are there twice."""
    return _RULE.search(rule) is not None


def twins(lines: Sequence[str], line: int) -> set[int]:
    """The lines of the entries with the same key as a line's, in the same collection."""
    key = _key(lines[line - 1]) if 0 < line <= len(lines) else None
    if key is None:
        return set()
    return {
        number
        for numbers in (range(line, len(lines) + 1), range(line, 0, -1))
        for number in _within(lines, numbers, key[0])
        if _key(lines[number - 1]) == key
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


def _within(lines: Sequence[str], numbers: range, depth: int) -> Iterator[int]:
    """Numbers of lines from a place on, as long as none stands further out."""
    for number in numbers:
        text = lines[number - 1]
        if text.strip() and len(text) - len(text.lstrip()) < depth:
            return
        yield number


def _key(line: str) -> _Key | None:
    match = _ENTRY.match(line)
    return None if match is None else (len(match[1]), match[3])


def _said(line: str) -> str:
    return line_content(line).strip().rstrip(",;")
