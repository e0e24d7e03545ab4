import pkgutil
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from patchmill.edit import formats
from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.prose import EXPLANATION_LIMIT, TITLE_LIMIT
from patchmill.edit.protocol import (
    Anchor,
    AnchoredEdit,
    AnyEdit,
    Edit,
    EditFormat,
    Proposal,
    RejectionReason,
    Where,
)
from tests.support.edit_answers import CUTS, EDITS, RENDERERS, text_edit

each_format = pytest.mark.parametrize("edit_format", EDIT_FORMATS.values(), ids=EDIT_FORMATS.keys())

# Nine wide markers are what the blocks of search_replace escape with.
LINE = st.sampled_from(
    [
        "x = 1",
        "",
        "    y",
        "```",
        "=======",
        "<<<<<<< SEARCH",
        ">>>>>>> REPLACE",
        '"\\n',
        '{"edits": [',
        "@@ end",
        "@@ replace 1ab",
        "é\t",
    ]
) | st.text(
    alphabet=st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=12
).filter(lambda line: line[:8] not in {"<" * 8, "=" * 8, ">" * 8} and not line.startswith("@@@@"))
LINES = st.lists(LINE, max_size=6)


def _texts(edits: Sequence[AnyEdit]) -> list[str]:
    """All that edits quote."""
    return [text for edit in edits for text in (getattr(edit, "search", ""), edit.replace) if text]


def _hold_markers(edits: Sequence[AnyEdit]) -> bool:
    """Whether code looks like a block's marker: of such an answer nobody can tell where it was cut."""
    lines = [line for text in _texts(edits) for line in text.split("\n")]
    return any(line.startswith(("<<<<<<<", "=======", ">>>>>>>", "@@")) for line in lines)


def text_of(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


TEXT_EDITS = st.builds(lambda a, b: Edit(search=text_of(a), replace=text_of(b)), LINES, LINES)
ANCHOR = st.builds(
    lambda line, tag: Anchor(line=line, tag=tag),
    st.integers(1, 9_999),
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=2),
)
ANCHORED_EDITS = st.builds(
    lambda where, first, last, lines: AnchoredEdit(
        where=where, first=first, last=last or first, replace=text_of(lines)
    ),
    st.sampled_from(Where),
    ANCHOR,
    st.none() | ANCHOR,
    LINES,
) | st.builds(
    lambda lines: AnchoredEdit(where=Where.AFTER, first=None, last=None, replace=text_of(lines)), LINES
)


def edits_for(edit_format: EditFormat) -> st.SearchStrategy[list[AnyEdit]]:
    one: st.SearchStrategy[AnyEdit] = ANCHORED_EDITS if edit_format.name == "anchored_lines" else TEXT_EDITS
    return st.lists(one, max_size=4)


ANY_TEXT = (
    st.lists(
        st.sampled_from(
            ["@@", " ", "\n", "replace", "delete", "after", "end", "12ab", "-", "0", "3", "x", "NO CHANGE: "]
        ),
        max_size=30,
    ).map("".join)
    | st.lists(
        st.sampled_from(
            [
                '{"content": "", "tool_calls": [',
                '{"id": "a", "name": "propose_edits", "arguments": "',
                '{\\"edits\\": []',
                '{\\"no_change\\": \\"x\\"}',
                '"}',
                "]",
                "}",
                ",",
                "null",
            ]
        ),
        max_size=20,
    ).map("".join)
    | st.text(alphabet=st.characters() | st.sampled_from("<>=~`@\r\n"), max_size=200)
    | st.text(alphabet=st.sampled_from('{}[]",:\\u0dn8 \n'), max_size=200)
    | st.lists(
        st.sampled_from(
            [
                '{"edits": [',
                '{"search": [',
                '"a"',
                "]",
                "}",
                ",",
                '"replace": []',
                "null",
                '{"title": ',
                "1e9",
                "[",
            ]
        ),
        max_size=30,
    ).map("".join)
)


def test_every_module_of_the_folder_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(formats.__path__)}
    registered = {type(edit_format).__module__.rpartition(".")[2] for edit_format in EDIT_FORMATS.values()}

    assert registered == modules


def test_the_default_is_registered() -> None:
    assert DEFAULT in EDIT_FORMATS


def test_every_format_has_the_name_it_is_registered_by() -> None:
    assert [edit_format.name for edit_format in EDIT_FORMATS.values()] == list(EDIT_FORMATS)


@each_format
def test_instructions_say_something_and_end_their_last_line(edit_format: EditFormat) -> None:
    assert edit_format.instructions.strip()
    assert edit_format.instructions.endswith("\n")


@each_format
def test_a_format_with_a_schema_asks_for_json_in_words_too(edit_format: EditFormat) -> None:
    if edit_format.answer_schema is not None:
        Draft202012Validator.check_schema(edit_format.answer_schema)
        assert "JSON" in edit_format.instructions


@each_format
def test_a_format_with_a_tool_names_it_and_says_what_to_answer_without(edit_format: EditFormat) -> None:
    tool = edit_format.tool
    if tool is not None:
        Draft202012Validator.check_schema(tool.parameters)
        # As strict as structured output wants it: every key is required, and no other is allowed.
        assert set(tool.parameters["required"]) == set(tool.parameters["properties"])
        assert tool.parameters["additionalProperties"] is False
        assert tool.name in edit_format.instructions
        assert "JSON" in edit_format.instructions


@each_format
@given(source=st.lists(LINE, max_size=12), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_line_is_shown_with_all_its_text(edit_format: EditFormat, source: list[str], end: str) -> None:
    for number, line in enumerate(source, start=2):
        assert edit_format.shown(number, line + end).endswith(line + end)


@each_format
@settings(deadline=None)
@given(text=ANY_TEXT)
def test_parse_never_raises_and_numbers_each_edit_once(edit_format: EditFormat, text: str) -> None:
    proposal = edit_format.parse(text)

    numbers = [rejection.edit for rejection in proposal.rejections]
    assert numbers == list(range(len(proposal.edits), len(proposal.edits) + len(numbers)))
    assert proposal.declined is None or not (proposal.edits or proposal.rejections)
    assert len(proposal.title) <= TITLE_LIMIT
    assert len(proposal.explanation) <= EXPLANATION_LIMIT
    assert all(text.endswith("\n") for text in _texts(proposal.edits))
    for source in ("", "x\n", "\ufeffx\r\ny"):
        located = locate(source, proposal.edits)
        assert len(located.hunks) + len(located.rejections) == len(proposal.edits)
        apply_hunks(source, located.hunks)


@each_format
def test_a_deeply_nested_answer_is_read(edit_format: EditFormat) -> None:
    depth = sys.getrecursionlimit() * 20

    for text in ("[" * depth, '{"edits":' * depth, '{"edits": [{"search": ' + "[" * depth):
        assert edit_format.parse(text).edits == ()


@each_format
def test_reading_its_own_instructions_never_raises(edit_format: EditFormat) -> None:
    # Models do echo what they were told, also cut off anywhere.
    for size in range(len(edit_format.instructions)):
        assert isinstance(edit_format.parse(edit_format.instructions[:size]), Proposal)


@each_format
@pytest.mark.parametrize("text", ["", " ", " \n" * 500])
def test_a_blank_answer_is_neither_edit_nor_refusal(edit_format: EditFormat, text: str) -> None:
    proposal = edit_format.parse(text)

    assert (proposal.edits, proposal.rejections, proposal.declined) == ((), (), None)


@each_format
@settings(deadline=None)
@given(data=st.data())
def test_edits_rendered_in_any_format_parse_back(edit_format: EditFormat, data: st.DataObject) -> None:
    edits = data.draw(edits_for(edit_format))
    proposal = edit_format.parse(RENDERERS[edit_format.name]("Title", edits))

    assert proposal == Proposal(title="Title", explanation="Title", edits=tuple(edits))


@each_format
@settings(deadline=None)
@given(source=st.lists(LINE, min_size=1, max_size=12), data=st.data())
def test_an_edit_that_is_located_means_the_same_in_any_format(
    edit_format: EditFormat, source: list[str], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(source) - 1))
    stop = data.draw(st.integers(start + 1, len(source)))
    new = text_of(data.draw(LINES))
    text = text_of(source)
    edit = EDITS[edit_format.name](source, start, stop, new)
    wanted = locate(text, [text_edit(source, start, stop, new)])

    found = locate(text, edit_format.parse(RENDERERS[edit_format.name]("Title", [edit])).edits)

    assert found == locate(text, [edit])
    if wanted.hunks:
        # What its text alone can place is placed there by every format.
        assert apply_hunks(text, found.hunks) == apply_hunks(text, wanted.hunks)


@each_format
@settings(max_examples=50)
@given(data=st.data())
def test_of_an_answer_that_was_cut_only_complete_edits_are_kept(
    edit_format: EditFormat, data: st.DataObject
) -> None:
    edits = data.draw(edits_for(edit_format).filter(lambda edits: bool(edits) and not _hold_markers(edits)))
    text = RENDERERS[edit_format.name]("Title", edits)
    proposal = edit_format.parse(CUTS[edit_format.name](text, data.draw(st.integers(0, len(text)))))

    assert proposal.edits == tuple(edits[: len(proposal.edits)])
    assert {rejection.reason for rejection in proposal.rejections} <= {RejectionReason.UNTERMINATED}


def test_every_format_can_be_written_by_the_suite() -> None:
    assert set(RENDERERS) == set(EDITS) == set(CUTS) == set(EDIT_FORMATS)


@each_format
@given(answer=ANY_TEXT, said=st.text(min_size=1, max_size=20))
def test_a_turn_is_the_answer_and_then_what_is_said(edit_format: EditFormat, answer: str, said: str) -> None:
    first, *rest = edit_format.turn(answer, said)

    assert first["role"] == "assistant"
    assert rest[0]["content"] == said
    assert {message["role"] for message in rest} in ({"user"}, {"tool"})
    asked = [call["id"] for call in first.get("tool_calls", [])]
    assert [message.get("tool_call_id") for message in rest] == (asked or [None])
