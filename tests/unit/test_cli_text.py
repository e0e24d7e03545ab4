import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.cli.masking import HIDDEN, masked_url
from patchmill.cli.talk import shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("größer → kleiner", "größer → kleiner"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("over\rwritten", "over\\x0dwritten"),
        ("right to left: \u202e", "right to left: \\u{202e}"),
        ("tag \U000e0041", "tag \\u{e0041}"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, expected: str) -> None:
    assert shown(text) == expected


@settings(deadline=None)
@given(st.text())
def test_nothing_that_is_shown_controls_a_terminal(text: str) -> None:
    for character in shown(text):
        assert character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:pass@h:6379/0", f"redis://:{HIDDEN}@h:6379/0"),
        ("postgresql://u:p%40ss@h/d", f"postgresql://u:{HIDDEN}@h/d"),
        ("postgresql://u:p@ss:w@h/d", f"postgresql://u:{HIDDEN}@h/d"),
        ("postgresql://h/d?user=u&password=p", f"postgresql://h/d?user=u&password={HIDDEN}"),
        ("postgresql://u@/d?host=/run/pg", "postgresql://u@/d?host=/run/pg"),
        ("https://gateway/v1", "https://gateway/v1"),
        ("a-secret-without-scheme", HIDDEN),
        ("redis://[broken", HIDDEN),
    ],
)
def test_passwords_in_addresses_are_hidden(url: str, expected: str) -> None:
    assert masked_url(url) == expected


@settings(deadline=None)
@given(st.text(alphabet="abc123!$%&=+~", min_size=6, max_size=20))
def test_no_password_is_left_in_an_address(password: str) -> None:
    assert password not in masked_url(f"redis://user:{password}@host:6379/0")
