import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.errors import ConfigurationError
from patchmill.store import key_secret


def test_a_key_reads_back_as_itself() -> None:
    made = key_secret.make()

    assert key_secret.read(made.text()) == made
    assert made.text().startswith(f"pm_{made.public_id}")


@given(st.integers(0, 48), st.characters(codec="utf-8"))
def test_a_mistyped_key_is_noticed_without_a_look_up(position: int, letter: str) -> None:
    text = key_secret.make().text()
    mistyped = text[:position] + letter + text[position + 1 :]

    assert mistyped == text or key_secret.read(mistyped) is None


@pytest.mark.parametrize("text", ["", "pm_", "pm_short", "Bearer x", "pm_" + "a" * 46, "pm_" + "a" * 500])
def test_what_is_no_key_is_refused(text: str) -> None:
    assert key_secret.read(text) is None


def test_only_the_right_secret_under_the_right_pepper_matches() -> None:
    key, other = key_secret.make(), key_secret.make()
    stored = key_secret.digest(key, b"p" * 32)

    assert key_secret.matches(key, stored, b"p" * 32)
    assert not key_secret.matches(other, stored, b"p" * 32)
    assert not key_secret.matches(key, stored, b"q" * 32)


def test_the_secret_is_not_shown_by_accident() -> None:
    key = key_secret.make()

    assert key.secret not in repr(key)


def test_processes_that_start_together_agree_on_one_pepper(tmp_path: Path) -> None:
    peppers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: peppers.append(key_secret.load_pepper(None, tmp_path / "data")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(peppers)) == 1
    assert (tmp_path / "data" / "key-pepper").stat().st_mode & 0o077 == 0


def test_a_chosen_pepper_file_must_be_there_and_long_enough(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("abc")

    with pytest.raises(ConfigurationError, match="PATCHMILL_KEY_PEPPER_FILE"):
        key_secret.load_pepper(tmp_path / "absent", tmp_path)
    with pytest.raises(ConfigurationError, match="32 bytes"):
        key_secret.load_pepper(short, tmp_path)
