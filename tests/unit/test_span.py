import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit.span import line_content, line_end, split_lines

TEXTS = st.text(alphabet=st.sampled_from("ab \t\n\r\x0b\x0c\x1c\x85\u2028\ufeffé"), max_size=60)


@settings(deadline=None)
@given(TEXTS)
def test_joined_lines_are_the_text(text: str) -> None:
    assert "".join(split_lines(text)) == text


@settings(deadline=None)
@given(TEXTS)
def test_only_the_last_line_may_lack_an_end(text: str) -> None:
    assert all(line_end(line) for line in split_lines(text)[:-1])


@settings(deadline=None)
@given(TEXTS)
def test_content_and_end_are_the_whole_line(text: str) -> None:
    for line in split_lines(text):
        assert line_content(line) + line_end(line) == line
        assert not set(line_content(line)) & {"\n", "\r"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a\n"]),
        ("a\rb\r\nc\n\rd", ["a\r", "b\r\n", "c\n", "\r", "d"]),
        ("a\x0cb\x0bc\u2028d\x85e\x1cf\n", ["a\x0cb\x0bc\u2028d\x85e\x1cf\n"]),
    ],
)
def test_only_lf_crlf_and_cr_end_a_line(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("line", "content", "end"),
    [("a\n", "a", "\n"), ("a\r\n", "a", "\r\n"), ("a\r", "a", "\r"), ("a", "a", ""), ("\n", "", "\n")],
)
def test_a_line_is_its_content_and_its_end(line: str, content: str, end: str) -> None:
    assert (line_content(line), line_end(line)) == (content, end)
