import pytest

from api.bodies import MAX_VALUES, read_json, text_errors
from patchmill.errors import InvalidJson, TooLarge


def test_faults_of_text_are_found_at_any_depth() -> None:
    value = {"a": ["ok", {"b/c": "x\0"}], "d": "\ud800", "\0": 1}

    assert [error.pointer for error in text_errors(value)] == ["/a/1/b~1c", "/d", "/\0"]


def test_text_of_every_script_is_no_fault() -> None:
    assert text_errors({"\N{GRINNING FACE}": ["\u202e", "\n", "\x7f"]}) == []


def test_more_values_than_any_request_has_are_refused() -> None:
    with pytest.raises(TooLarge):
        text_errors([0] * MAX_VALUES)


def test_a_repeated_key_is_named() -> None:
    with pytest.raises(InvalidJson, match="'a' occurs twice"):
        read_json(b'{"x": {"a": 1, "b": 2, "a": 1}}')
