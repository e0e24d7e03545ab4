import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from patchmill.edit.answer_object import ANSWER_SCHEMA
from patchmill.edit.formats.json_edits import JsonEdits
from patchmill.edit.protocol import Edit, Proposal, RejectionReason
from tests.support.edit_answers import json_edits as render

EDIT = Edit(search="old\n", replace="new\n")
ANSWER = render("Title", [EDIT])
FENCE = "```"


def parse(text: str) -> Proposal:
    return JsonEdits().parse(text)


def answer(**more: Any) -> str:
    return json.dumps({"title": "T", "explanation": "Why.", "edits": [], "no_change": None, **more})


def one_edit(search: Any, replace: Any) -> str:
    return answer(edits=[{"search": search, "replace": replace}])


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f"\n  {ANSWER}\n",
        json.dumps(json.loads(ANSWER), indent=4),
        f"{FENCE}json\n{ANSWER}\n{FENCE}",
        f"{FENCE}\n{ANSWER}\n{FENCE}\nDone.",
        f"Here is {{the}} answer, as {{}} wanted:\n{ANSWER}\nThat is {{all}}.",
        f'First {{"title": "a draft"}}, then {ANSWER}',
        ANSWER + ANSWER,
        "\ufeff" + ANSWER,
    ],
)
def test_the_object_is_found_whatever_stands_around_it(text: str) -> None:
    proposal = parse(text)

    assert (proposal.title, proposal.edits, proposal.rejections) == ("Title", (EDIT,), ())


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_answer_of_a_server_that_enforces_the_schema_is_whole(search: str, replace: str) -> None:
    text = one_edit(search.splitlines(), replace.splitlines())

    Draft202012Validator(ANSWER_SCHEMA).validate(json.loads(text))
    assert parse(text).rejections == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], ""),
        ("", ""),
        ([""], "\n"),
        ("\n", "\n"),
        (["a", "b"], "a\nb\n"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\nb\n"),
        ("a\r\nb\r", "a\nb\n"),
        (["a\n", "b\r\n", "\n"], "a\nb\n\n"),
        (["a\nb", "c"], "a\nb\nc\n"),
        (["\u2028\x0c"], "\u2028\x0c\n"),
        (["x\0\ud800"], "x\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\n"),
        (["\U0001f600"], "\U0001f600\n"),
    ],
)
def test_lines_and_strings_become_text_whose_lines_end_in_lf(value: Any, text: str) -> None:
    assert parse(one_edit(["old"], value)).edits == (Edit(search="old\n", replace=text),)


def test_strings_may_hold_tabs_and_line_ends_that_json_would_escape() -> None:
    text = '{"title": "T", "edits": [{"search": "\told\n", "replace": ["new"]}]}'

    assert parse(text).edits == (Edit(search="\told\n", replace="new\n"),)


@pytest.mark.parametrize(
    ("edit", "detail"),
    [
        ('{"search": ["old"]}', "edit 1 has no list of lines in replace"),
        ('{"search": 5, "replace": null}', "in search and replace"),
        ('{"search": ["a", 5], "replace": []}', "in search"),
        ('{"search": [["a"]], "replace": []}', "in search"),
        ("{}", "in search and replace"),
        ('"old"', "edit 1 is no object"),
        ("null", "edit 1 is no object"),
        pytest.param("1" + "0" * 4999, "edit 1 is no object", id="5000 digits"),
    ],
)
def test_an_edit_of_the_wrong_types_is_rejected_and_the_others_are_kept(edit: str, detail: str) -> None:
    text = ANSWER.replace('"edits": [', f'"edits": [{edit}, ')
    proposal = parse(text)

    assert proposal.edits == (EDIT,)
    (rejection,) = proposal.rejections
    assert (rejection.edit, rejection.reason) == (1, RejectionReason.UNTERMINATED)
    assert detail in rejection.detail


@pytest.mark.parametrize(
    "text",
    [
        '{"edits": [{"search": ["a"], "search": ["b"], "replace": []}]}',
        '{"edits": [{"search": ["a"], "replace": [], "replace": ["b"]}]}',
        '{"edits": [], "edits": [{"search": ["a"], "replace": []}]}',
        '{"no_change": null, "no_change": "fine", "edits": []}',
    ],
)
def test_a_key_that_comes_twice_leaves_open_what_is_meant(text: str) -> None:
    proposal = parse(text)

    assert (proposal.edits, proposal.declined) == ((), None)
    assert [rejection.reason for rejection in proposal.rejections] == [RejectionReason.AMBIGUOUS]
    assert "twice" in proposal.rejections[0].detail


def test_a_key_that_comes_twice_with_one_value_does_no_harm() -> None:
    assert parse(ANSWER.replace('"title"', '"no_change": null, "title": "x", "title"')).edits == (EDIT,)


@pytest.mark.parametrize(
    "tail",
    [
        '{"search": ["a"',
        '{"search": ["a"], "replace": [',
        '{"search"',
        "",
        '{"search": ["\\d"], "replace": []}]}',
    ],
)
def test_complete_edits_before_the_place_where_json_breaks_are_kept(tail: str) -> None:
    proposal = parse(ANSWER[: ANSWER.index("]}]") + 2] + ", " + tail)

    assert (proposal.title, proposal.explanation, proposal.edits) == ("Title", "Title", (EDIT,))
    (rejection,) = proposal.rejections
    assert (rejection.edit, rejection.reason) == (1, RejectionReason.UNTERMINATED)
    assert "ends or breaks at character" in rejection.detail


def test_an_answer_cut_after_its_last_edit_lacks_nothing() -> None:
    proposal = parse(ANSWER[: ANSWER.index("]}]") + 3] + ', "no_ch')

    assert (proposal.edits, proposal.rejections) == ((EDIT,), ())


def test_an_answer_cut_before_its_edits_is_unterminated() -> None:
    (rejection,) = parse('{"title": "T", "explanation": "Because').rejections

    assert rejection.reason is RejectionReason.UNTERMINATED


@pytest.mark.parametrize(
    ("no_change", "declined"),
    [
        ("it is intended", "it is intended"),
        ("see <b>@you</b>", "see you"),
        ("\u200b", "no reason given"),
        (True, "no reason given"),
        ("", None),
        (None, None),
        (False, None),
        (["no"], None),
    ],
)
def test_no_change_with_a_reason_declines(no_change: Any, declined: str | None) -> None:
    assert parse(answer(no_change=no_change)).declined == declined


def test_an_answer_with_an_edit_does_not_decline() -> None:
    assert parse(answer(edits=[{"search": ["old"], "replace": ["new"]}], no_change="really")).declined is None
    assert parse(answer(edits=[5], no_change="really")).declined is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would change line 3.",
        "[]",
        "null",
        "{}",
        '{"answer": "x"}',
        '{"title": "T"}',
        "<<<<<<< SEARCH\n",
    ],
)
def test_an_answer_without_edits_and_reason_is_neither(text: str) -> None:
    proposal = parse(text)

    assert (proposal.edits, proposal.rejections, proposal.declined) == ((), (), None)


@pytest.mark.parametrize(
    ("title", "said"), [("Fix\n\n@it", "Fix it"), ("x" * 200, "x" * 119 + "…"), (5, ""), (None, "")]
)
def test_titles_are_one_plain_line(title: Any, said: str) -> None:
    assert parse(answer(title=title)).title == said


def test_a_long_answer_of_braces_is_read_in_linear_time() -> None:
    assert parse('{"title": ' * 200_000).edits == ()


def test_the_example_in_the_instructions_is_the_format() -> None:
    proposal = parse(JsonEdits.instructions)

    (edit,) = proposal.edits
    assert isinstance(edit, Edit)
    assert edit.search == "old line\n"
    example = next(line for line in JsonEdits.instructions.splitlines() if line.startswith("{"))
    Draft202012Validator(ANSWER_SCHEMA).validate(json.loads(example))
