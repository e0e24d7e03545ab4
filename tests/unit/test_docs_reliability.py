"""The table of what breaks names the tests that break it, and every one of them."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
TABLE_TESTS = ROOT / "tests" / "fault" / "test_crash_table.py"
DURING_A_CALL = "What breaks during a call"
FAULTS = "Faults"


def rows(heading: str) -> list[list[str]]:
    """Give the cells of a section's table, without its head."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = section.splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return table[1:]


def test_every_row_of_the_table_names_a_test_and_every_test_of_the_table_has_a_row() -> None:
    tree = ast.parse(TABLE_TESTS.read_text(encoding="utf-8"))
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    table = rows(DURING_A_CALL)
    cells = [row[-1] for row in table]
    named = {name for cell in cells for name in re.findall(r"`(test_\w+)`", cell)}

    assert len({len(row) for row in table}) == 1
    assert all(re.search(r"`test_[\w.]+`", cell) for cell in cells)
    assert named == defined


def test_every_fault_has_its_scale_its_bar_and_what_was_measured() -> None:
    table = rows(FAULTS)

    assert len({len(row) for row in table}) == 1
    assert [row for row in table if not all(row) or "not measured" in " ".join(row)] == []


def test_the_page_names_files_that_are_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text(encoding="utf-8"))

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
