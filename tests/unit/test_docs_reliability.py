"""The table of what breaks names the tests that break it, and every one of them."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
TABLE_TESTS = ROOT / "tests" / "fault" / "test_crash_table.py"
COLUMNS = 5


def rows() -> list[list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return table[1:]


def test_every_row_of_the_table_names_a_test_and_every_test_of_the_table_has_a_row() -> None:
    tree = ast.parse(TABLE_TESTS.read_text(encoding="utf-8"))
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    cells = [row[-1] for row in rows()]
    named = {name for cell in cells for name in re.findall(r"`(test_\w+)`", cell)}

    assert {len(row) for row in rows()} == {COLUMNS}
    assert all(re.search(r"`test_[\w.]+`", cell) for cell in cells)
    assert named == defined


def test_the_page_names_files_that_are_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", PAGE.read_text(encoding="utf-8"))

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
