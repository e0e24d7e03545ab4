import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.span import Hunk
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.guards.invisible import no_invisible
from patchmill.verify.run import Verdict, verify_fix

# Marks of direction, zero widths, tags, selectors, fillers: what hides text or passes for none.
HIDING = (
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200c\u200d\u200e\u200f\u061c\u2060\ufeff"
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180e\u2028\u2029\u2062\u206f\u2800\u3164\uffa0\ufe00\ufe01\ufe0f"
    "\ufff0\U000e0001\U000e0041\U000e0100\U000e01ef\ue000\U000f0000\U0001d173\x00\x07\x08\x0b\x0c\x1b\x7f\x85\x9b"
)


def change(before: str, after: str, source: str | None = None) -> Check:
    hunk = Hunk(start_line=1, end_line=1, original=before, replacement=after)
    return no_invisible([hunk], source=source or before)


@pytest.mark.parametrize("character", HIDING, ids=lambda character: f"{ord(character):04X}")
@pytest.mark.parametrize(
    "line", ["x = 1  # a{}b\n", 'x = "a{}b"\n', "x{} = 1\n"], ids=["comment", "text", "name"]
)
def test_what_hides_is_refused_and_named_wherever_it_stands(line: str, character: str) -> None:
    check = change("x = 0\n", line.format(character))

    assert (check.check, check.result) == (CheckName.NO_INVISIBLE, Result.FAILED)
    assert f"U+{ord(character):04X}" in check.detail
    assert check.detail.isprintable()


def test_every_control_and_format_character_of_unicode_is_refused() -> None:
    hidden = [
        chr(number)
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number)) in {"Cc", "Cf"} and chr(number) not in "\t\r\n"
    ]

    assert len(hidden) > 200
    assert [one for one in hidden if change("x\n", f"x{one}\n").result is Result.PASSED] == []


@pytest.mark.parametrize(
    "line",
    [
        'greeting = "\u05e9\u05dc\u05d5\u05dd\u200f"\n',  # right to left, with its mark
        'sign = "\u2764\ufe0f \U0001f468\u200d\U0001f469\u200d\U0001f467"\n',  # emoji of several characters
        'name = "\u0646\u0627\u0645\u0647\u200c\u0647\u0627"\n',  # a Persian plural
        "\x0cclass A:\n",
        "\ufeffimport os\n",
    ],
)
def test_what_stands_in_the_lines_may_stay_and_go_but_not_grow(line: str) -> None:
    assert change(line, f"{line}x = 1\n").result is Result.PASSED
    assert change(line, "x = 1\n").result is Result.PASSED
    assert change(line, line + line).result is Result.FAILED


def test_visible_text_of_any_script_may_be_written() -> None:
    words = "\u041f\u0440\u0438 \u4f60\u597d \u0645\u0631\u062d gr\u00fc\u00dfe \U0001f600 \u20ac\n"

    assert change("x\n", f"# {words}").result is Result.PASSED


def test_a_carriage_return_alone_needs_a_file_that_has_such_lines() -> None:
    assert change("x\n", "x = 1 # \ry\n").result is Result.FAILED
    assert change("x\r\n", "y\r\nz\r\n").result is Result.PASSED
    assert change("x\r", "y\rz\r", source="a\rx\r").result is Result.PASSED


@given(before=st.text(), after=st.text())
def test_text_that_brings_nothing_new_of_the_kind_always_passes(before: str, after: str) -> None:
    seen = "".join(one for one in after if one.isprintable())

    assert change(before, before).result is Result.PASSED
    assert change(before, "".join(one for one in seen if one.isascii())).result is Result.PASSED


def test_a_megabyte_is_looked_through_in_a_moment() -> None:
    began = time.process_time()

    change("x\n", "\u4f60\u597d" * 500_000)

    assert time.process_time() - began < 5


SOURCE = "def g(x):\n    return x == None\n"


def verify(replacement: str, *place: str) -> Verdict:
    language, path, source, tool, rule = place
    found = Finding(index=0, tool=tool, rule=rule, message="", severity="", start_line=2, end_line=2)
    original = source.splitlines(keepends=True)[1]
    return verify_fix(
        source=source,
        path=path,
        language=language,
        findings=[found],
        proposals=[Hunk(start_line=2, end_line=2, original=original, replacement=replacement)],
        settings={},
        scope=None,
    )


@pytest.mark.parametrize(
    ("place", "replacement"),
    [
        (("python", "a.py", SOURCE, "ruff", "E711"), "    return x is None  # a\u200bb\n"),
        (("javascript", "a.js", "{ f();\ndebugger;\n}\n", "oxlint", "no-debugger"), "// \u202e\u2066 x\n"),
        (("go", "a.go", "package main\nvar a = 1\n", "golint", "x"), "var a = 2 // \u202e\n"),
    ],
    ids=["python", "javascript", "go"],
)
def test_a_fix_that_hides_something_is_never_offered_in_any_language(
    place: tuple[str, ...], replacement: str
) -> None:
    verdict = verify(replacement, *place)

    assert verdict.groups == ()
    failed = [check.check for check in verdict.refusals[0].checks if check.result is Result.FAILED]
    assert CheckName.NO_INVISIBLE in failed
    assert verdict.findings[0][0] is not FindingStatus.VERIFIED
