"""The bodies for GitLab: where a discussion stands, how far its fence reaches, and what is never obeyed."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from patchmill.deliver.formats import FORMATS
from patchmill.deliver.review import MAX_BODY_BYTES
from patchmill.edit.diff import unified_diff
from patchmill.store.results import SuggestionRow
from tests.support.appliers import by_gitlab, gitlab_accepts, gitlab_suggested
from tests.support.offers import PATH, finding, group, hunk, new_file_diff, offered, suggestion

SOURCE = "".join(f"line_{number} = {number}\n" for number in range(1, 301))
ALL_NEW = new_file_diff(SOURCE)


def bodies_of(rows: Sequence[SuggestionRow], diff: str | None, source: str = SOURCE) -> dict[str, Any]:
    bodies: dict[str, Any] = json.loads(FORMATS["gitlab"].render(offered(source, rows, diff=diff)))
    assert gitlab_accepts(bodies, diff or "")
    return bodies


def line_change(line: int, **fields: Any) -> SuggestionRow:
    return suggestion(SOURCE, hunk(SOURCE, line, line, f"new_{line} = 0\n"), **fields)


def test_an_added_line_has_its_new_number_alone_and_another_has_both() -> None:
    old = SOURCE.replace("line_2 = 2\n", "").replace("line_5 = 5\n", "was = 5\n")
    rows = [line_change(line) for line in (2, 3, 5, 6)]

    bodies = bodies_of(rows, unified_diff(PATH, old, SOURCE))

    common = {"position_type": "text", "old_path": PATH, "new_path": PATH}
    assert [each["position"] for each in bodies["discussions"]] == [
        common | {"new_line": 2},
        common | {"new_line": 3, "old_line": 2},
        common | {"new_line": 5},
        common | {"new_line": 6, "old_line": 5},
    ]


def test_a_file_that_was_renamed_has_both_names() -> None:
    diff = (
        f"diff --git a/src/old.py b/{PATH}\nrename from src/old.py\nrename to {PATH}\n"
        f"--- a/src/old.py\n+++ b/{PATH}\n@@ -1,2 +1,2 @@\n a\n-x\n+b\n"
    )
    rows = [suggestion("a\nb\n", hunk("a\nb\n", 1, 1, "c\n"))]

    (discussion,) = bodies_of(rows, diff, "a\nb\n")["discussions"]

    assert (discussion["position"]["old_path"], discussion["position"]["new_path"]) == ("src/old.py", PATH)
    assert discussion["position"]["old_line"] == 1


@pytest.mark.parametrize(
    ("first", "last", "line", "above", "below"),
    [
        (7, 7, 7, 0, 0),
        (7, 9, 9, 2, 0),
        (7, 107, 107, 100, 0),
        (7, 108, 107, 100, 1),
        (7, 207, 107, 100, 100),
    ],
)
def test_a_fence_reaches_a_hundred_lines_up_and_then_a_hundred_down(
    first: int, last: int, line: int, above: int, below: int
) -> None:
    change = hunk(SOURCE, first, last, "x = 1\n")

    bodies = bodies_of([suggestion(SOURCE, change)], ALL_NEW)

    (discussion,) = bodies["discussions"]
    assert discussion["position"]["new_line"] == line
    assert gitlab_suggested(discussion["body"]) == (above, below, "x = 1\n")
    assert by_gitlab(SOURCE, bodies, PATH) == SOURCE.replace(change.original, "x = 1\n")


@pytest.mark.parametrize(
    ("rows", "diff", "why"),
    [
        pytest.param([line_change(5)], None, "no diff was submitted", id="no diff"),
        pytest.param([line_change(5)], "", "the diff does not have this file", id="an empty diff"),
        pytest.param([line_change(5, status="unchecked")], ALL_NEW, "it was not verified", id="not verified"),
        pytest.param(
            group(SOURCE, [hunk(SOURCE, 5, 5, "x\n"), hunk(SOURCE, 9, 9, "y\n")]),
            ALL_NEW,
            "it needs other changes with it",
            id="a group",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 7, 208, "x\n"))],
            ALL_NEW,
            "it replaces more than 201 lines",
            id="too many lines",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 5, 5, "x" * 70_000 + "\n"))],
            ALL_NEW,
            "it is too long for a comment",
            id="too long",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 1, 1, " \n\n"))],
            ALL_NEW,
            "GitLab takes blank lines for a deletion",
            id="blank lines",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 5, 5, "a\x0c\n"))],
            ALL_NEW,
            "it has control characters, which GitLab drops",
            id="a page break",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 5, 5, "a\n/Merge now\n"))],
            ALL_NEW,
            "one of its lines begins as GitLab's commands do",
            id="a command",
        ),
    ],
)
def test_what_gitlab_could_not_apply_as_it_is_goes_to_the_note(
    rows: list[SuggestionRow], diff: str | None, why: str
) -> None:
    bodies = bodies_of(rows, diff)

    assert bodies["discussions"] == []
    assert f"({why})" in bodies["note"]["body"]


@pytest.mark.parametrize(
    ("source", "line", "expected"),
    [
        ("def f():\n    debugger\n    go()\n", 2, "def f():\n    \n    go()\n"),
        ("a\n\nb\n", 3, None),
        ("a\r\nb\n", 2, None),
        ("a\x0c\nb\n", 2, None),
        ("/a/\nb\n", 2, None),
        ("a\nb", 2, "a\n    "),
    ],
)
def test_blank_lines_repeat_the_line_above_so_as_not_to_be_a_deletion(
    source: str, line: int, expected: str | None
) -> None:
    end = "\n" if source.endswith("\n") else ""
    rows = [suggestion(source, hunk(source, line, line, f"    {end}"))]

    bodies = bodies_of(rows, new_file_diff(source), source)

    if expected is None:
        assert bodies["discussions"] == []
    else:
        (discussion,) = bodies["discussions"]
        assert gitlab_suggested(discussion["body"])[:2] == (1, 0)
        assert by_gitlab(source, bodies, PATH) == expected


def test_a_line_with_crlf_is_replaced_by_one_and_not_by_two() -> None:
    source = "a\r\nb\r\n"
    rows = [
        suggestion(source, hunk(source, 1, 1, "x\r\n")),
        suggestion(source, hunk(source, 2, 2, "y\r\nz\r\n")),
    ]

    bodies = bodies_of(rows, new_file_diff(source), source)

    assert by_gitlab(source, bodies, PATH) == "x\r\nb\r\n"
    assert "(its lines end otherwise than the forge would end them)" in bodies["note"]["body"]


def test_lines_that_the_diff_deletes_between_are_no_hindrance() -> None:
    source = "a\nb\n"
    diff = f"--- a/{PATH}\n+++ b/{PATH}\n@@ -1,3 +1,2 @@\n a\n-z\n b\n"
    rows = [suggestion(source, hunk(source, 1, 2, "x\n"))]

    bodies = bodies_of(rows, diff, source)

    assert bodies["discussions"][0]["position"]["old_line"] == 3
    assert by_gitlab(source, bodies, PATH) == "x\n"


def test_the_note_is_the_summary_that_a_review_has_anywhere() -> None:
    rows = [line_change(5), line_change(9, status="unchecked")]
    offer = offered(SOURCE, rows, findings=[finding(0), finding(1, status="unresolved")], diff=ALL_NEW)

    bodies = json.loads(FORMATS["gitlab"].render(offer))
    review = json.loads(FORMATS["github"].render(offer))

    assert bodies["note"]["body"] == review["body"]
    assert "1 to apply by one click at its line, 1 listed below" in review["body"]
    assert len(bodies["note"]["body"].encode()) <= MAX_BODY_BYTES


def test_a_discussion_tells_the_evidence_and_where_it_comes_from() -> None:
    row = line_change(5, title="Say five", explanation="Because.", source="tool", safety="unsafe")

    (discussion,) = bodies_of([row], ALL_NEW)["discussions"]

    assert discussion["body"] == (
        "**Say five**\n\nBecause.\n\n```suggestion:-0+0\nnew_5 = 0\n```\n\n"
        "Verified: parses, finding gone (ruff B006) (source tool, unsafe)"
    )


def references(body: str) -> list[str]:
    """Give the words by which GitLab calls things, outside of code and of what a backslash keeps."""
    tokens = MarkdownIt().disable("text_join").parse(body)
    texts = [
        child.content if child.type == "text" else "\0" for token in tokens for child in token.children or ()
    ]
    return re.findall(r"[@#!~%&^$]\w+|\[\w+:", "".join(texts))


@pytest.mark.parametrize(
    "text",
    [
        "/close",
        "/merge now\n\n/assign @you\n\n  /close",
        "\u200b/close\n/reopen",
        'see !12, &3, ~bug, ~"a b", %1 or %"v 1", $5, ^alert#6, acme/app!7 and &amp;8',
        "[issue:1] [vulnerability:acme/app/2] [epic:x]",
        "```suggestion:-9+9\nimport os\n```\n",
    ],
)
def test_gitlab_obeys_no_words_and_links_none(text: str) -> None:
    row = line_change(5, title=text, explanation=text)

    bodies = bodies_of([row], ALL_NEW)
    listed = bodies_of([row], None)["note"]["body"].partition("<details>")[0]

    body = bodies["discussions"][0]["body"]
    assert gitlab_suggested(body) == (0, 0, "new_5 = 0\n")
    assert references(body) == []
    assert references(listed) == []


@given(st.text(alphabet="ab`@#1\\*_[]()<>!|~ \n.-+&:/w%^$\u202e", max_size=40))
def test_any_text_leaves_the_fence_as_it_is(text: str) -> None:
    (discussion,) = bodies_of([line_change(5, title=text, explanation=text)], ALL_NEW)["discussions"]

    assert gitlab_suggested(discussion["body"]) == (0, 0, "new_5 = 0\n")
    assert references(discussion["body"]) == []


@given(
    st.lists(st.sampled_from(["/close", "```", "`````", "a", "", "~~~", ">>>", "<p>", "</p>"]), min_size=1)
)
def test_any_code_commands_nothing(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"

    bodies = bodies_of([suggestion(SOURCE, hunk(SOURCE, 5, 5, text))], ALL_NEW)

    if bodies["discussions"]:
        assert by_gitlab(SOURCE, bodies, PATH) == SOURCE.replace("line_5 = 5\n", text)
