"""What the repairs of checkers change that make them and do not tell them in their reports."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from patchmill.edit.span import line_content, split_lines
from patchmill.job.record import ToolEdit

# In longer files repairs are not looked for: that grows as the square of the lines.
_MOST_LINES = 5_000
_MOST_CHANGED = 50  # by one repair
_SIGN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+")
_HALF = 2
_BOM = "\ufeff"


def edits_between(source: str, mended: str) -> tuple[ToolEdit, ...]:
    """What is otherwise in a repaired text, in whole lines, but for what only takes most of its lines away.

    What else might stand there such a removal does not show, so it is no measure for an edit.
    """
    old, new = (split_lines(text.removeprefix(_BOM)) for text in (source, mended))
    if max(len(old), len(new)) > _MOST_LINES:
        return ()
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = [
        (low, high, new[start:end])
        for tag, low, high, start, end in steps
        if tag != "equal" and _says("".join(old[low:high]), "".join(new[start:end]))
    ]
    parts = [part for step in changed for part in _by_line(*step)]
    return tuple(
        _edit(old, low, high, "".join(lines)) for low, high, lines in parts if high - low <= _MOST_CHANGED
    )


def _by_line(low: int, high: int, lines: Sequence[str]) -> Iterator[tuple[int, int, Sequence[str]]]:
    """A change of several lines as changes of one each, if there are as many as before."""
    if high - low != len(lines):
        yield low, high, lines
        return
    for place, line in enumerate(lines, start=low):
        yield place, place + 1, [line]


def _says(old: str, new: str) -> bool:
    """Whether lines say something that they did not, or still say most of it."""
    if Counter(_SIGN.findall(new)) - Counter(_SIGN.findall(old)):
        return True
    return len(_WORD.findall(new)) * _HALF > len(_WORD.findall(old))


def _edit(lines: Sequence[str], low: int, high: int, text: str) -> ToolEdit:
    open_end = high == len(lines) and bool(lines) and line_content(lines[-1]) == lines[-1]
    return ToolEdit(
        start_line=low + 1,
        start_column=1,
        end_line=high if open_end else high + 1,
        end_column=len(lines[-1]) + 1 if open_end else 1,
        text=text,
    )
