"""Several checkers of one file, those that an extra brings, and the formatter of ruff."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus, KindName, Task
from patchmill.kinds.checker_settings import settings_errors
from patchmill.verify.checkers import BY_LANGUAGE, hadolint, shellcheck, zizmor
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.panel import Panel
from patchmill.verify.process.program import Program
from patchmill.verify.run import Verdict, verify_fix
from patchmill.verify.tool_fixes import tool_fix_hunks, with_checker_fixes

VERIFIED, UNCHECKED, UNRESOLVED = FindingStatus.VERIFIED, FindingStatus.UNCHECKED, FindingStatus.UNRESOLVED

EXTRAS = {checker.name: checker for checkers in BY_LANGUAGE.values() for checker in checkers}


def needs(*names: str) -> pytest.MarkDecorator:
    lacking = [name for name in names if EXTRAS[name].missing() is not None]
    return pytest.mark.skipif(bool(lacking), reason=f"without {', '.join(lacking)}")


WORKFLOW = """\
on: issues
permissions: {}
jobs:
  greet:
    name: Greet
    runs-on: [self-hosted,linux]
    steps:
      - run: echo "${{ github.event.issue.title }}"
"""
SAFE = '      - run: echo "$TITLE"\n        env: {TITLE: "${{ github.event.issue.title }}"}\n'


def finding(tool: str, rule: str, line: int, *, index: int = 0, **more: Any) -> Finding:
    return Finding(
        index=index,
        tool=tool,
        rule=rule,
        message="",
        severity="warning",
        start_line=line,
        end_line=line,
        **more,
    )


def hunk(source: str, line: int, replacement: str) -> Hunk:
    original = split_lines(source)[line - 1]
    return Hunk(start_line=line, end_line=line, original=original, replacement=replacement)


def verify(
    source: str,
    findings: Sequence[Finding],
    proposals: Sequence[Hunk],
    *,
    language: str,
    path: str = "a",
    settings: Mapping[str, Any] | None = None,
) -> Verdict:
    assert settings_errors(settings or {}) == []
    return verify_fix(
        source=source,
        path=path,
        language=language,
        findings=findings,
        proposals=proposals,
        settings=settings or {},
        scope=None,
    )


def failed(verdict: Verdict) -> list[CheckName]:
    (refusal,) = verdict.refusals
    return [check.check for check in refusal.checks if check.result is Result.FAILED]


@needs("yamllint", "zizmor")
def test_findings_of_two_tools_in_one_file_are_judged_by_both() -> None:
    findings = [finding("yamllint", "commas", 6), finding("zizmor", "zizmor/template-injection", 8, index=1)]
    edits = [
        hunk(WORKFLOW, 6, "    runs-on: [self-hosted, linux]\n"),
        hunk(WORKFLOW, 8, SAFE),
    ]

    verdict = verify(WORKFLOW, findings, edits, language="yaml", path=".github/workflows/a.yml")

    assert verdict.findings == {0: (VERIFIED, None), 1: (VERIFIED, None)}
    assert len(verdict.groups) == 2
    details = {check.check: check.detail for check in verdict.groups[0].checks}
    assert details[CheckName.PARSES] == "yamllint with zizmor parses it"


@needs("yamllint", "zizmor")
def test_what_one_checker_finds_new_refuses_a_fix_for_the_other() -> None:
    edit = hunk(
        WORKFLOW,
        6,
        "    runs-on: [self-hosted, linux, '${{ github.event.issue.title }}']\n    env: {A: 1, A: 2}\n",
    )
    findings = [finding("yamllint", "commas", 6)]

    verdict = verify(WORKFLOW, findings, [edit], language="yaml", path=".github/workflows/a.yml")

    assert CheckName.NOTHING_NEW in failed(verdict)


@needs("zizmor")
def test_a_checker_that_the_settings_name_reads_along_where_it_can() -> None:
    edit = hunk(
        WORKFLOW,
        6,
        "    runs-on: ubuntu-latest\n    services: {a: {image: a}}\n",
    )
    settings: dict[str, Any] = {"zizmor": {"persona": "auditor"}}
    findings = [finding("sometool", "runner", 6)]
    workflow, other = ".github/workflows/a.yml", "deploy/a.yml"

    without = verify(WORKFLOW, findings, [edit], language="yaml", path=workflow)
    along = verify(WORKFLOW, findings, [edit], language="yaml", path=workflow, settings=settings)
    elsewhere = verify(WORKFLOW, findings, [edit], language="yaml", path=other, settings=settings)

    assert without.findings == elsewhere.findings == {0: (UNCHECKED, "no_checker")}
    assert without.groups
    assert elsewhere.groups
    assert failed(along) == [CheckName.NOTHING_NEW]


@needs("biome")
@pytest.mark.parametrize("rule", ["lint/suspicious/noDebugger", "noDebugger", "suspicious/noDebugger"])
def test_a_finding_of_biome_in_a_script_is_judged_by_biome_beside_oxlint(rule: str) -> None:
    source = "export function f() {\n  debugger;\n}\n"

    right = verify(source, [finding("Biome", rule, 2)], [hunk(source, 2, "")], language="javascript")
    worse = verify(
        source, [finding("Biome", rule, 2)], [hunk(source, 2, "  return nope;\n")], language="javascript"
    )

    assert right.findings == {0: (VERIFIED, None)}
    assert CheckName.NOTHING_NEW in failed(worse)  # by oxlint, to which no such name is known


@needs("shellcheck")
@pytest.mark.parametrize(
    ("tool", "rule"),
    [
        ("shellcheck", "SC2086"),
        ("ShellCheck", "2086"),
        ("ShellCheck (MegaLinter BASH_SHELLCHECK)", "SC2086"),
        ("shellcheck", "shellcheck:SC2086"),
    ],
)
def test_a_finding_finds_its_checker_by_the_names_that_are_written(tool: str, rule: str) -> None:
    source = "#!/bin/sh\nls $1\n"

    verdict = verify(source, [finding(tool, rule, 2)], [hunk(source, 2, 'ls "$1"\n')], language="bash")

    assert verdict.findings == {0: (VERIFIED, None)}


@needs("shellcheck")
def test_a_directive_does_not_make_a_script_one_for_another_shell() -> None:
    source = "#!/bin/sh\n# a\n[[ -n $1 ]] && ls\n"
    edit = hunk(source, 2, "# shellcheck shell=bash\n")

    verdict = verify(source, [finding("shellcheck", "SC3010", 3)], [edit], language="bash")

    assert CheckName.FINDING_GONE in failed(verdict)


@needs("shellcheck")
@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, (VERIFIED, None)),
        ({"shell": "dash"}, (VERIFIED, None)),
        ({"severity": "warning"}, (UNCHECKED, "not_reproduced")),
        ({"ignore": ["SC2086"]}, (UNCHECKED, "not_reproduced")),
    ],
)
def test_settings_of_shellcheck_decide_what_is_reproduced(
    settings: Mapping[str, Any], status: tuple[FindingStatus, str | None]
) -> None:
    source = "#!/bin/sh\nls $1\n"

    verdict = verify(
        source,
        [finding("shellcheck", "SC2086", 2)],
        [hunk(source, 2, 'ls "$1"\n')],
        language="bash",
        settings={"shellcheck": settings},
    )

    assert verdict.findings == {0: status}


@needs("yamllint")
def test_settings_of_yamllint_are_its_rules_options() -> None:
    source = f"a: {'b ' * 29}  \n"
    edit = hunk(source, 1, f"a: >-\n  {'b ' * 28}b\n".replace(" \n", "\n"))
    found = [finding("yamllint", "line-length", 1)]

    by_default = verify(source, found, [edit], language="yaml")
    narrow = verify(source, found, [edit], language="yaml", settings={"yamllint": {"line-length.max": 60}})

    assert by_default.findings == {0: (UNCHECKED, "not_reproduced")}
    assert narrow.findings == {0: (VERIFIED, None)}


@needs("hadolint")
def test_an_instruction_of_many_lines_is_mended_on_any_of_them() -> None:
    many = "".join(f"    echo {number} && \\\n" for number in range(12))
    source = f"FROM debian:12\nRUN set -e && \\\n{many}    apt-get install --no-install-recommends curl=1\n"
    line = len(split_lines(source))
    edit = hunk(source, line, "    apt-get install -y --no-install-recommends curl=1\n")

    verdict = verify(source, [finding("Hadolint", "DL3014", 2)], [edit], language="dockerfile")

    assert verdict.findings == {0: (VERIFIED, None)}


@needs("hadolint")
def test_a_dockerfile_is_parsed_by_its_checker_whoever_found_something_in_it() -> None:
    source = "FROM debian:12\nEXPOSE 22\n"

    right = verify(
        source, [finding("trivy", "DS004", 2)], [hunk(source, 2, "EXPOSE 80\n")], language="dockerfile"
    )
    broken = verify(
        source, [finding("trivy", "DS004", 2)], [hunk(source, 2, "EXPOZE 80\n")], language="dockerfile"
    )

    assert [group.status for group in right.groups] == [UNCHECKED]
    assert CheckName.PARSES in failed(broken)


@pytest.mark.parametrize(
    ("module", "language", "rule", "checks"),
    [
        (shellcheck, "bash", "SC2086", "groups"),
        (zizmor, "yaml", "artipacked", "groups"),
        (hadolint, "dockerfile", "DL3006", "refusals"),  # nothing here could parse it either
    ],
)
def test_without_its_extra_a_finding_is_unchecked_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: Any, language: str, rule: str, checks: str
) -> None:
    tool = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(module, "PROGRAM", Program(name=tool, package="not-installed-at-all"))
    source = "a: 1\n"

    verdict = verify(source, [finding(tool, rule, 1)], [hunk(source, 1, "a: 2\n")], language=language)

    assert verdict.findings == {0: (UNCHECKED, "checker_unavailable")}
    (checked,) = getattr(verdict, checks)
    (told,) = [check.detail for check in checked.checks if check.check is CheckName.REPRODUCED]
    assert told.endswith(f"({tool} is not installed here: the extra patchmill[checkers] brings it)")


def test_what_is_not_named_does_not_read_along() -> None:
    script = Panel.of("javascript", "a.js", tools=["ESLint"], settings={})

    assert [one.name for one in script.checkers] == ["oxlint"]
    assert Panel.of("json", "a.json", tools=["eslint"], settings={}).checkers == ()


@needs("yamllint", "zizmor")
def test_rules_that_are_reported_elsewhere_bring_no_checker_to_a_file_that_is_not_its_own() -> None:
    source = "a: [1,2]\n"

    verdict = verify_fix(
        source=source,
        path="deploy/a.yaml",
        language="yaml",
        findings=[finding("yamllint", "commas", 1)],
        proposals=[hunk(source, 1, "a: [1, 2]\n")],
        settings={"zizmor": {"persona": "pedantic"}},
        scope=None,
        reported={"zizmor": ["zizmor/artipacked"], "yamllint": ["commas"]},
    )

    assert verdict.findings == {0: (VERIFIED, None)}


UNFORMATTED = "x = 1\n\n\ndef f( a ):\n    return a\n"
FORMATTED = "x = 1\n\n\ndef f(a):\n    return a\n"


@pytest.mark.parametrize(("tool", "rule"), [("ruff", "unformatted"), ("ruff-format", "ruff-format")])
def test_a_file_that_is_not_formatted_is_a_finding_with_a_fix_of_its_own(tool: str, rule: str) -> None:
    task = Task(
        kind=KindName.FIX,
        path="a.py",
        source=UNFORMATTED,
        language="python",
        findings=(finding(tool, rule, 4),),
    )

    (found,) = with_checker_fixes(task).findings
    hunks = tool_fix_hunks(split_lines(UNFORMATTED), found)

    assert hunks is not None
    assert verify(UNFORMATTED, [found], hunks, language="python").findings == {0: (VERIFIED, None)}


def test_where_the_settings_say_so_what_was_formatted_must_stay_so() -> None:
    source = "def f(a=[]):\n    return a\n"
    found, edit = [finding("ruff", "B006", 1)], [hunk(source, 1, "def f( a=None ):\n")]

    free = verify(source, found, edit, language="python")
    held = verify(source, found, edit, language="python", settings={"ruff": {"format": True}})

    assert free.findings == {0: (VERIFIED, None)}
    assert failed(held) == [CheckName.NOTHING_NEW]
    assert "unformatted" in held.feedback


def test_a_file_that_never_was_formatted_may_stay_so() -> None:
    source = "y=1\n\n\ndef f(a=[]):\n    return a\n\n\nz=1\n"
    edit = hunk(source, 4, "def f(a=None):\n")

    verdict = verify(
        source, [finding("ruff", "B006", 4)], [edit], language="python", settings={"ruff": {"format": True}}
    )

    assert verdict.findings == {0: (VERIFIED, None)}


def test_the_formatter_obeys_the_settings() -> None:
    source = "x = 'a'\ny = []\n\n\ndef f(a=[]):\n    return a\n"
    edit = hunk(source, 5, "def f(a=None):\n")
    single = {"ruff": {"format": True, "format.quote-style": "single"}}

    verdict = verify(source, [finding("ruff", "B006", 5)], [edit], language="python", settings=single)

    assert verdict.findings == {0: (VERIFIED, None)}


@pytest.mark.parametrize(
    ("checkers", "pointer"),
    [
        ({"shellcheck": {"rcfile": "x"}}, "/shellcheck/rcfile"),
        ({"shellcheck": {"enable": ["a,b --rcfile=x"]}}, "/shellcheck/enable"),
        ({"hadolint": {"config": "x"}}, "/hadolint/config"),
        ({"yamllint": {"extends": "/etc/passwd"}}, "/yamllint/extends"),
        ({"yamllint": {"line-length.max": True}}, "/yamllint/line-length.max"),
        ({"zizmor": {"gh-token": "x"}}, "/zizmor/gh-token"),
        ({"biome": {"plugins": ["x"]}}, "/biome/plugins"),
        ({"biome": {"ignore": ["../x"]}}, "/biome/ignore"),
        ({"ruff": {"format": "yes"}}, "/ruff/format"),
    ],
)
def test_settings_of_the_further_checkers_are_data_from_short_lists(
    checkers: Mapping[str, Any], pointer: str
) -> None:
    assert [place for place, _ in settings_errors(checkers)] == [pointer]


def test_the_first_jobs_of_a_process_may_begin_together() -> None:
    """What Python knows of its folders is half written while another thread asks for it first."""
    begin_together = """
import threading
from patchmill.verify.checkers.ruff import Ruff
ruff, start, codes = Ruff(), threading.Barrier(8), []
def ask():
    start.wait()
    codes.append(ruff.canonical_rule("unused-import"))
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*codes)
"""
    for _ in range(5):
        ended = subprocess.run(
            [sys.executable, "-c", begin_together], capture_output=True, text=True, check=True, timeout=60
        )

        assert ended.stdout.split() == ["F401"] * 8
