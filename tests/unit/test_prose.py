import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit.prose import plain

MARKUP = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "a",
            "/",
            "[",
            "]",
            "(",
            ")",
            "!",
            ":",
            "//",
            "http",
            "www.",
            "@",
            "#",
            "1",
            "\n",
            " ",
            "\u200b",
            "\u202e",
            "\x00",
            "\ud800",
            "\t",
            "<b>",
            "[a](b)",
            "x.org",
            "é",
        ]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Use `x < y` and a -> b.", "Use `x < y` and a -> b."),
        ("<b>bold</b><!-- note --> text", "bold text"),
        ("<<b>script>alert(1)", "< script>alert(1)"),
        ("see [the docs](https://example.org/a) now", "see the docs now"),
        ("![picture](https://example.org/a.png)", "picture"),
        ("see https://example.org/a", "see example.org/a"),
        ("see www.example.org", "see www .example.org"),
        ("thanks @octocat, use @functools.wraps", "thanks octocat, use functools.wraps"),
        ("fixes #12 and acme/app#3", "fixes 12 and acme/app3"),
        ("one\n/merge", "one\nmerge"),
        ("zero\u200bwidth \u202eturned\x07", "zerowidth turned"),
        ("  a \t b  \r\n\n\n\n c ", "a b\n\nc"),
    ],
)
def test_prose_stays_readable_and_loses_its_effect(text: str, shown: str) -> None:
    assert plain(text, limit=600) == shown


@settings(deadline=None)
@given(MARKUP, st.integers(1, 50))
def test_plain_text_keeps_the_limit_and_has_no_effect(text: str, limit: int) -> None:
    shown = plain(text, limit=limit)

    assert len(shown) <= limit
    assert all(char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"} for char in shown)
    assert not re.search(r"<[a-z/!?]|\]\(|\]:|://|@\w|#\d|www\.", shown)


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert plain("word " * 10, limit=12) == "word word w…"
