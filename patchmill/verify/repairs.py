"""What the repairs of checkers change that make them and do not tell them in their reports."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from patchmill.edit.span import line_content, split_lines
from patchmill.job.record import ToolEdit

# In longer files repairs are not looked for: that grows as the square of the lines.
_MOST_LINES = 5_000
_MOST_CHANGED = 50  # lines, by one repair
_MOST_PIECES = 400  # of a line that is compared piece by piece
_PIECE = re.compile(r"\w+|\s+|[^\w\s]")
_SIGN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+")
_HALF = 2
_BOM = "\ufeff"


def edits_between(source: str, mended: str) -> tuple[ToolEdit, ...]:
    """What is otherwise in a repaired text, but for what only takes most of its lines away; line ends aside.

    What else might stand there such a removal does not show, so it is no measure for an edit.
    """
    old, new = ([*map(line_content, split_lines(text.removeprefix(_BOM)))] for text in (source, mended))
    if max(len(old), len(new)) > _MOST_LINES:
        return ()
    edits: list[ToolEdit] = []
    for tag, low, high, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal" or not _says("\n".join(old[low:high]), "\n".join(new[start:end])):
            continue
        if high - low == end - start:
            for line in range(low, high):
                edits += _within(line, old[line], new[start + line - low])
        elif high - low <= _MOST_CHANGED:
            edits.append(_whole(old, low, high, new[start:end]))
    return tuple(edits)


def _says(old: str, new: str) -> bool:
    """Whether lines say something that they did not, or still say most of it."""
    if Counter(_SIGN.findall(new)) - Counter(_SIGN.findall(old)):
        return True
    return len(_WORD.findall(new)) * _HALF > len(_WORD.findall(old))


def _within(line: int, old: str, new: str) -> Iterator[ToolEdit]:
    """What is otherwise in one line, piece by piece, so that repairs of several rules go together."""
    before, after = _PIECE.findall(old), _PIECE.findall(new)
    if max(len(before), len(after)) > _MOST_PIECES:
        before, after = [old], [new]
    for tag, low, high, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            yield ToolEdit(
                start_line=line + 1,
                start_column=len("".join(before[:low])) + 1,
                end_line=line + 1,
                end_column=len("".join(before[:high])) + 1,
                text="".join(after[start:end]),
            )


def _whole(lines: Sequence[str], low: int, high: int, new: Sequence[str]) -> ToolEdit:
    """Lines in the place of others, or between two; the last line keeps the end that it has."""
    if high == len(lines):
        column = len(lines[-1]) + 1 if lines else 1
        before = "\n" if low == high and lines else ""
        return ToolEdit(
            start_line=low + 1 if low < high else max(low, 1),
            start_column=1 if low < high else column,
            end_line=max(high, 1),
            end_column=column,
            text=before + "\n".join(new),
        )
    text = "".join(f"{line}\n" for line in new)
    return ToolEdit(start_line=low + 1, start_column=1, end_line=high + 1, end_column=1, text=text)
