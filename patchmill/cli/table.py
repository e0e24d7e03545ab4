"""Rows of text as lines whose columns stand below each other, or otherwise where a terminal is too narrow."""

import shutil
import sys
from collections.abc import Collection, Sequence

from rich.cells import cell_len

from patchmill.cli.talk import shown


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Give the lines; the columns with these numbers stand to the right, as numbers do.

    The first row is the head.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return fitted(rows, right=right, width=width)


def fitted(rows: Sequence[Sequence[str]], *, right: Collection[int], width: int | None) -> list[str]:
    """Give the lines; if one is too long, with the head at the side, and else one row after the other."""
    safe = [[" ".join(shown(cell).split()) for cell in row] for row in rows]
    turned = list(zip(*safe, strict=True))
    for lines in (_beside(safe, right), _beside(turned, range(1, len(safe)) if right else ())):
        if width is None or max(map(cell_len, lines)) <= width:
            return lines
    head, *others = safe
    below: list[str] = []
    for row in others:
        below += ["", *_beside(list(zip(head, row, strict=True)), ())]
    return below[1:]


def _beside(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, right)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    cells = []
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - cell_len(cell))
        cells.append(f"{padding}{cell}" if number in right else f"{cell}{padding}")
    return cells
