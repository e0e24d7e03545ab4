"""Edits that name their lines by the anchors that the prompt shows before each line."""

from collections.abc import Mapping, Sequence

_MARKS = 2


def write_anchored(anchors: Mapping[int, str], start: int, end: int, lines: Sequence[str]) -> str | None:
    """Write that the old lines `start` to `end` (half-open, from 0) give way to these lines.

    None where the prompt shows no anchor to name them by.
    """
    place = _place(anchors, start, end, lines)
    if place is None:
        return None
    marks = "@" * _MARKS
    while any(line.startswith(marks) for line in lines):
        marks += "@"
    return "\n".join([f"{marks} {place}", *lines, f"{marks} end"])


def _place(anchors: Mapping[int, str], start: int, end: int, lines: Sequence[str]) -> str | None:
    if start == end:
        if start in anchors:
            return f"after {anchors[start]}"
        if start == 0:
            return "after 0"
        return f"before {anchors[end + 1]}" if end + 1 in anchors else None
    if start + 1 not in anchors or end not in anchors:
        return None
    named = anchors[end] if start + 1 == end else f"{anchors[start + 1]}-{anchors[end]}"
    return f"{'replace' if lines else 'delete'} {named}"
