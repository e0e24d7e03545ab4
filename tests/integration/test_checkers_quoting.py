"""Checkers quote what they read: no text may speak for them, hide what they say, or break who listens."""

import pytest

from patchmill.verify.checker import Checker, CheckerFailure, FileReport
from patchmill.verify.checkers.ruff import Ruff
from patchmill.verify.checkers.yamllint import Yamllint
from patchmill.verify.evidence import Check, CheckName, Result

FORGED = r"x\n1/app.yaml:1:1: [error] of the text (syntax)"


def reported(checker: Checker, path: str, *texts: str) -> list[FileReport]:
    if checker.missing() is not None:
        pytest.skip(f"{checker.name} is not installed")
    reports = checker.diagnose(list(texts), path=path, rules=[], settings={})
    assert not isinstance(reports, CheckerFailure)
    return reports


@pytest.mark.parametrize("key", [r"a\nb", r"a\r\nb", FORGED, FORGED.replace("1/", "7/", 1)])
def test_a_key_with_line_ends_neither_hides_a_problem_nor_makes_one(key: str) -> None:
    twice = f'"{key}": 1\n"{key}": 2\n'

    before, after = reported(Yamllint(), "app.yaml", twice, "a: 1\n")

    assert [(one.rule, one.start_line) for one in before.diagnostics] == [("key-duplicates", 2)]
    assert "\n" not in before.diagnostics[0].message
    assert (after.diagnostics, after.syntax_error) == ((), None)


@pytest.mark.parametrize(
    ("checker", "path", "text"),
    [
        (Yamllint(), "app.yaml", r"""{"x\0\e[2Jy": 1, "x\0\e[2Jy": 2}""" + "\n"),
        (Ruff(), "app.py", r"""x = "%(a)s" % {"a": 1, "b\0\33[2J": 2}""" + "\n"),
        (Ruff(), "app.py", r"""__all__ = ["x\0\33[2J"]""" + "\n"),
    ],
    ids=["yamllint", "ruff format", "ruff all"],
)
def test_what_is_quoted_can_be_stored_and_shown(checker: Checker, path: str, text: str) -> None:
    (report,) = reported(checker, path, text)

    (found,) = report.diagnostics
    assert found.message.isprintable()
    assert "\N{REPLACEMENT CHARACTER}" in found.message


def test_a_failure_and_a_check_can_be_stored_too() -> None:
    check = Check(check=CheckName.PARSES, result=Result.FAILED, detail="a\0b\x9b\ud800\tc\n")

    assert check.detail == "a\ufffdb\ufffd\ufffd\tc\n"
