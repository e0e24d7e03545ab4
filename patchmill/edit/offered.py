"""Suggestions back into a file: the hunks that are offered repeat lines, and may do so next to each other."""

from collections.abc import Sequence
from dataclasses import replace

from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import Hunk, split_lines


def apply_offered(source: str, offered: Sequence[Hunk]) -> str:
    """Apply hunks, in any order, in the form in which suggestions offer them.

    Raises ValueError if they are not the source's or clash.
    """
    hunks: list[Hunk] = []
    for hunk in sorted(map(without_repeated, offered), key=lambda hunk: (hunk.start_line, hunk.end_line)):
        if hunks and _insert_at_one_point(hunks[-1], hunk):
            hunks[-1] = replace(hunk, replacement=hunks[-1].replacement + hunk.replacement)
        else:
            hunks.append(hunk)
    return apply_hunks(source, hunks)


def without_repeated(hunk: Hunk) -> Hunk:
    """A hunk without the lines at its ends that it only repeats, so that neighbours may repeat them too."""
    old, new = split_lines(hunk.original), split_lines(hunk.replacement)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Hunk(
        start_line=hunk.start_line + head,
        end_line=hunk.end_line - tail,
        original="".join(old[head : len(old) - tail]),
        replacement="".join(new[head : len(new) - tail]),
    )


def _insert_at_one_point(one: Hunk, other: Hunk) -> bool:
    """Whether two insertions come at one point; they are then one, as the text after each other."""
    return one.start_line == other.start_line and not one.original and not other.original
