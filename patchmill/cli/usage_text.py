"""Usage as people read it: a table with its total, numbers to the right and points below points."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from patchmill.cli.talk import shown
from patchmill.client.documents import UsageReport

_COUNTS = ("jobs", "calls", "input_tokens", "cached_tokens", "output_tokens")
_MONEY = ("cost_usd", "uncertain_usd")
_LABEL = "label."


def usage_lines(report: UsageReport) -> list[str]:
    """Give the table: a line for each group, and the total below them."""
    groups = report["group_by"]
    names = [[_name(row, group) for group in groups] for row in report["data"]] if groups else []
    rows = [*(report["data"] if groups else []), report["total"]]
    head = [group.removeprefix(_LABEL) for group in groups] or [""]
    last = ["total", *[""] * (len(head) - 1)]
    texts = _columns([list(map(_one_line, each)) for each in (head, *names, last)], left=True)
    counts = [[f"{row[name]:,}" for name in _COUNTS] for row in rows]
    numbers = _columns([[name.removesuffix("_tokens") for name in _COUNTS], *counts], left=False)
    money = _columns(
        [
            ["cost $", "uncertain $"],
            *zip(*(_aligned([row[name] for row in rows]) for name in _MONEY), strict=True),
        ],
        left=False,
    )
    return ["  ".join(parts).rstrip() for parts in zip(texts, numbers, money, strict=True)]


def _name(row: Mapping[str, Any], group: str) -> str:
    value = row.get(f"{group}_name") or row[group]
    return "-" if value is None else str(value)


def _one_line(text: str) -> str:
    return " ".join(shown(text).split())


def _aligned(amounts: Sequence[str]) -> list[str]:
    """Pad decimals, so that points stand below points; the last digit of each amount stays what it is."""
    parts = [amount.partition(".") for amount in amounts]
    digits = max(len(decimals) for _, _, decimals in parts)
    return [
        f"{whole}{point}{decimals}".ljust(len(whole) + (digits + 1 if digits else 0))
        for whole, point, decimals in parts
    ]


def _columns(rows: Sequence[Sequence[str]], *, left: bool) -> list[str]:
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(_padded(cell, width, left=left) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _padded(cell: str, width: int, *, left: bool) -> str:
    padding = " " * (width - cell_len(cell))
    return f"{cell}{padding}" if left else f"{padding}{cell}"
