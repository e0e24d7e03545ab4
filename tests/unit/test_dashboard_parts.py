"""The pure parts of the dashboard: diffs, plain text, charts, the throttle, and what is vendored."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.charts import HEIGHT, bars, parts
from api.dashboard.diffs import MAX_SHOWN, diff
from api.dashboard.rendering import brief, decimals, duration, short, usd
from api.dashboard.throttle import MAX_OF_ADDRESS, MAX_OF_NAME, WINDOW_S, Throttle
from api.dashboard.visible import marked, plain
from tests.support.visitor import visible

FOLDER = Path(__file__).parents[2] / "api" / "dashboard"
VENDORED = json.loads((FOLDER / "static" / "MANIFEST.json").read_text())["vendored"]
OWN = {"dashboard.css", "dashboard.js", "icon.svg", "MANIFEST.json"}


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_the_one_that_the_manifest_names(entry: dict[str, str]) -> None:
    body = (FOLDER / "static" / entry["file"]).read_bytes()

    assert hashlib.sha256(body).hexdigest() == entry["sha256"]
    assert entry["name"]
    assert entry["version"]
    assert entry["licence"]


def test_the_manifest_names_every_file_that_is_not_our_own() -> None:
    files = {file.name for file in (FOLDER / "static").iterdir()}

    assert files == OWN | {entry["file"] for entry in VENDORED}


def test_no_template_switches_escaping_off_or_holds_script_and_style() -> None:
    templates = list((FOLDER / "templates").glob("*.html"))
    assert len(templates) > 10
    forbidden = re.compile(
        r"\|\s*safe|autoescape|<style|\sstyle=|\son\w+=|hx-on|hx-vals|js:|<script(?! src=)"
    )
    for template in templates:
        assert not forbidden.search(template.read_text()), template.name


def test_amounts_are_written_to_the_last_digit_of_the_finest() -> None:
    amounts = [0, 10**12, 53_100_000, 5]

    digits = decimals(amounts)

    assert digits == 12
    assert [usd(each, digits)[2:] for each in amounts] == [
        ".000000000000",
        ".000000000000",
        ".000053100000",
        ".000000000005",
    ]
    assert (usd(0), usd(10**12), usd(53_100_000)) == ("$0", "$1", "$0.0000531")
    assert decimals([]) == decimals([10**12]) == 0


def test_a_long_path_keeps_its_file_name_and_a_long_id_both_ends() -> None:
    long = f"packages/{'folder/' * 20}module.py"

    assert brief(long) == "packages/…/module.py"
    assert brief("src/app.py") == "src/app.py"
    assert brief(f"src/{'x' * 80}.py") == f"src/{'x' * 80}.py"
    assert short(f"run_{'01' * 16}") == "run_0101…010101"


def test_a_diff_numbers_both_sides_and_shows_lines_around() -> None:
    source = "import os\n\n\ndef f(a=[]):\n    return a\n"

    shown = diff(
        original="def f(a=[]):\n",
        replacement="def f(a=None):\n    a = a or []\n",
        start_line=4,
        source=source,
        language="python",
    )

    assert [(line.mark, line.old, line.new) for line in shown.lines] == [
        (" ", 1, 1),
        (" ", 2, 2),
        (" ", 3, 3),
        ("-", 4, None),
        ("+", None, 4),
        ("+", None, 5),
        (" ", 5, 6),
    ]
    assert shown.lines[3].code == '<span class="k">def</span> <span class="f">f</span>(a=[]):'


_LINES = st.lists(st.text(st.characters(exclude_characters="\r\n"), max_size=12), max_size=6)


@given(
    before=_LINES, after=_LINES, around=_LINES, language=st.sampled_from(["python", "javascript", "no such"])
)
def test_every_line_of_a_diff_says_what_the_text_says(
    before: list[str], after: list[str], around: list[str], language: str
) -> None:
    head, original, replacement = ("".join(f"{line}\n" for line in each) for each in (around, before, after))

    shown = diff(
        original=original,
        replacement=replacement,
        start_line=len(around) + 1,
        source=head + original,
        language=language,
    )

    context = around[-3:]
    old = [line.code for line in shown.lines if line.mark in " -"]
    new = [line.code for line in shown.lines if line.mark in " +"]
    assert [bare(code) for code in old] == [bare(marked(line)) for line in context + before]
    assert [bare(code) for code in new] == [bare(marked(line)) for line in context + after]


def bare(code: str) -> str:
    return re.sub(r"<[^>]*>", "", code)


def test_a_long_diff_says_how_much_of_it_is_not_shown() -> None:
    shown = diff(
        original="a\n" * MAX_SHOWN, replacement="b\n" * 10, start_line=1, source=None, language="python"
    )

    assert (len(shown.lines), shown.hidden) == (MAX_SHOWN, 10)


def test_line_ends_that_differ_and_one_that_is_missing_are_seen() -> None:
    shown = diff(original="a\r\n", replacement="a", start_line=1, source="a\r\n", language="python")

    assert [(line.mark, bare(line.code), line.no_line_end) for line in shown.lines] == [
        ("-", "aU+000D", False),
        ("+", "a", True),
    ]


@given(st.text())
def test_plain_text_holds_nothing_that_hides_or_reorders(text: str) -> None:
    shown = plain(text)

    odd = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not [each for each in shown if unicodedata.category(each) in odd and each not in "\n\t"]
    assert all(each in shown for each in text if each.isascii() and each.isprintable())


def test_marks_name_what_they_stand_for() -> None:
    assert visible(marked("a\u202eb\u00a0c\ufe0f")) == "a U+202E b U+00A0 c U+FE0F"
    assert marked("<b>") == "&lt;b&gt;"
    assert plain("a\u202eb") == "a\\u{202e}b"


@given(st.lists(st.integers(min_value=0, max_value=2**63), max_size=100))
def test_bars_are_as_high_as_their_values(values: list[int]) -> None:
    drawn = bars(values)

    assert len(drawn) == len(values)
    for value, bar in zip(values, drawn, strict=True):
        assert 0 <= bar.height <= HEIGHT
        assert abs(bar.y + bar.height - HEIGHT) < 0.02
        assert (bar.height == HEIGHT) == (value > 0 and value == max(values)) or bar.height > HEIGHT * 0.99


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=3))
def test_parts_stay_on_their_line(whole: int, values: list[int]) -> None:
    laid = parts(whole, [(str(number), value) for number, value in enumerate(values)])

    assert sum(part.length for part in laid) <= 100.05
    assert all(0 <= part.start <= 100.05 for part in laid)


def test_spans_of_time_are_written_in_a_unit_that_is_easily_read() -> None:
    spans = [None, 0.0004, 0.91, 1.25, 61, 3_700, 90_000, -1]
    shown = ["\u2013", "0 ms", "910 ms", "1.2 s", "1 min 01 s", "1 h 01 min", "1 d 1 h", "0 ms"]
    assert [duration(span) for span in spans] == shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_throttle_counts_names_apart_and_an_address_over_all_names() -> None:
    clock = Clock()
    throttle = Throttle(clock)

    for _ in range(MAX_OF_NAME):
        assert throttle.wait_s("ann", "1") == 0
        throttle.tried("ann", "1")

    assert throttle.wait_s("ann", "1") == WINDOW_S
    assert throttle.wait_s("ann", "2") == 0
    assert throttle.wait_s("bob", "1") == 0
    for number in range(MAX_OF_ADDRESS - MAX_OF_NAME):
        throttle.tried(f"name {number}", "1")
    assert throttle.wait_s("bob", "1") > 0
    clock.now = WINDOW_S
    assert throttle.wait_s("ann", "1") == throttle.wait_s("bob", "1") == 0


def test_the_right_password_takes_its_try_back() -> None:
    throttle = Throttle(Clock())

    for _ in range(MAX_OF_ADDRESS * 2):
        throttle.tried("ann", "1")
        throttle.succeeded("ann", "1")

    assert throttle.wait_s("ann", "1") == 0
