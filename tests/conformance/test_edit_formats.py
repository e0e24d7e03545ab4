import pkgutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from patchmill.edit import formats
from patchmill.edit.apply import apply_hunks, locate
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.prose import EXPLANATION_LIMIT, TITLE_LIMIT
from patchmill.edit.protocol import Edit, EditFormat, Proposal, RejectionReason
from tests.support.edit_answers import RENDERERS

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
        "é\t",
    ]
) | st.text(
    alphabet=st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), max_size=12
).filter(lambda line: line[:8] not in {"<" * 8, "=" * 8, ">" * 8})
LINES = st.lists(LINE, max_size=6)


def _hold_markers(edits: list[Edit]) -> bool:
    """Whether code looks like a block's marker: of such an answer nobody can tell where it was cut."""
    lines = [line for edit in edits for line in f"{edit.search}\n{edit.replace}".split("\n")]
    return any(line.startswith(("<<<<<<<", "=======", ">>>>>>>")) for line in lines)


def text_of(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


EDITS = st.lists(
    st.builds(lambda a, b: Edit(search=text_of(a), replace=text_of(b)), LINES, LINES), max_size=4
)
ANY_TEXT = (
    st.text(alphabet=st.characters() | st.sampled_from("<>=~`\r\n"), max_size=200)
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
@settings(deadline=None)
@given(text=ANY_TEXT)
def test_parse_never_raises_and_numbers_each_edit_once(edit_format: EditFormat, text: str) -> None:
    proposal = edit_format.parse(text)

    numbers = [rejection.edit for rejection in proposal.rejections]
    assert numbers == list(range(len(proposal.edits), len(proposal.edits) + len(numbers)))
    assert proposal.declined is None or not (proposal.edits or proposal.rejections)
    assert len(proposal.title) <= TITLE_LIMIT
    assert len(proposal.explanation) <= EXPLANATION_LIMIT
    assert all(text.endswith("\n") for edit in proposal.edits for text in (edit.search, edit.replace) if text)


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
@given(edits=EDITS)
def test_edits_rendered_in_any_format_parse_back(edit_format: EditFormat, edits: list[Edit]) -> None:
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
    edit = Edit(search=text_of(source[start:stop]), replace=text_of(data.draw(LINES)))
    text = text_of(source)
    wanted = locate(text, [edit])

    found = locate(text, edit_format.parse(RENDERERS[edit_format.name]("Title", [edit])).edits)

    assert found == wanted
    assert apply_hunks(text, found.hunks) == apply_hunks(text, wanted.hunks)


@each_format
@settings(max_examples=50)
@given(edits=EDITS.filter(lambda edits: edits and not _hold_markers(edits)), data=st.data())
def test_of_an_answer_that_was_cut_only_complete_edits_are_kept(
    edit_format: EditFormat, edits: list[Edit], data: st.DataObject
) -> None:
    text = RENDERERS[edit_format.name]("Title", edits)
    proposal = edit_format.parse(text[: data.draw(st.integers(0, len(text)))])

    assert proposal.edits == tuple(edits[: len(proposal.edits)])
    assert {rejection.reason for rejection in proposal.rejections} <= {RejectionReason.UNTERMINATED}


def test_every_format_can_be_written_by_the_suite() -> None:
    assert set(RENDERERS) == set(EDIT_FORMATS)
