from pathlib import Path

import pytest

from patchmill.dev.standin.known_answers import InvalidCases, KnownAnswers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "cases.jsonl: is not UTF-8"),
        (b"[" * 200_000, "cases.jsonl:1: is no case"),
        (b"\n[]\n", "cases.jsonl:2: is no case"),
        (b"{}\n", "no case has a right answer"),
    ],
)
def test_what_are_no_cases_is_told(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(content)

    with pytest.raises(InvalidCases) as caught:
        KnownAnswers.read([file])

    assert said in str(caught.value)


def test_a_folder_without_cases_is_told() -> None:
    with pytest.raises(InvalidCases, match="no file: no case has a right answer"):
        KnownAnswers.read([])
