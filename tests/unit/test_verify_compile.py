"""What Python refuses and ruff does not see."""

from pathlib import Path

import pytest

from patchmill.edit.span import Hunk
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.run import Verdict, verify_fix

SOURCE = "import os\n\n\ndef g(x):\n    return x == None, os\n"
FIX = "    return x is None, os\n"


def verify(lines: str, *, source: str = SOURCE, target: str | None = None) -> Verdict:
    line = len(source.splitlines())
    return verify_fix(
        source=source,
        path="app.py",
        language="python",
        findings=[
            Finding(
                index=0, tool="ruff", rule="E711", message="", severity="", start_line=line, end_line=line
            )
        ],
        proposals=[
            Hunk(
                start_line=line,
                end_line=line,
                original=source.splitlines(keepends=True)[-1],
                replacement=lines,
            )
        ],
        settings={"ruff": {"target-version": target}} if target else {},
        scope=None,
    )


@pytest.mark.parametrize(
    "lines",
    ["    nonlocal zz\n", "    await x\n", f"    x = x or {'9' * 5_000}\n", "    [await y for y in x]\n"],
    ids=["nonlocal", "await", "digits", "comprehension"],
)
def test_what_python_does_not_compile_is_refused_with_its_words(lines: str) -> None:
    verdict = verify(lines + FIX)

    assert verdict.findings[0][0] is FindingStatus.UNRESOLVED
    failed = {
        check.check: check.detail for check in verdict.refusals[0].checks if check.result is Result.FAILED
    }
    assert failed[CheckName.PARSES].startswith("line 5 of the edited file: ")
    assert "parses: line 5" in verdict.feedback


def test_a_source_that_never_compiled_is_judged_by_the_checker_alone() -> None:
    source = "def f():\n    nonlocal zz\n\n\ndef g(x):\n    return x == None\n"

    assert verify("    return x is None\n", source=source).findings == {0: (FindingStatus.VERIFIED, None)}


def test_what_only_a_later_python_can_parse_is_right_for_that_target() -> None:
    source = "def g(x):\n    return x == None\n"

    assert verify('    return f"{x["a"]}" is None\n', source=source, target="py314").groups
    assert not verify('    return f"{x["a"]}" is None\n', source=source, target="py310").groups


def test_nothing_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    verify(f"    x = open({str(mark)!r}, 'w')\n{FIX}open({str(mark)!r}, 'w')\n")

    assert not mark.exists()


def test_an_edit_that_is_too_much_for_the_parser_is_refused() -> None:
    verdict = verify("    x = " + "-" * 5_000 + "1\n" + FIX)

    assert verdict.groups == () or verdict.findings[0][0] is FindingStatus.VERIFIED
    deep = verify("    x = " + "(" * 300 + "1" + ")" * 300 + "\n" + FIX)
    assert deep.groups == ()
