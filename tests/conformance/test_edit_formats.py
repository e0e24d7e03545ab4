import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit import formats
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.edit.protocol import EditFormat, Proposal

each_format = pytest.mark.parametrize("edit_format", EDIT_FORMATS.values(), ids=EDIT_FORMATS.keys())


def test_every_module_of_the_folder_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(formats.__path__)}

    assert set(EDIT_FORMATS) == modules


def test_the_default_is_registered() -> None:
    assert DEFAULT in EDIT_FORMATS


def test_every_format_has_the_name_it_is_registered_by() -> None:
    assert [edit_format.name for edit_format in EDIT_FORMATS.values()] == list(EDIT_FORMATS)


@each_format
def test_instructions_say_something_and_end_their_last_line(edit_format: EditFormat) -> None:
    assert edit_format.instructions.strip()
    assert edit_format.instructions.endswith("\n")


@each_format
@settings(deadline=None)
@given(text=st.text(alphabet=st.characters() | st.sampled_from("<>=~`\r\n"), max_size=200))
def test_parse_never_raises(edit_format: EditFormat, text: str) -> None:
    assert isinstance(edit_format.parse(text), Proposal)


@each_format
def test_reading_its_own_instructions_never_raises(edit_format: EditFormat) -> None:
    # Models do echo what they were told, also cut off anywhere.
    for size in range(len(edit_format.instructions)):
        assert isinstance(edit_format.parse(edit_format.instructions[:size]), Proposal)


@each_format
def test_an_empty_answer_is_neither_edit_nor_refusal(edit_format: EditFormat) -> None:
    proposal = edit_format.parse("")

    assert (proposal.edits, proposal.rejections, proposal.declined) == ((), (), None)
