import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.run import Group, Verdict, verify_fix
from patchmill.verify.verdict import Refusal

SOURCE = """\
import os
import sys

x = 1
y = 2
z = 3


def f(a=[]):
    return a


def g(b={}):
    return b, sys
"""
DEFAULT_F = "def f(a=None):\n    return a or []\n"
VERIFIED, UNCHECKED, UNRESOLVED = FindingStatus.VERIFIED, FindingStatus.UNCHECKED, FindingStatus.UNRESOLVED


def finding(
    index: int, rule: str, line: int, *, tool: str = "ruff", end_line: int | None = None, **more: Any
) -> Finding:
    return Finding(
        index=index,
        tool=tool,
        rule=rule,
        message=more.pop("message", ""),
        severity="warning",
        start_line=line,
        end_line=end_line or line,
        **more,
    )


def hunk(start_line: int, end_line: int, replacement: str, source: str = SOURCE) -> Hunk:
    original = "".join(split_lines(source)[start_line - 1 : end_line])
    return Hunk(start_line=start_line, end_line=end_line, original=original, replacement=replacement)


def verify(
    findings: Sequence[Finding],
    proposals: Sequence[Hunk],
    *,
    source: str = SOURCE,
    path: str = "app.py",
    settings: Mapping[str, Any] | None = None,
    scope: tuple[int, int] | None = None,
    accepted: Sequence[Group] = (),
) -> Verdict:
    return verify_fix(
        language="python",
        source=source,
        path=path,
        findings=findings,
        proposals=proposals,
        settings=settings or {},
        scope=scope,
        accepted=accepted,
    )


def results(checked: Group | Refusal) -> dict[CheckName, Result]:
    return {check.check: check.result for check in checked.checks}


def failed(refusal: Refusal) -> list[CheckName]:
    return [check.check for check in refusal.checks if check.result is Result.FAILED]


def test_a_reproduced_finding_that_is_gone_is_verified_with_all_its_evidence() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, DEFAULT_F)])

    (group,) = verdict.groups
    assert (group.status, group.findings) == (VERIFIED, (0,))
    assert [(check.check, check.result) for check in group.checks] == [
        (CheckName.APPLIES, Result.PASSED),
        (CheckName.IN_SCOPE, Result.PASSED),
        (CheckName.PARSES, Result.PASSED),
        (CheckName.REPRODUCED, Result.PASSED),
        (CheckName.FINDING_GONE, Result.PASSED),
        (CheckName.NOTHING_NEW, Result.PASSED),
        (CheckName.NO_SUPPRESSION, Result.PASSED),
        (CheckName.NO_NEW_IMPORT, Result.PASSED),
        (CheckName.NO_INVISIBLE, Result.PASSED),
    ]
    assert verdict.findings == {0: (VERIFIED, None)}
    assert (verdict.refusals, verdict.feedback) == ((), "")


def test_independent_edits_are_groups_of_their_own_in_the_order_of_the_file() -> None:
    findings = [finding(0, "B006", 9), finding(1, "F401", 1), finding(2, "B006", 13)]
    edits = [hunk(13, 14, "def g(b=None):\n    return b, sys\n"), hunk(9, 10, DEFAULT_F), hunk(1, 1, "")]

    verdict = verify(findings, edits)

    assert [group.findings for group in verdict.groups] == [(1,), (0,), (2,)]
    assert {status for status, _ in verdict.findings.values()} == {VERIFIED}


def test_a_finding_may_be_named_by_its_rule_name() -> None:
    verdict = verify([finding(0, "unused-import", 1)], [hunk(1, 1, "")])

    assert verdict.findings == {0: (VERIFIED, None)}


def test_a_rule_that_the_settings_turn_off_is_not_reproduced() -> None:
    verdict = verify(
        [finding(0, "B006", 9)], [hunk(9, 10, DEFAULT_F)], settings={"ruff": {"ignore": ["B006"]}}
    )

    (group,) = verdict.groups
    assert (group.status, group.findings) == (UNCHECKED, (0,))
    assert results(group)[CheckName.REPRODUCED] is Result.FAILED
    assert results(group)[CheckName.FINDING_GONE] is Result.SKIPPED
    assert verdict.findings == {0: (UNCHECKED, "not_reproduced")}
    assert verdict.feedback == ""


def test_a_finding_that_is_not_there_is_not_reproduced() -> None:
    verdict = verify([finding(0, "B006", 4)], [hunk(4, 4, "x = 7\n")])

    assert verdict.findings == {0: (UNCHECKED, "not_reproduced")}
    assert [group.status for group in verdict.groups] == [UNCHECKED]


def test_settings_decide_what_is_reproduced() -> None:
    source = "x = '" + "a" * 90 + "'\n"
    edit = hunk(1, 1, f"x = (\n    '{'a' * 30}'\n    '{'a' * 60}'\n)\n", source)

    long = verify([finding(0, "E501", 1)], [edit], source=source, settings={"ruff": {"line-length": 80}})
    short = verify([finding(0, "E501", 1)], [edit], source=source, settings={"ruff": {"line-length": 120}})

    assert long.findings == {0: (VERIFIED, None)}
    assert short.findings == {0: (UNCHECKED, "not_reproduced")}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (finding(0, "B006", 9, tool="semgrep"), "no_checker"),
        (finding(0, "XYZ123", 9), "unknown_rule"),
        (finding(0, "ANN101", 9), "unknown_rule"),
    ],
)
def test_what_no_checker_can_judge_is_unchecked(found: Finding, reason: str) -> None:
    verdict = verify([found], [hunk(9, 10, DEFAULT_F)])

    assert verdict.findings == {0: (UNCHECKED, reason)}
    assert [(group.status, group.findings) for group in verdict.groups] == [(UNCHECKED, (0,))]


def test_an_edit_for_an_uncheckable_finding_must_still_parse_and_bring_nothing_new() -> None:
    found = finding(0, "rule", 9, tool="semgrep")

    broken = verify([found], [hunk(9, 9, "def f(a=[]:\n")])
    worse = verify([found], [hunk(9, 10, "def f(a):\n    return unknown\n")])

    assert failed(broken.refusals[0]) == [CheckName.PARSES]
    assert CheckName.NOTHING_NEW in failed(worse.refusals[0])
    assert broken.feedback
    assert worse.feedback


def test_a_file_in_an_unknown_language_gets_no_groups() -> None:
    verdict = verify(
        [finding(0, "no-var", 1, tool="eslint")],
        [hunk(1, 1, "let x;\n", "var x;\n")],
        source="var x;\n",
        path="app.js",
    )

    assert verdict.groups == ()
    assert verdict.findings == {0: (UNCHECKED, "no_checker")}


def test_a_new_finding_is_refused_and_named_in_the_feedback() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, "def f(a=None):\n    return a or default\n")])

    (refusal,) = verdict.refusals
    assert failed(refusal) == [CheckName.NOTHING_NEW]
    assert verdict.findings == {0: (UNRESOLVED, "nothing_new")}
    assert "F821" in verdict.feedback
    assert "10 |     return a or default" in verdict.feedback


@pytest.mark.parametrize(
    "line",
    [
        "    a = a or eval(x)\n",
        '    sys.modules["os"].system("x")\n',
        "    a = a or os.system(x)\n",
        "    exec(x)\n",
    ],
)
def test_running_data_as_code_is_new_whatever_was_reported(line: str) -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, f"def f(a=None):\n{line}    return a or []\n")])

    if "sys.modules" in line:  # what no rule knows is beyond this
        assert verdict.groups
        return
    assert CheckName.NOTHING_NEW in failed(verdict.refusals[0])
    assert verdict.findings == {0: (UNRESOLVED, "nothing_new")}


def test_a_finding_that_stays_is_unresolved() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 9, "def f(a=[1]):\n")])

    assert failed(verdict.refusals[0]) == [CheckName.FINDING_GONE]
    assert verdict.findings == {0: (UNRESOLVED, "finding_gone")}
    assert "9 | def f(a=[]):" in verdict.feedback


def test_a_finding_that_only_moved_is_not_gone() -> None:
    source = "def f(a=[]):\n    return a\n\n\ndef g():\n    return f()\n"
    moved = [hunk(1, 2, "", source), hunk(7, 6, "\n\ndef f(a=[]):\n    return a\n", source)]

    verdict = verify([finding(0, "B006", 1)], moved, source=source)

    assert verdict.groups == ()
    assert verdict.findings[0][0] is UNRESOLVED


def test_of_two_findings_on_one_line_the_one_that_is_gone_is_known() -> None:
    source = "import os, re, sys\nre\n"
    findings = [
        finding(0, "F401", 1, message="`os` imported but unused", start_column=8, end_column=10),
        finding(1, "F401", 1, message="`sys` imported but unused", start_column=16, end_column=19),
    ]

    verdict = verify(findings, [hunk(1, 1, "import os, re\n", source)], source=source)

    assert [group.findings for group in verdict.groups] == [(1,)]
    assert verdict.findings[0][0] is UNRESOLVED


def test_columns_that_are_a_little_off_do_not_matter() -> None:
    verdict = verify([finding(0, "B006", 9, start_column=7, end_column=8)], [hunk(9, 10, DEFAULT_F)])

    assert verdict.findings == {0: (VERIFIED, None)}


def test_a_message_that_only_changes_its_numbers_is_neither_gone_nor_new() -> None:
    body = "".join(f"    if a == {number}:\n        return {number}\n" for number in range(12))
    source = f"import os\n\n\ndef f(a):\n{body}    return None\n"
    findings = [finding(0, "C901", 4), finding(1, "F401", 1)]

    simpler = verify(findings, [hunk(5, 6, "", source)], source=source)
    other = verify(findings, [hunk(1, 1, "", source)], source=source)

    assert simpler.findings[0] == (UNRESOLVED, "finding_gone")
    assert other.findings[1] == (VERIFIED, None)


@pytest.mark.parametrize(
    "comment", ["# noqa", "# noqa: B006", "# ruff: noqa", "# type: ignore", "# ruff: ignore[B006]"]
)
def test_silencing_a_finding_is_refused(comment: str) -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 9, f"def f(a=[]):  {comment}\n")])

    assert verdict.groups == ()
    assert CheckName.FINDING_GONE in failed(verdict.refusals[0])
    assert CheckName.NO_SUPPRESSION in failed(verdict.refusals[0])


def test_a_suppression_added_beside_a_real_fix_is_refused() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, "def f(a=None):  # noqa\n    return a or []\n")])

    assert failed(verdict.refusals[0]) == [CheckName.NO_SUPPRESSION]
    assert verdict.findings == {0: (UNRESOLVED, "no_suppression")}


def test_a_suppression_in_the_source_hides_nothing() -> None:
    source = "def f(a=[]):  # noqa\n    return a\n"

    verdict = verify([finding(0, "B006", 1)], [hunk(1, 1, "def f(a=()):  # noqa\n", source)], source=source)

    assert verdict.findings == {0: (VERIFIED, None)}


def test_an_edit_that_does_not_parse_is_refused_with_the_checkers_words() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 9, "def f(a=None:\n")])

    assert failed(verdict.refusals[0]) == [CheckName.PARSES]
    assert verdict.findings == {0: (UNRESOLVED, "parses")}
    assert "9 | def f(a=None:" in verdict.feedback


def test_a_syntax_error_can_be_the_finding() -> None:
    source = "def f(:\n    return undefined\n"

    verdict = verify([finding(0, "invalid-syntax", 1)], [hunk(1, 1, "def f():\n", source)], source=source)

    assert verdict.findings == {0: (VERIFIED, None)}
    assert results(verdict.groups[0])[CheckName.NOTHING_NEW] is Result.SKIPPED


def test_edits_outside_the_scope_are_refused() -> None:
    findings = [finding(0, "B006", 9), finding(1, "F401", 1)]

    verdict = verify(findings, [hunk(9, 10, DEFAULT_F), hunk(1, 1, "")], scope=(8, 12))

    assert verdict.findings == {0: (VERIFIED, None), 1: (UNRESOLVED, "in_scope")}
    assert failed(verdict.refusals[0]) == [CheckName.IN_SCOPE]


def test_a_hunk_that_was_made_from_another_source_is_refused() -> None:
    wrong = Hunk(start_line=9, end_line=9, original="def f(b):\n", replacement="def f():\n")

    verdict = verify([finding(0, "B006", 9)], [wrong])

    assert failed(verdict.refusals[0]) == [CheckName.APPLIES]
    assert verdict.findings == {0: (UNRESOLVED, "applies")}


def test_an_import_and_its_use_are_one_group() -> None:
    source = (
        "import json\n\n\ndef f(path):\n    try:\n        g(path)\n    except OSError:\n        pass\n"
        "\n\ndef g(p):\n    json.load(p)\n"
    )
    use = "    with contextlib.suppress(OSError):\n        g(path)\n"

    verdict = verify(
        [finding(0, "SIM105", 5, end_line=8)],
        [hunk(1, 0, "import contextlib\n", source), hunk(5, 8, use, source)],
        source=source,
    )

    (group,) = verdict.groups
    assert len(group.hunks) == 2
    assert (group.status, group.findings) == (VERIFIED, (0,))
    assert verdict.feedback == ""


def test_a_useless_edit_does_not_ride_along() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, DEFAULT_F), hunk(5, 5, "y = 4\n")])

    assert [[edit.start_line for edit in group.hunks] for group in verdict.groups] == [[9]]
    assert [edit.start_line for edit in verdict.refusals[0].hunks] == [5]


def test_one_bad_edit_does_not_spoil_others_that_need_each_other() -> None:
    use = hunk(9, 10, "def f(a=None):\n    return a or copy.copy(x)\n")
    edits = [hunk(3, 2, "import copy\n"), use, hunk(5, 5, "y = unknown\n")]

    verdict = verify([finding(0, "B006", 9)], edits)

    assert [[edit.start_line for edit in group.hunks] for group in verdict.groups] == [[3, 9]]
    assert verdict.findings == {0: (VERIFIED, None)}


def test_groups_that_pass_alone_but_not_together_are_reduced_to_what_does() -> None:
    source = "import os\nimport os\n\n\ndef f(a=[]):\n    return a, os\n"
    findings = [finding(0, "F811", 2), finding(1, "B006", 5)]
    edits = [
        hunk(1, 1, "", source),
        hunk(2, 2, "", source),
        hunk(5, 6, "def f(a=None):\n    return a or [], os\n", source),
    ]

    verdict = verify(findings, edits, source=source)

    assert [group.findings for group in verdict.groups] == [(0,), (1,)]
    assert len(verdict.refusals) == 1
    assert "together with the other edits" in verdict.refusals[0].checks[-1].detail
    assert {status for status, _ in verdict.findings.values()} == {VERIFIED}


def test_all_groups_applied_together_leave_nothing_of_what_they_settle() -> None:
    findings = [finding(0, "B006", 9), finding(1, "F401", 1), finding(2, "B006", 13)]
    edits = [hunk(13, 14, "def g(b=None):\n    return b, sys\n"), hunk(9, 10, DEFAULT_F), hunk(1, 1, "")]

    verdict = verify(findings, edits)

    text = apply_hunks(SOURCE, [edit for group in verdict.groups for edit in group.hunks])
    assert verify(findings, [], source=text).findings == dict.fromkeys(
        range(3), (UNCHECKED, "not_reproduced")
    )


def test_findings_without_an_edit_are_unresolved() -> None:
    verdict = verify([finding(0, "B006", 9), finding(1, "B006", 4)], [])

    assert verdict.findings == {0: (UNRESOLVED, "no_edit"), 1: (UNCHECKED, "not_reproduced")}
    assert "Still to do: ruff B006 at line 9" in verdict.feedback


def test_new_groups_must_pass_together_with_those_accepted_before() -> None:
    findings = [finding(0, "F401", 1), finding(1, "B006", 9)]
    first = verify(findings, [hunk(1, 1, "")])
    uses_it = hunk(9, 10, "def f(a=None):\n    return a or [os]\n")

    good = verify(findings, [hunk(9, 10, DEFAULT_F)], accepted=first.groups)
    bad = verify(findings, [uses_it], accepted=first.groups)
    overlapping = verify(findings, [hunk(1, 10, DEFAULT_F)], accepted=first.groups)

    assert [group.findings for group in good.groups] == [(1,)]
    assert good.findings == {0: (VERIFIED, None), 1: (VERIFIED, None)}
    assert good.feedback == ""
    assert bad.groups == ()
    assert bad.findings == {0: (VERIFIED, None), 1: (UNRESOLVED, "nothing_new")}
    assert overlapping.groups == ()


def test_an_edit_that_only_repeats_what_is_settled_is_no_gain() -> None:
    findings = [finding(0, "F401", 1)]
    first = verify(findings, [hunk(1, 1, "")])

    again = verify(findings, [hunk(1, 2, "import sys\n")], accepted=first.groups)

    assert again.groups == ()
    assert again.findings == {0: (VERIFIED, None)}


def test_a_checker_that_fails_on_the_source_leaves_findings_unchecked() -> None:
    source = "x = " + "-" * 200_000 + "1\n"

    verdict = verify([finding(0, "B006", 1)], [hunk(1, 1, "x = 1\n", source)], source=source)

    assert verdict.groups == ()
    assert verdict.findings == {0: (UNCHECKED, "checker_failed")}


def test_an_edit_on_which_the_checker_fails_is_refused() -> None:
    verdict = verify([finding(0, "B006", 9)], [hunk(9, 9, "def f(a=" + "-" * 200_000 + "1):\n")])

    assert failed(verdict.refusals[0]) == [CheckName.IN_SCOPE, CheckName.PARSES]
    assert "more than can be compared" in verdict.feedback
    assert verdict.findings[0][0] is UNRESOLVED


def test_line_ends_and_byte_order_mark_are_no_hindrance() -> None:
    source = "\ufeff" + SOURCE.replace("\n", "\r\n")

    verdict = verify(
        [finding(0, "B006", 9)], [hunk(9, 10, DEFAULT_F.replace("\n", "\r\n"), source)], source=source
    )

    assert verdict.findings == {0: (VERIFIED, None)}


def test_a_file_of_a_megabyte_is_verified() -> None:
    source = SOURCE + "value = [1, 2, 3]\n" * 57_000

    verdict = verify([finding(0, "B006", 9)], [hunk(9, 10, DEFAULT_F, source)], source=source)

    assert verdict.findings == {0: (VERIFIED, None)}


def test_many_edits_are_verified_in_one_go() -> None:
    source = "".join(f"def f{number}(a=[]):\n    return a\n" for number in range(60))
    findings = [finding(number, "B006", 2 * number + 1) for number in range(60)]
    edits = [hunk(2 * n + 1, 2 * n + 1, f"def f{n}(a=()):\n", source) for n in range(60)]

    verdict = verify(findings, edits, source=source)

    assert len(verdict.groups) == 60
    assert {status for status, _ in verdict.findings.values()} == {VERIFIED}


_PYTHON = ("ruff", "a.py", "python", "F401", "import a{}\n", "")
_SCRIPT = ("oxlint", "a.js", "javascript", "no-var", "var a{} = 1;\n", "let a0 = 1;\n")


@pytest.mark.parametrize(
    ("judged", "unknown"),
    [(_PYTHON, None), (_PYTHON, "ABC{}"), (_SCRIPT, None), (_SCRIPT, f"no-{'x' * 50}{{}}")],
    ids=["ruff", "ruff_lists", "oxlint", "oxlint_lists"],
)
def test_thousands_of_findings_under_long_lists_are_judged_in_a_moment(
    judged: tuple[str, ...], unknown: str | None
) -> None:
    tool, path, language, rule, line, mended = judged
    source = "".join(map(line.format, range(5_000)))
    entries = [] if unknown is None else list(map(unknown.format, range(1_000)))
    began = time.process_time()

    verdict = verify_fix(
        source=source,
        path=path,
        language=language,
        findings=[finding(number, rule, number + 1, tool=tool) for number in range(5_000)],
        proposals=[hunk(1, 1, mended, source)],
        settings={tool: {"select": [*entries, rule], "ignore": entries}},
        scope=None,
    )

    assert verdict.findings[0] == (VERIFIED, None)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("rule", "line", "old", "new", "brings"),
    [
        ("G004", 9, 'f"user {user} did {did}"', '"user %s did %s", user', "PLE1206"),
        ("G004", 9, 'f"user {user} did {did}"', '"user %s did", user, did', "PLE1205"),
        ("I001", 1, "from decimal", "if TYPE_CHECKING:\n    from decimal", "TC004"),
        ("E711", 10, "user == None", "user is user", "PLR0124"),
    ],
)
def test_a_mended_file_does_not_take_to_failing_when_it_runs_or_to_saying_nothing(
    rule: str, line: int, old: str, new: str, brings: str
) -> None:
    source = (
        "import logging\nfrom typing import TYPE_CHECKING\n\nfrom decimal import Decimal\n\n\n"
        "def f(log, user, did):\n    assert TYPE_CHECKING or logging\n"
        '    log.info(f"user {user} did {did}")\n    return Decimal(0) if user == None else user\n'
    )
    found = Finding(index=0, tool="ruff", rule=rule, message="", severity="", start_line=line, end_line=line)
    number = next(at for at, text in enumerate(split_lines(source), start=1) if old in text)
    before = split_lines(source)[number - 1]
    edit = Hunk(start_line=number, end_line=number, original=before, replacement=before.replace(old, new))

    verdict = verify_fix(
        source=source,
        path="app.py",
        language="python",
        findings=[found],
        proposals=[edit],
        settings={},
        scope=None,
    )

    assert verdict.groups == ()
    assert brings in [check.detail[: len(brings)] for each in verdict.refusals for check in each.checks]
