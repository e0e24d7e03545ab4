"""Tools' own fixes, taken together: what the worker's stage makes of a report, with the real linters."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import ruff
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.edit.apply import apply_hunks
from patchmill.job.record import Finding, FindingStatus, KindName, Options, Task, ToolEdit, ToolFix
from patchmill.kinds.languages import language_of
from patchmill.reports import rdjson, ruff_json, sarif
from patchmill.reports.report import Reported
from patchmill.reports.selection import Filter, select
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.run import Verdict
from patchmill.verify.verdict import NOTHING
from worker.stages import stage_for

VERIFIED, UNCHECKED, UNRESOLVED = FindingStatus.VERIFIED, FindingStatus.UNCHECKED, FindingStatus.UNRESOLVED
RULES = "I,F,UP,SIM,C4,PIE,RUF"
UNSORTED = "import sys\nimport os\nimport json\nimport abc\n\nprint(json, abc)\n"


def linted(source: str, rules: str, form: str) -> str:
    """Lint as a user would."""
    words = ["check", "--isolated", "--no-cache", "--select", rules, "--output-format", form]
    done = subprocess.run(
        [ruff.find_ruff_bin(), *words, "--stdin-filename", "app.py", "-"],
        input=source.encode(),
        capture_output=True,
        check=False,
    )
    return done.stdout.decode()


def report(source: str, rules: str = RULES) -> list[dict[str, Any]]:
    """Lint as a user would, and give ruff's JSON."""
    found: list[dict[str, Any]] = json.loads(linted(source, rules, "json"))
    return [{**one, "filename": "app.py"} for one in found]


def task(source: str, findings: Sequence[Finding], path: str = "app.py") -> Task:
    language = language_of(path) or ""
    return Task(kind=KindName.FIX, path=path, language=language, source=source, findings=tuple(findings))


def reported(source: str, rules: str = RULES) -> Task:
    return read(source, ruff_json.read(json.dumps(report(source, rules))))


def read(source: str, findings: Iterator[Reported]) -> Task:
    selection = select(
        [[replace(one, name="app.py") for one in findings]], {"app.py": source}, None, Filter.NOFILTER
    )
    return task(source, selection.files.get("app.py", ()))


def mended(of: Task, *, contested: bool = True) -> Verdict:
    return stage_for(of).own_fixes((), contested=contested)


def text_of(source: str, verdict: Verdict) -> str:
    return apply_hunks(source, [hunk for group in verdict.groups for hunk in group.hunks])


def finding(index: int, line: int, *edits: tuple[int, int, int, int, str], **more: Any) -> Finding:
    """A finding of a tool that nobody here knows, with a safe fix of these edits."""
    tool_edits = tuple(
        ToolEdit(start_line=start, start_column=column, end_line=end, end_column=end_column, text=text)
        for start, column, end, end_column, text in edits
    )
    fields: dict[str, Any] = {"tool": "other", "rule": f"X{index}", "message": "found", "severity": "warning"}
    return Finding(
        index=index,
        start_line=line,
        end_line=line,
        fixes=(ToolFix(safe=True, edits=tool_edits),) if edits else (),
        **{**fields, **more},
    )


def test_sorting_imports_and_removing_unused_ones_is_all_mended() -> None:
    verdict = mended(reported(UNSORTED))

    assert {status for status, _ in verdict.findings.values()} == {VERIFIED}
    assert text_of(UNSORTED, verdict) == "import abc\nimport json\n\nprint(json, abc)\n"
    (group,) = verdict.groups
    assert group.findings == (0, 1, 2)
    assert len(group.hunks) == 1
    assert verdict.refusals == ()
    assert (CheckName.FINDING_GONE, Result.PASSED) in {(check.check, check.result) for check in group.checks}


def test_fixes_that_do_not_meet_stay_suggestions_of_their_own() -> None:
    source = "import os\nimport sys\n\n\ndef f(x):\n    return dict([(a, 1) for a in x])\n"

    verdict = mended(reported(source, "F401"))

    assert [(group.hunks[0].start_line, group.findings) for group in verdict.groups] == [(1, (0,)), (2, (1,))]


def test_each_of_many_fixes_is_a_suggestion_of_its_own() -> None:
    source = "".join(f"import module_{number}\n" for number in range(190))

    assert len(mended(reported(source, "F401")).groups) == 190


def test_fixes_within_one_line_are_taken_one_after_the_other() -> None:
    source = "x = 1\nif not x == 2:\n    print('{}'.format(x), str('a'))\n"
    of = reported(source, "UP,SIM")

    verdict = mended(of)

    safe = {one.index for one in of.findings if any(fix.safe for fix in one.fixes)}
    assert len(safe) > 1
    assert {index for group in verdict.groups for index in group.findings} == safe


def script(*edits: tuple[int, int, int, int, str]) -> Task:
    """Findings that oxlint reproduces, of whose fixes only the report tells."""
    source = "export function same(y, z) {\n  var x = y == z;\n  return x;\n}\n"
    findings = [
        finding(number, 2, edit, tool="eslint", rule=rule)
        for number, (rule, edit) in enumerate(zip(("no-var", "eqeqeq"), edits, strict=True))
    ]
    return task(source, findings, "app.js")


def test_fixes_apart_from_each_other_in_one_line_go_together() -> None:
    of = script((2, 3, 2, 6, "const"), (2, 13, 2, 15, "==="))

    verdict = mended(of)

    assert verdict.findings == {0: (VERIFIED, None), 1: (VERIFIED, None)}
    assert "  const x = y === z;\n" in text_of(of.source, verdict)


def test_a_fix_in_the_way_of_another_is_named_as_the_reason() -> None:
    of = script((2, 3, 2, 6, "const"), (2, 3, 2, 17, "const x = y === z"))

    verdict = mended(of)

    assert verdict.findings == {0: (VERIFIED, None), 1: (UNRESOLVED, "overlap")}


def test_a_fix_is_for_its_own_finding_and_not_for_the_nearest() -> None:
    source = "package a\n\nvar x = 1\n\n\n\n\nvar y = 2\n"
    findings = [finding(0, 8, (3, 9, 3, 10, "3")), finding(1, 3)]

    assert mended(task(source, findings, "app.go"), contested=False).groups == ()
    verdict = mended(task(source, findings, "app.go"))
    assert [(group.status, group.findings) for group in verdict.groups] == [(UNCHECKED, (0,))]


def test_the_parts_of_an_unchecked_fix_are_one_group() -> None:
    source = "package a\n\nvar x = 1\n\nvar y = x\n"
    findings = [finding(0, 3, (3, 5, 3, 6, "z"), (5, 9, 5, 10, "z"))]

    verdict = mended(task(source, findings, "app.go"))

    assert [len(group.hunks) for group in verdict.groups] == [2]


# Of F401, I001 and UP032 the fixes are safe here, of B006, F841 and EM101 not; EM101's text does not say so.
MIXED = (
    "import sys\nimport os\n\n\ndef f(name, items=[]):\n    unused = 1\n    print('{}'.format(name), sys)\n"
    "    raise ValueError('no')\n"
)
MIXED_RULES = "F401,F841,I001,UP032,B006,EM101"


@pytest.mark.parametrize(("form", "reader"), [("sarif", sarif.read), ("rdjson", rdjson.read)])
def test_a_report_that_cannot_tell_safe_fixes_gets_the_same_as_one_that_can(
    form: str, reader: Callable[[str], Iterator[Reported]]
) -> None:
    of = read(MIXED, reader(linted(MIXED, MIXED_RULES, form)))
    assert not any(fix.safe for one in of.findings for fix in one.fixes)

    told, known = mended(of), mended(reported(MIXED, MIXED_RULES))

    fates = {one.rule: told.findings[one.index][0] for one in of.findings}
    verified = dict.fromkeys(["F401", "I001", "UP032"], VERIFIED)
    assert fates == {**verified, **dict.fromkeys(["F841", "B006", "EM101"], UNRESOLVED)}
    assert (told.groups, told.findings) == (known.groups, known.findings)


def unused(line: int) -> Finding:
    return finding(0, line, tool="ruff", rule="unused-import")


def test_a_finding_without_any_fix_gets_the_checkers_own() -> None:
    verdict = mended(task(UNSORTED, [unused(1)]))

    assert verdict.findings == {0: (VERIFIED, None)}
    assert text_of(UNSORTED, verdict) == UNSORTED.removeprefix("import sys\n")


def test_a_fix_of_the_checkers_is_for_a_finding_that_it_reproduces_under_the_jobs_settings() -> None:
    ignored = replace(task(UNSORTED, [unused(1)]), checkers={"ruff": {"ignore": ["F401"]}})

    assert mended(ignored) == mended(task(UNSORTED, [unused(6)])) == NOTHING


def test_no_tools_fix_is_tried_where_the_job_says_so() -> None:
    without = replace(task(UNSORTED, [unused(1)]), options=Options(tool_fixes=False))

    assert mended(without).groups == ()


_PIECES = st.sampled_from(
    [
        "import os",
        "import sys",
        "import json, re",
        "from typing import List, Dict",
        "from os import path, getcwd",
        "import abc as a",
        "",
        "x = 1",
        "y: List[int] = list([1])",
        "print(json, path)",
        "z = dict(); print('%s' % z)",
        "if not x == 1:\n    pass\n    print('{}'.format(x))",
        "class A(object):\n    pass",
    ]
)


@pytest.mark.slow
@settings(max_examples=15)
@given(pieces=st.lists(_PIECES, min_size=1, max_size=9), end=st.sampled_from(["", "\n"]))
def test_applying_all_that_is_offered_lints_clean_of_what_it_claims(pieces: list[str], end: str) -> None:
    source = "\n".join(pieces) + end
    of = reported(source)

    verdict = mended(of)

    claimed = {index for group in verdict.groups for index in group.findings}
    assert claimed == {index for index, (status, _) in verdict.findings.items() if status is VERIFIED}
    text = text_of(source, verdict)
    before, after = Counter(rules(report(source))), Counter(rules(report(text)))
    assert not after - before
    gone = Counter(one.rule for one in of.findings if one.index in claimed)
    assert all(after[rule] <= before[rule] - number for rule, number in gone.items())
    _nothing_free_is_left(of, verdict, text)


def _nothing_free_is_left(of: Task, verdict: Verdict, text: str) -> None:
    """What the tool could still mend by itself was told to be in the way of something, or to fail a check."""
    free = [one for one in report(text) if one["fix"] and one["fix"]["applicability"] == "safe"]
    safe = {one.index for one in of.findings if any(fix.safe for fix in one.fixes)}
    left = {index for index in safe if verdict.findings and verdict.findings[index][0] is UNRESOLVED}
    assert not left or all(verdict.findings[index][1] != "no_edit" for index in left) or not free


def rules(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [one["code"] or "syntax" for one in found]
