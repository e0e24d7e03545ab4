"""Rows of text as lines whose columns stand below each other."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len

from patchmill.cli.talk import shown


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Give the lines; the columns with these numbers stand to the right, as numbers do."""
    safe = [[" ".join(shown(cell).split()) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*safe, strict=True)]
    return ["  ".join(_padded(row, widths, right)).rstrip() for row in safe]


def _padded(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    cells = []
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - cell_len(cell))
        cells.append(f"{padding}{cell}" if number in right else f"{cell}{padding}")
    return cells
