"""Excerpts of a file made to parse."""

import ast

from patchmill.dev.standin.prompt import Task
from patchmill.dev.standin.source_text import SourceText

_INDENT = 4


def readable(task: Task) -> SourceText:
    """The source, made to parse where excerpts begin deeper than their surroundings.

    The lines before such an excerpt, which the prompt does not show, are filled with the block openings that
    its indentation needs. What does not parse even so comes back as it was.
    """
    if task.is_whole or _parses(task.source):
        return task.source
    lines = list(task.source.lines)
    for first in sorted(task.shown):
        if first - 1 in task.shown:
            continue
        depths = _depths(task, first)
        for back, depth in enumerate(reversed(depths), start=1):
            if first - back < 1 or first - back in task.shown:
                break
            lines[first - back - 1] = " " * depth + "if True:"
    wrapped = SourceText(lines)
    return wrapped if _parses(wrapped) else task.source


def _depths(task: Task, first: int) -> list[int]:
    """The indentations that have to be opened before the excerpt that begins at this line."""
    depth: int | None = None
    depths: set[int] = set()
    line = first
    while line in task.shown:
        text = task.source.lines[line - 1]
        indent = len(text) - len(text.lstrip(" "))
        if text.strip():
            depth = indent if depth is None else depth
            if indent < depth:
                depths.add(indent)
        line += 1
    if not depth:
        return []
    return sorted(depths | {0} | set(range(0, depth, _INDENT)))


def _parses(source: SourceText) -> bool:
    try:
        ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
