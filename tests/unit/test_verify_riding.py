"""Edits that nobody asked for, beside edits that mend: none may ride along in a group that is offered."""

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.run import Verdict, verify_fix

SOURCE = """\
import os
import sys


def f(a=[]):
    a.append(sys.argv)
    return a


def h(q):
    return q + 1


def g(x):
    return x == None
"""


def finding(index: int, rule: str, line: int) -> Finding:
    return Finding(
        index=index, tool="ruff", rule=rule, message="", severity="", start_line=line, end_line=line
    )


def hunk(line: int, replacement: str, source: str = SOURCE) -> Hunk:
    original = split_lines(source)[line - 1]
    return Hunk(start_line=line, end_line=line, original=original, replacement=replacement)


def verify(findings: list[Finding], hunks: list[Hunk], source: str = SOURCE) -> Verdict:
    return verify_fix(
        source=source,
        path="app.py",
        language="python",
        findings=findings,
        proposals=hunks,
        settings={},
        scope=None,
    )


def offered(verdict: Verdict) -> list[list[int]]:
    return sorted([edit.start_line for edit in group.hunks] for group in verdict.groups)


def test_an_edit_that_nothing_needs_is_left_out_of_a_group_that_needs_each_other() -> None:
    edits = [
        hunk(1, "NONE = None\n"),
        hunk(5, "def f(a=NONE):\n"),
        hunk(11, "    return q - 1\n"),
    ]

    verdict = verify([finding(0, "F401", 1), finding(1, "B006", 5)], edits)

    assert offered(verdict) == [[1, 5]]
    assert [edit.start_line for refusal in verdict.refusals for edit in refusal.hunks] == [11]


@pytest.mark.parametrize("count", [1, 5, 14, 40])
def test_no_number_of_other_edits_gets_by_beside_two_that_need_each_other(count: int) -> None:
    others = "".join(f"def h{number}(q):\n    return q + {number}\n\n\n" for number in range(count))
    source = f"NONE = 0\n\n\ndef g(x):\n    return x == None\n\n\n{others}"
    edits = [hunk(1, "NONE = None\n", source), hunk(5, "    return x is None\n", source)]
    edits += [hunk(9 + 4 * number, f"    return q - {number}\n", source) for number in range(count)]

    verdict = verify([finding(0, "E711", 5)], edits, source)

    assert all(line <= 5 for lines in offered(verdict) for line in lines)
    assert {edit.start_line for refusal in verdict.refusals for edit in refusal.hunks} >= set(
        range(9, 9 + 4 * count, 4)
    )


def test_of_too_many_edits_to_try_those_that_touch_no_finding_are_refused() -> None:
    source = "".join(f"def f{number}(a=[]):\n    return a + [{number}]\n\n\n" for number in range(120))
    findings = [finding(number, "B006", 4 * number + 1) for number in range(120)]
    edits = [hunk(4 * number + 1, f"def f{number}(a=()):\n", source) for number in range(120)]
    flips = [hunk(4 * number + 2, f"    return a * [{number}]\n", source) for number in range(120)]

    verdict = verify(findings, edits + flips, source)

    assert {status for status, _ in verdict.findings.values()} == {FindingStatus.VERIFIED}
    assert all(line % 4 == 1 for lines in offered(verdict) for line in lines)
    assert len({edit.start_line for refusal in verdict.refusals for edit in refusal.hunks}) == 120
