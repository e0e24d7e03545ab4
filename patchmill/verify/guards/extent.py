"""Where an edit may add: in the definition that holds a finding, among the imports, or as a new definition.

That is the scope of an edit where the request names none. What it may take away is a matter of `losses`.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from patchmill.edit.span import Hunk, split_lines
from patchmill.verify.guards.ground import Ground
from patchmill.verify.outline.read import Lines

# How a statement begins that only binds a name, or a part of one; and one that is run for what it does.
_DOES = re.compile(
    r"(?:await\s+|void\s+|new\s+)?[\w$.]+\s*[(`]|(?:for|while|del|raise|throw|assert|return|exit|exec|defer|go)\b"
)
_MOST_LINES = 2_000


def strays(hunks: Sequence[Hunk], ground: Ground, lines: Sequence[str]) -> list[Lines]:
    """The lines of the source at which hunks add what belongs to no finding, as they are without it."""
    return [place for hunk in hunks for place in _strays(hunk, ground, lines)]


def _strays(hunk: Hunk, ground: Ground, lines: Sequence[str]) -> Iterator[Lines]:
    for (first, last), added in _changes(hunk):
        if not any(line.strip() for line in added):
            continue
        if _acts_beside(first, last, added, ground, lines):
            yield first, max(first, last)
            continue
        low, high = _below_blank_lines(first, last, added, lines)
        if any(start <= low and high <= end for start, end in ground.around):
            continue
        if _on(first, last, ground.own) or _on(first, last, ground.imports):
            continue
        inside = any(start < first <= end for start, end in ground.functions)
        known = ground.functions or ground.around
        if inside or (known and not all(map(_binds, _outermost(added)))):
            yield first, max(first, last)


def _below_blank_lines(first: int, last: int, added: Sequence[str], lines: Sequence[str]) -> Lines:
    """Where lines come in: if they are indented, they belong to what stands above blank lines."""
    indented = any(_depth(line) for line in added[:1])
    while indented and first > 1 and last < first and not lines[first - 2].strip():
        first, last = first - 1, last - 1
    return first, last


def _acts_beside(first: int, last: int, added: Sequence[str], ground: Ground, lines: Sequence[str]) -> bool:
    """Whether lines that do something come in right before or after a function that holds a finding."""
    ends = {end: start for start, end in ground.functions}
    for start, end in ground.around:
        if end not in ends or last >= first or start < first <= end:
            continue
        depth = min((_depth(line) for line in added if line.strip()), default=0)
        if depth <= _depth(lines[ends[end] - 1]) and not all(map(_binds, _outermost(added))):
            return not _on(first, last, ground.own)
    return False


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _changes(hunk: Hunk) -> Iterator[tuple[Lines, list[str]]]:
    """The lines of the source that a hunk replaces, and by what; `last` is before `first` if it only adds."""
    old, new = split_lines(hunk.original), split_lines(hunk.replacement)
    if len(old) + len(new) > _MOST_LINES:
        yield (hunk.start_line, hunk.end_line), new
        return
    before, after = ([line.strip() for line in lines] for lines in (old, new))
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield (hunk.start_line + low, hunk.start_line + high - 1), new[start:end]


def _on(first: int, last: int, lines: frozenset[int]) -> bool:
    """Whether a change is of some lines, or adds right next to one of them."""
    return any(line in lines for line in range(min(first, last), max(first, last) + 1))


def _outermost(lines: Sequence[str]) -> list[str]:
    """Of some lines those that are indented least, without blank ones and comments."""
    told = [line for line in lines if line.strip() and not line.strip().startswith(("#", "//", "*", "/*"))]
    depth = min((len(line) - len(line.lstrip()) for line in told), default=0)
    return [line.strip() for line in told if len(line) - len(line.lstrip()) == depth]


def _binds(line: str) -> bool:
    return _DOES.match(line) is None
