"""The review for GitHub: what stands at a line, what is listed, and what untrusted text may not do there."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from patchmill.deliver.formats import FORMATS
from patchmill.deliver.review import MAX_BODY_BYTES, STAND_IN
from patchmill.deliver.suggestion import Offered
from patchmill.edit.diff import unified_diff
from patchmill.edit.offered import apply_offered
from patchmill.store.results import SuggestionRow
from tests.support.appliers import by_git, by_github, github_accepts, suggested
from tests.support.offers import PATH, finding, group, hunk, new_file_diff, offered, suggestion

SOURCE = "".join(f"line_{number} = {number}\n" for number in range(1, 101))


def changed_at(*lines: int) -> str:
    """Write the diff that changed these lines to what they are now, with three lines around each."""
    old = SOURCE
    for line in lines:
        old = old.replace(f"line_{line} = {line}\n", f"line_{line} = None\n")
    return unified_diff(PATH, old, SOURCE)


def listed_patches(body: str) -> list[str]:
    """Give the patches of a summary."""
    return re.findall(r"^```diff\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)


def line_change(line: int, **fields: Any) -> SuggestionRow:
    return suggestion(SOURCE, hunk(SOURCE, line, line, f"new_{line} = 0\n"), **fields)


def review_of(rows: Sequence[SuggestionRow], diff: str | None, source: str = SOURCE) -> dict[str, Any]:
    review: dict[str, Any] = json.loads(FORMATS["github"].render(offered(source, rows, diff=diff)))
    if diff is not None:
        assert github_accepts(review, diff)
    assert review["event"] == "COMMENT"
    assert len(review["body"].encode()) <= MAX_BODY_BYTES
    return review


def test_one_invalid_anchor_among_thirty_does_not_spoil_the_review() -> None:
    places = list(range(1, 88, 3))
    rows = [line_change(line, title=f"Change {line}") for line in [*places, 98]]

    review = review_of(rows, changed_at(*places))

    assert len(rows) == 30
    assert [comment["line"] for comment in review["comments"]] == places
    assert "29 to apply by one click at its line, 1 listed below" in review["body"]
    assert f"- `{PATH}`, line 98: Change 98 (its lines are not within one hunk of the diff)" in review["body"]
    assert "+new_98 = 0" in review["body"]
    assert by_github(SOURCE, review, PATH).count("new_") == 29


def test_a_range_across_two_adjacent_hunks_is_no_anchor() -> None:
    source = "a\nb\nc\nd\n"
    diff = f"--- a/{PATH}\n+++ b/{PATH}\n@@ -1,2 +1,2 @@\n-z\n+a\n b\n@@ -3,2 +3,2 @@\n-z\n+c\n d\n"
    rows = [
        suggestion(source, hunk(source, 1, 2, "x\n")),
        suggestion(source, hunk(source, 2, 3, "y\n")),
        suggestion(source, hunk(source, 3, 4, "z\n")),
    ]

    review = review_of(rows, diff, source)

    assert [(each["start_line"], each["line"]) for each in review["comments"]] == [(1, 2), (3, 4)]
    assert "lines 2 to 3: A title (its lines are not within one hunk of the diff)" in review["body"]


def test_a_range_over_deleted_lines_is_listed() -> None:
    source = "a\nb\nc\n"
    diff = f"--- a/{PATH}\n+++ b/{PATH}\n@@ -1,5 +1,3 @@\n-y\n a\n-z\n b\n c\n"
    rows = [suggestion(source, hunk(source, 1, 2, "x\n")), suggestion(source, hunk(source, 2, 3, "y\n"))]

    review = review_of(rows, diff, source)

    assert [(each["start_line"], each["line"]) for each in review["comments"]] == [(2, 3)]
    assert "the diff deletes lines between its lines" in review["body"]


@pytest.mark.parametrize(
    ("rows", "diff", "why"),
    [
        pytest.param([line_change(5)], None, "no diff was submitted", id="no diff"),
        pytest.param(
            [line_change(5)], "what", "the diff cannot be read: the diff names no", id="no real diff"
        ),
        pytest.param([line_change(5)], "", "the diff does not have this file", id="an empty diff"),
        pytest.param(
            [line_change(5)],
            new_file_diff(SOURCE.replace("= 5\n", "= 6\n")),
            "the diff shows other lines there",
            id="the diff of another version",
        ),
        pytest.param(
            [line_change(5, status="unchecked")], new_file_diff(SOURCE), "it was not verified", id="unchecked"
        ),
        pytest.param(
            [line_change(5, committable=False)],
            new_file_diff(SOURCE),
            "it cannot be committed alone",
            id="not to be committed",
        ),
        pytest.param(
            group(SOURCE, [hunk(SOURCE, 5, 5, "x\n"), hunk(SOURCE, 9, 9, "y\n")]),
            new_file_diff(SOURCE),
            "it needs other changes with it",
            id="a group",
        ),
        pytest.param(
            [suggestion(SOURCE, hunk(SOURCE, 5, 5, "x" * 70_000 + "\n"))],
            new_file_diff(SOURCE),
            "it is too long for a comment",
            id="too long",
        ),
    ],
)
def test_what_no_click_may_apply_is_listed_with_the_reason(
    rows: list[SuggestionRow], diff: str | None, why: str
) -> None:
    offer = offered(SOURCE, rows, diff=diff)

    review = json.loads(FORMATS["github"].render(offer))

    assert review["comments"] == []
    assert f"({why}" in review["body"].replace("\\", "")
    assert "suggestion\n" not in review["body"]


def test_a_group_is_listed_once_with_all_its_changes() -> None:
    rows = group(SOURCE, [hunk(SOURCE, 5, 5, "x\n"), hunk(SOURCE, 9, 8, "y\n")])

    body = review_of(rows, None)["body"]

    assert "offers 1 change: 0 to apply" in body
    assert f"`{PATH}`, line 5, line 8:" in body
    (patch,) = listed_patches(body)
    assert f"--- a/{PATH}\n+++ b/{PATH}\n@@ -2,10 +2,11 @@\n" in patch
    assert "-line_5 = 5\n+x\n" in patch
    assert " line_8 = 8\n+y\n" in patch


def test_git_applies_each_listed_change(tmp_path: Path) -> None:
    whole = [
        *group(SOURCE, [hunk(SOURCE, 1, 3, "x\n"), hunk(SOURCE, 27, 27, "y\n"), hunk(SOURCE, 100, 100, "")])
    ]
    rows = [*whole, line_change(9), suggestion(SOURCE, hunk(SOURCE, 33, 33, ""))]

    patches = listed_patches(review_of(rows, None)["body"])

    assert "@@ -24,7 +22,7 @@" in patches[0]
    assert len(patches) == 3
    for patch, expected in zip(
        patches,
        [
            apply_offered(SOURCE, [row.hunk for row in whole]),
            SOURCE.replace("line_9 = 9\n", "new_9 = 0\n"),
            SOURCE.replace("line_33 = 33\n", ""),
        ],
        strict=True,
    ):
        assert by_git(tmp_path, SOURCE, patch, PATH) == expected


def test_an_answer_that_mends_several_things_is_explained_once() -> None:
    explanation = "Fix B006 and E722\n\nThe default was shared."
    rows = [line_change(line, title=f"B00{line}: x", explanation=explanation) for line in (5, 7)]
    rows.append(line_change(9, title="Say nine", explanation="Say nine\nIt is\nclearer.\n\nAnd short."))

    review = review_of(rows, new_file_diff(SOURCE))

    assert [each["body"].partition("```")[0] for each in review["comments"]] == [
        "**B005: x**\n\n",
        "**B007: x**\n\n",
        "**Say nine**\n\nIt is clearer.\n\nAnd short.\n\n",
    ]
    assert review["body"].count("The default was shared.") == 1
    assert f"`{PATH}`: Fix B006 and E722\n\nThe default was shared." in review["body"]


def test_findings_that_stay_are_named_up_to_a_number() -> None:
    findings = [finding(at, status="unresolved", start_line=at + 1) for at in range(23)]

    body = json.loads(FORMATS["github"].render(offered(SOURCE, [], findings=findings)))["body"]

    assert f"Unresolved: `{PATH}:1` B006, `{PATH}:2` B006, " in body
    assert f"`{PATH}:20` B006 and 3 more." in body
    assert f"`{PATH}:21`" not in body


def test_a_comment_tells_the_evidence_and_where_it_comes_from() -> None:
    row = line_change(5, title="Say five", explanation="Because.", source="tool", safety="unsafe")

    (comment,) = review_of([row], new_file_diff(SOURCE))["comments"]

    assert comment["body"] == (
        "**Say five**\n\nBecause.\n\n```suggestion\nnew_5 = 0\n```\n\n"
        "Verified: parses, finding gone (ruff B006) (source tool, unsafe)"
    )
    assert (comment["path"], comment["line"], comment["side"]) == (PATH, 5, "RIGHT")
    assert "start_line" not in comment


def test_a_review_by_the_stand_in_says_that_it_is_not_to_be_posted() -> None:
    made = review_of([line_change(5, source="stand-in")], new_file_diff(SOURCE))
    real = review_of([line_change(5)], new_file_diff(SOURCE))

    assert STAND_IN in made["body"]
    assert "source stand-in" in made["comments"][0]["body"]
    assert STAND_IN not in real["body"]


def test_the_findings_are_counted_by_what_became_of_them() -> None:
    findings = [
        finding(0),
        finding(1, status="unchecked"),
        finding(2, status="unresolved"),
        finding(3, status="pending"),
    ]

    review = json.loads(FORMATS["github"].render(offered(SOURCE, [], findings=findings)))
    nothing = json.loads(FORMATS["github"].render(Offered(files=[])))

    assert review["body"] == (
        "Patchmill offers no change.\n\nFindings: 4, of which 1 verified, 1 unchecked, 2 unresolved."
        f"\n\nUnresolved: `{PATH}:1` B006, `{PATH}:1` B006."
    )
    assert nothing == {"event": "COMMENT", "body": "Patchmill offers no change.", "comments": []}


def test_a_summary_that_would_be_too_long_is_cut_with_a_count() -> None:
    big = "\U0001f40d" * 100 + "\n"
    rows = [
        suggestion(SOURCE, hunk(SOURCE, number % 100 + 1, number % 100 + 1, big * 10), title=f"T{number}.")
        for number in range(700)
    ]

    body = review_of(rows, None)["body"]

    shown = sum(f" T{number}." in body for number in range(700))
    assert 0 < shown < 700
    assert f"{700 - shown} further changes did not fit here" in body
    assert len(body.encode()) > MAX_BODY_BYTES - 500


def test_a_change_too_long_for_the_summary_leaves_its_line_there() -> None:
    rows = [suggestion(SOURCE, hunk(SOURCE, 5, 5, "x" * 70_000 + "\n"), title="Long"), line_change(9)]

    body = review_of(rows, None)["body"]

    assert "line 5: Long" in body
    assert "xxxx" not in body
    assert "+new_9 = 0" in body


HOSTILE = [
    "ping @octocat and @acme/core, mail a@b.example",
    "see #1, GH-2, acme/app#3 and https://evil.example/x or www.evil.example",
    ":// and 1://evil.example and \u043d://evil.example",
    "[click](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example>",
    "<!-- hidden --> <img src=x> <details><summary>x</summary> </details> &lt;b&gt;",
    "before ``` after\n```suggestion\nimport os\n```\n",
    "a\n\n# heading\n\n- list\n\n> quote\n\n| a | b |\n|---|---|\n",
    "1. one",
    "    indented",
    "***\n---\n===",
    "\u202ereversed\u202c zero\u200bwidth \x1b[31mred\x00 tag\U000e0041",
    "`code` ``two`` `open \\`escaped\\` `@inside` @a`b`@c",
    "\\*not\\* **bold** _it_ ~~gone~~ $x$",
]
ALLOWED_INLINE = {"text", "text_special", "code_inline", "strong_open", "strong_close", "softbreak"}


def inline_tokens(body: str) -> list[Token]:
    """Give what Markdown, with GitHub's tables and strikethrough, makes of the text outside of fences."""
    tokens = MarkdownIt().enable(["table", "strikethrough"]).parse(body)
    kinds = [token.type for token in tokens]
    assert set(kinds) <= {"paragraph_open", "paragraph_close", "inline", "fence"}, kinds
    return [child for token in tokens for child in token.children or ()]


def check_harmless(body: str) -> None:
    """Refuse markup, hidden characters, and words that a forge makes into links or notices."""
    tokens = inline_tokens(body)
    assert {token.type for token in tokens} <= ALLOWED_INLINE, tokens
    for token in tokens:
        assert all(character.isprintable() for character in token.content), token.content
    plain = "".join(token.content if token.type.startswith("text") else "\0" for token in tokens)
    for word in ("@", "://", "www.", "#1", "#3", "GH-2"):
        assert word not in plain, plain


@pytest.mark.parametrize("text", HOSTILE)
def test_untrusted_text_is_shown_and_does_nothing(text: str) -> None:
    row = line_change(5, title=text, explanation=text)

    review = review_of([row], new_file_diff(SOURCE))
    (comment,) = review["comments"]
    listed = review_of([row], None)["body"].partition("<details>")[0].replace("\n- ", "\n")

    check_harmless(comment["body"])
    check_harmless(listed)
    assert suggested(comment["body"]) == "new_5 = 0\n"


@given(st.text(alphabet="ab`@#1\\*_[]()<>!|~ \n.-+&:/w\u202e", max_size=40))
def test_any_text_leaves_the_fence_as_it_is(text: str) -> None:
    (comment,) = review_of([line_change(5, title=text, explanation=text)], new_file_diff(SOURCE))["comments"]

    assert suggested(comment["body"]) == "new_5 = 0\n"
    check_harmless(comment["body"])


def test_words_stay_readable() -> None:
    row = line_change(
        5,
        title="B904: Within an `except` clause, raise … from err",
        explanation="Ask @octocat; see #12 and 3 < 4 * 5.",
    )

    (comment,) = review_of([row], new_file_diff(SOURCE))["comments"]

    assert comment["body"].startswith(
        "**B904: Within an `except` clause, raise … from err**\n\n"
        "Ask `@octocat`; see `#12` and 3 &lt; 4 \\* 5.\n\n"
    )


def test_a_path_with_backticks_stays_code() -> None:
    offer = offered(SOURCE, [line_change(5, path="a`b``.py")], path="a`b``.py")

    body = json.loads(FORMATS["github"].render(offer))["body"]

    assert "- ```a`b``.py```, line 5" in body
