import importlib.util
import json
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Annotation
from patchmill.kinds.checker_settings import settings_errors
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.mypy_hints import check_hints
from patchmill.verify.run import Verdict, verify_annotate

SOURCE = """\
def f(a=1):
    return a


def g():
    return "x"
"""
WITH_MYPY: Mapping[str, Any] = {"mypy": {}}


def hunk(line: int, replacement: str) -> Hunk:
    original = split_lines(SOURCE)[line - 1]
    return Hunk(start_line=line, end_line=line, original=original, replacement=replacement)


def verify(*proposals: Hunk, settings: Mapping[str, Any] = WITH_MYPY) -> Verdict:
    return verify_annotate(
        source=SOURCE,
        path="app.py",
        what=frozenset({Annotation.TYPES}),
        proposals=proposals,
        settings=settings,
        scope=None,
    )


def agreement(source: str, edited: str, **settings: Any) -> Check:
    (check,) = check_hints(source, [edited], {"mypy": {}, **settings})
    return check


def test_a_hint_that_contradicts_the_code_is_refused_with_the_words_of_mypy() -> None:
    verdict = verify(hunk(1, "def f(a: str = 1):\n"), hunk(5, "def g() -> str:\n"))

    assert [[each.start_line for each in group.hunks] for group in verdict.groups] == [[5]]
    check = verdict.groups[0].checks[-1]
    assert (check.check, check.result) == (CheckName.HINTS_AGREE, Result.PASSED)
    assert check.detail == "mypy: 0 errors, 0 in the source"
    (refused,) = verdict.refusals
    assert refused.checks[-1].result is Result.FAILED
    assert "line 1: Incompatible default" in refused.checks[-1].detail
    assert "Incompatible default" in verdict.feedback


def test_without_a_wish_for_mypy_it_says_nothing() -> None:
    verdict = verify(hunk(5, "def g() -> int:\n"), settings={})

    assert [check.check for check in verdict.groups[0].checks][-1] is not CheckName.HINTS_AGREE


def test_where_mypy_is_not_installed_the_evidence_says_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_mypy(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "mypy" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_mypy)
    check = verify(hunk(5, "def g() -> str:\n")).groups[0].checks[-1]

    assert (check.check, check.result) == (CheckName.HINTS_AGREE, Result.SKIPPED)
    assert check.detail == "mypy is not installed here: the extra patchmill[mypy] brings it"


def test_errors_that_the_source_has_are_no_fault_of_the_hint() -> None:
    source = "x: int = 'a'\n\n\ndef f():\n    return 1 + 'b'\n\n\ndef g():\n    return 1\n"

    assert agreement(source, source.replace("g():", "g() -> int:")).result is Result.PASSED


def test_a_hint_that_was_wished_for_makes_no_room_for_an_error() -> None:
    source = "x = []\n\n\ndef f():\n    return 1\n"
    edited = source.replace("x =", "x: list[int] =").replace("f():", "f() -> str:")

    assert agreement(source, edited).result is Result.FAILED


def test_what_a_file_tells_mypy_in_comments_is_not_obeyed() -> None:
    source = "# mypy: ignore-errors\ndef f():\n    return 1\n"

    assert agreement(source, source.replace("f():", "f() -> str:")).result is Result.FAILED


def test_imports_that_are_not_here_are_no_errors() -> None:
    source = "import lib_of_others\nfrom .a import b\nfrom ..c import d\n\n\ndef f():\n    return b, d\n"
    edited = source.replace("f():", "f() -> tuple[object, object]:")

    assert agreement(source, edited).detail == "mypy: 0 errors, 0 in the source"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Result.FAILED),
        ({"mypy": {"implicit-optional": True}}, Result.PASSED),
        ({"mypy": {"disable-error-code": ["assignment"]}}, Result.PASSED),
        ({"mypy": {"strict-optional": False}}, Result.PASSED),
    ],
)
def test_settings_of_the_request_reach_mypy(settings: Mapping[str, Any], expected: Result) -> None:
    source = "def f(a=None):\n    return a\n"

    assert agreement(source, source.replace("a=", "a: int ="), **settings).result is expected


def test_the_target_version_of_the_request_is_the_one_mypy_reads_for() -> None:
    source = "import tomllib\n\n\ndef f(a):\n    return tomllib.loads(a)\n"
    edited = source.replace("a)", "a: int)", 1)

    assert agreement(source, edited, ruff={"target-version": "py310"}).result is Result.PASSED
    assert agreement(source, edited, ruff={"target-version": "py312"}).result is Result.FAILED


def test_a_source_that_mypy_cannot_read_is_skipped_in_plain_words() -> None:
    check = agreement("def f(:\n", "def f(:\n")

    assert check.result is Result.SKIPPED
    assert check.detail.startswith("mypy gave no answer")


def test_nothing_is_left_behind_and_no_configuration_beside_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_errors = true\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYPY_CONFIG_FILE_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = "def f():\n    return 1\n"

    assert agreement(source, source.replace("f():", "f() -> str:")).result is Result.FAILED
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mypy.ini"]
    assert list(tmp_path.glob("*/*")) == []


@pytest.mark.parametrize(
    ("settings", "pointers"),
    [
        ({}, []),
        ({"strict-optional": True, "disable-error-code": ["union-attr"]}, []),
        ({"plugins": ["evil"]}, ["/mypy/plugins"]),
        ({"disable-error-code": ["--plugin"]}, ["/mypy/disable-error-code"]),
        ({"config-file": "x"}, ["/mypy/config-file"]),
    ],
)
def test_settings_of_mypy_are_an_allow_list(settings: Mapping[str, Any], pointers: list[str]) -> None:
    assert [pointer for pointer, _ in settings_errors({"mypy": json.loads(json.dumps(settings))})] == pointers
