from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import split_lines
from patchmill.job.record import Finding, ToolEdit, ToolFix
from patchmill.verify.tool_fixes import tool_fix_hunks

Edit = tuple[int, int, int, int, str]


def finding(edits: Sequence[Edit], *, safe: bool = True) -> Finding:
    tool_edits = tuple(
        ToolEdit(start_line=line, start_column=column, end_line=end_line, end_column=end_column, text=text)
        for line, column, end_line, end_column, text in edits
    )
    return Finding(
        index=0,
        tool="ruff",
        rule="F401",
        message="",
        severity="warning",
        start_line=1,
        end_line=1,
        fixes=(ToolFix(safe=safe, edits=tool_edits),),
    )


@pytest.mark.parametrize(
    ("source", "edits", "fixed"),
    [
        ("import os\nx = 1\n", [(1, 1, 2, 1, "")], "x = 1\n"),
        ("import os, sys\nsys\n", [(1, 1, 1, 15, "import sys")], "import sys\nsys\n"),
        ("x = 1\ny = 2\n", [(2, 1, 2, 1, "z = 3\n")], "x = 1\nz = 3\ny = 2\n"),
        ("x = 1\n", [(2, 1, 2, 1, "y = 2\n")], "x = 1\ny = 2\n"),
        ("x = 1", [(1, 6, 1, 6, "\n")], "x = 1\n"),
        ("", [(1, 1, 1, 1, "x = 1\n")], "x = 1\n"),
        ("a\nb\nc\n", [(1, 2, 2, 1, "")], "ab\nc\n"),
        ("a(b, c)\nd\n", [(1, 3, 1, 4, "x"), (1, 6, 1, 7, "y"), (2, 1, 2, 2, "e")], "a(x, y)\ne\n"),
        ("x = '\U0001d54fé' == None\n", [(1, 10, 1, 12, "is")], "x = '\U0001d54fé' is None\n"),
        ("a\r\nb\r\n", [(2, 1, 2, 1, "c\n")], "a\r\nc\r\nb\r\n"),
        ("a\r\nb", [(2, 1, 2, 2, "c\nd")], "a\r\nc\r\nd"),
        ("\ufeffimport os\nx = 1\n", [(1, 1, 1, 10, "import re")], "\ufeffimport re\nx = 1\n"),
    ],
    ids=[
        "line_removed", "name_removed", "line_inserted", "line_appended", "last_line_end", "empty_file",
        "lines_joined", "several_places", "wide_characters", "crlf", "crlf_at_open_end", "byte_order_mark",
    ],
)  # fmt: skip
def test_a_safe_fix_becomes_hunks_that_do_the_same(source: str, edits: list[Edit], fixed: str) -> None:
    hunks = tool_fix_hunks(split_lines(source), finding(edits))

    assert hunks is not None
    assert apply_hunks(source, hunks) == fixed


def test_hunks_are_as_small_as_whole_lines_allow() -> None:
    hunks = tool_fix_hunks(split_lines("a\nb\nc\n"), finding([(1, 1, 4, 1, "a\nx\nc\n")]))

    assert hunks is not None
    assert [(hunk.start_line, hunk.end_line, hunk.replacement) for hunk in hunks] == [(2, 2, "x\n")]


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [(0, 1, 1, 1, "x")],
        [(1, 0, 1, 1, "x")],
        [(3, 1, 3, 1, "x")],
        [(1, 7, 1, 7, "x")],
        [(2, 2, 2, 2, "x")],
        [(1, 3, 1, 2, "x")],
        [(1, 1, 1, 3, "x"), (1, 2, 1, 4, "y")],
        [(1, 1, 1, 2, "x")],
    ],
    ids=[
        "no_edits", "line_0", "column_0", "line_after_the_end", "column_after_the_end", "past_the_last_end",
        "end_before_start", "overlap", "no_change",
    ],
)  # fmt: skip
def test_a_fix_that_does_not_fit_the_source_is_none(edits: list[Edit]) -> None:
    assert tool_fix_hunks(split_lines("x = 1\n"), finding(edits)) is None


def test_an_unsafe_fix_is_none() -> None:
    assert tool_fix_hunks(split_lines("x = 1\n"), finding([(1, 1, 1, 2, "y")], safe=False)) is None


def test_a_finding_without_fixes_is_none() -> None:
    bare = Finding(
        index=0, tool="ruff", rule="F401", message="", severity="warning", start_line=1, end_line=1
    )

    assert tool_fix_hunks(split_lines("x = 1\n"), bare) is None


@given(
    source=st.text(alphabet="ab\n\r", max_size=12), text=st.text(alphabet="c\n", max_size=4), data=st.data()
)
def test_hunks_apply_wherever_the_fix_is(source: str, text: str, data: st.DataObject) -> None:
    numbers = st.integers(1, 6)
    edit = (data.draw(numbers), data.draw(numbers), data.draw(numbers), data.draw(numbers), text)

    hunks = tool_fix_hunks(split_lines(source), finding([edit]))

    for hunk in hunks or ():
        assert "".join(source.splitlines(keepends=True)[hunk.start_line - 1 : hunk.end_line]) == hunk.original
