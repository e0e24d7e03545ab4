"""The own look at annotated files must itself tell right from wrong."""

import pytest

from tests.support.untyped import SOURCES, only_adds_hints_and_docstrings

SOURCE = "def shout(text, times=3):  # loudly\n    return text.upper() + '!' * times\n"


def test_there_are_24_different_files_that_python_reads() -> None:
    assert len(set(SOURCES)) == 24
    assert all(only_adds_hints_and_docstrings(source, source) for source in SOURCES)


@pytest.mark.parametrize(
    "result",
    [
        "def shout(text: str, times: int=3) -> str:  # loudly\n    return text.upper() + '!' * times\n",
        SOURCE.replace("\n    return", '\n    """Shout."""\n    return'),
        '"""A module."""\n\nfrom typing import Any\n\n\n'
        + SOURCE.replace("text,", "text: dict[str, Any] | None,"),
    ],
)
def test_hints_and_docstrings_alone_are_seen_to_be_so(result: str) -> None:
    assert only_adds_hints_and_docstrings(SOURCE, result)


@pytest.mark.parametrize(
    "result",
    [
        SOURCE.replace("3", "4"),
        SOURCE.replace("  # loudly", ""),
        SOURCE.replace("'!'", '"!"'),
        SOURCE.replace("text, times", "times, text"),
        SOURCE.replace("return text", "return str(text)"),
        SOURCE.replace("\n    return", "\n    print(text)\n    return"),
        "import re\n" + SOURCE,
        SOURCE + "\n\nshout('x')\n",
    ],
)
def test_anything_else_is_seen(result: str) -> None:
    assert not only_adds_hints_and_docstrings(SOURCE, result)
