import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus, ToolEdit, ToolFix
from patchmill.kinds.checker_settings import settings_errors
from patchmill.kinds.languages import LANGUAGES, language_of
from patchmill.verify.checkers import BY_LANGUAGE, oxlint
from patchmill.verify.evidence import CheckName, Result
from patchmill.verify.process import sandbox
from patchmill.verify.run import Group, Verdict, verify_fix
from patchmill.verify.syntax import grammar
from patchmill.verify.syntax.grammar import BY_LANGUAGE as GRAMMARS
from patchmill.verify.tool_fixes import tool_fix_hunks
from patchmill.verify.verdict import Refusal

DOCS = Path(__file__).parents[2] / "docs" / "languages.md"
VERIFIED, UNCHECKED, UNRESOLVED = FindingStatus.VERIFIED, FindingStatus.UNCHECKED, FindingStatus.UNRESOLVED

SCRIPT = """\
import fs from "fs";

export function total(items) {
  var sum = 0;
  for (const item of items) {
    if (item.price == null) {
      debugger;
    }
    sum += item.price;
  }
  return sum;
}
"""
GO = """\
package main

func total(items []int) int {
	sum := 0
	for i := 0; i < len(items); i++ {
		sum += items[i]
	}
	return sum
}
"""


def finding(rule: str, line: int, *, tool: str = "eslint", index: int = 0, **more: Any) -> Finding:
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


def hunk(line: int, replacement: str, source: str = SCRIPT, *, lines: int = 1) -> Hunk:
    original = "".join(split_lines(source)[line - 1 : line - 1 + lines])
    return Hunk(start_line=line, end_line=line + lines - 1, original=original, replacement=replacement)


def verify(
    findings: Sequence[Finding],
    proposals: Sequence[Hunk],
    *,
    source: str = SCRIPT,
    language: str = "javascript",
    settings: Mapping[str, Any] | None = None,
    instructed: bool = False,
) -> Verdict:
    return verify_fix(
        source=source,
        path="src/app" + LANGUAGES[language].suffixes[0],
        language=language,
        findings=findings,
        proposals=proposals,
        settings=settings or {},
        scope=None,
        instructed=instructed,
    )


def results(checked: Group | Refusal) -> dict[CheckName, Result]:
    return {check.check: check.result for check in checked.checks}


def failed(verdict: Verdict) -> list[CheckName]:
    (refusal,) = verdict.refusals
    return [check.check for check in refusal.checks if check.result is Result.FAILED]


@pytest.mark.parametrize(
    ("tool", "rule"),
    [
        ("oxlint", "eslint(no-var)"),
        ("oxlint", "no-var"),
        ("eslint", "no-var"),
        ("ESLint", "eslint/no-var"),
    ],
)
def test_a_finding_of_eslint_is_verified_when_oxlint_reproduces_it(tool: str, rule: str) -> None:
    verdict = verify([finding(rule, 4, tool=tool)], [hunk(4, "  let sum = 0;\n")])

    (group,) = verdict.groups
    assert group.status is VERIFIED
    assert set(results(group).values()) == {Result.PASSED}
    assert verdict.findings == {0: (VERIFIED, None)}


def test_rules_of_typescript_are_verified_in_typescript_alone() -> None:
    source = "export const a: any = 1;\n"
    edit = hunk(1, "export const a: number = 1;\n", source)

    verdict = verify(
        [finding("@typescript-eslint/no-explicit-any", 1)], [edit], source=source, language="tsx"
    )

    assert verdict.findings == {0: (VERIFIED, None)}


def test_no_file_that_a_text_imports_is_opened(tmp_path: Path) -> None:
    (tmp_path / "other.js").write_text("export const real = 1;\n")
    source = f'import {{ fake }} from "{tmp_path}/other.js";\nexport var a = fake;\n'

    rules = ("import/named", "import/default", "import-x/namespace", "import(named)")
    findings = [finding(rule, 1, index=index) for index, rule in enumerate(rules)]
    verdict = verify(findings, [hunk(1, "", source)], source=source)

    assert set(verdict.findings.values()) == {(UNCHECKED, "unknown_rule")}


def test_a_rule_that_needs_types_or_is_unknown_is_unchecked_and_says_so() -> None:
    findings = [finding("@typescript-eslint/await-thenable", 4), finding("my-plugin/own", 7, index=1)]

    verdict = verify(findings, [hunk(4, "  let sum = 0;\n"), hunk(7, "")])

    assert verdict.findings == dict.fromkeys((0, 1), (UNCHECKED, "unknown_rule"))
    assert [group.status for group in verdict.groups] == [UNCHECKED, UNCHECKED]


@pytest.mark.parametrize(
    "settings", [{"ignore": ["no-var"]}, {"select": ["eqeqeq"]}, {"ignore": ["restriction"]}]
)
def test_a_rule_that_the_settings_turn_off_is_not_reproduced(settings: Mapping[str, Any]) -> None:
    assert settings_errors({"oxlint": settings}) == []

    verdict = verify([finding("no-var", 4)], [hunk(4, "  let sum = 0;\n")], settings={"oxlint": settings})

    assert verdict.findings == {0: (UNCHECKED, "not_reproduced")}


def test_a_name_that_nobody_knows_is_new_unless_the_settings_know_it() -> None:
    edit = hunk(7, "      REPORTS.add(item);\n")

    refused = verify([finding("no-debugger", 7)], [edit])
    known = verify([finding("no-debugger", 7)], [edit], settings={"oxlint": {"globals": ["REPORTS"]}})

    assert failed(refused) == [CheckName.NOTHING_NEW]
    assert "REPORTS" in refused.feedback
    assert known.findings == {0: (VERIFIED, None)}


@pytest.mark.parametrize(
    ("replacement", "check"),
    [
        ("  var sum = 0; // eslint-disable-line no-var\n", CheckName.NO_SUPPRESSION),
        ("  var sum = 0; // oxlint-disable-line\n", CheckName.NO_SUPPRESSION),
        ("  // @ts-ignore\n  let sum = 0;\n", CheckName.NO_SUPPRESSION),
        ("  let sum = 0;;)\n", CheckName.PARSES),
        ("  let sum = 0; let unused = 1;\n", CheckName.NOTHING_NEW),
        ("  var sum = 1;\n", CheckName.FINDING_GONE),
    ],
)
def test_a_script_that_is_silenced_broken_or_worse_is_refused(replacement: str, check: CheckName) -> None:
    verdict = verify([finding("no-var", 4)], [hunk(4, replacement)])

    assert check in failed(verdict)
    assert verdict.findings[0][0] is UNRESOLVED
    assert verdict.feedback


def test_a_suppression_in_the_source_hides_no_finding_and_no_fault_of_an_edit() -> None:
    source = "/* oxlint-disable */\n/* eslint-disable */\nexport var a = 1;\nexport var b = 2;\n"

    right = verify([finding("no-var", 3)], [hunk(3, "export const a = 1;\n", source)], source=source)
    worse = verify([finding("no-var", 3)], [hunk(3, "export const a = 1 + nope;\n", source)], source=source)

    assert right.findings == {0: (VERIFIED, None)}
    assert CheckName.NOTHING_NEW in failed(worse)


def test_a_problem_of_two_places_is_found_at_either() -> None:
    source = "export const o = {\n  a: 1,\n  b: 2,\n  a: 1,\n};\n"

    for line in (2, 4):
        verdict = verify([finding("no-dupe-keys", line)], [hunk(line, "", source)], source=source)

        assert verdict.findings == {0: (VERIFIED, None)}


def test_a_syntax_error_that_goes_away_is_verified() -> None:
    source = "export const a = ;\n"

    verdict = verify(
        [finding("syntax-error", 1, tool="oxlint")], [hunk(1, "export const a = 1;\n", source)], source=source
    )

    assert verdict.findings == {0: (VERIFIED, None)}


def test_a_tools_own_fix_of_another_language_is_made_of_hunks_like_any_other() -> None:
    edit = ToolEdit(start_line=4, start_column=3, end_line=4, end_column=6, text="let")
    found = finding("no-var", 4, fixes=(ToolFix(safe=True, edits=(edit,)),))
    hunks = tool_fix_hunks(split_lines(SCRIPT), found)
    assert hunks is not None

    assert verify([found], hunks).findings == {0: (VERIFIED, None)}


def test_a_finding_in_a_language_without_checker_is_offered_unchecked() -> None:
    edit = hunk(5, "\tfor i := range items {\n", GO)

    verdict = verify([finding("S1000", 5, tool="staticcheck")], [edit], source=GO, language="go")

    (group,) = verdict.groups
    assert group.status is UNCHECKED
    assert verdict.findings == {0: (UNCHECKED, "no_checker")}
    assert results(group) == {
        CheckName.APPLIES: Result.PASSED,
        CheckName.IN_SCOPE: Result.PASSED,
        CheckName.PARSES: Result.PASSED,
        CheckName.REPRODUCED: Result.SKIPPED,
        CheckName.FINDING_GONE: Result.SKIPPED,
        CheckName.NOTHING_NEW: Result.SKIPPED,
        CheckName.NO_SUPPRESSION: Result.PASSED,
        CheckName.NO_NEW_IMPORT: Result.PASSED,
        CheckName.NO_INVISIBLE: Result.PASSED,
    }


@pytest.mark.parametrize(
    ("replacement", "check"),
    [
        ("\tfor i := range items \n", CheckName.PARSES),
        ("\tfor i := range items { //nolint:errcheck\n", CheckName.NO_SUPPRESSION),
    ],
)
def test_what_does_not_parse_or_silences_is_refused_in_every_language(
    replacement: str, check: CheckName
) -> None:
    verdict = verify(
        [finding("S1000", 5, tool="staticcheck")], [hunk(5, replacement, GO)], source=GO, language="go"
    )

    assert failed(verdict) == [check]
    assert "After the edit" in verdict.feedback or check is not CheckName.PARSES


def test_where_the_source_itself_does_not_parse_an_edit_may_not_break_more() -> None:
    source = "LIST_BEGIN(x)\nint f(void) { return 1; }\n%%%\nint g(void) { return 2; }\n"
    found = finding("c1", 2, tool="tidy")

    kept = verify([found], [hunk(2, "int f(void) { return 3; }\n", source)], source=source, language="c")
    worse = verify([found], [hunk(2, "int f(void) { return (3; }\n", source)], source=source, language="c")

    (group,) = kept.groups
    assert "no worse than the source" in next(
        check.detail for check in group.checks if check.check is CheckName.PARSES
    )
    assert failed(worse) == [CheckName.PARSES]


def test_an_instruction_is_never_verified_and_its_edits_are_one_group() -> None:
    edits = [
        hunk(4, "  let total = 0;\n"),
        hunk(9, "    total += item.price;\n"),
        hunk(11, "  return total;\n"),
    ]

    verdict = verify([], edits, instructed=True)

    (group,) = verdict.groups
    assert (group.status, group.findings, len(group.hunks)) == (UNCHECKED, (), 3)
    assert results(group)[CheckName.REPRODUCED] is Result.SKIPPED
    assert results(group)[CheckName.NOTHING_NEW] is Result.PASSED
    assert (verdict.findings, verdict.feedback) == ({}, "")


@pytest.mark.parametrize(
    ("edits", "check"),
    [
        ([hunk(4, "  let total = 0;\n"), hunk(9, "    total += item.price;\n")], CheckName.NOTHING_NEW),
        ([hunk(4, "  let sum = (0;\n")], CheckName.PARSES),
        ([hunk(4, "  let sum = 0; // eslint-disable-line\n")], CheckName.NO_SUPPRESSION),
    ],
)
def test_what_an_instruction_brings_is_refused_whole_and_told(edits: list[Hunk], check: CheckName) -> None:
    verdict = verify([], edits, instructed=True)

    assert verdict.groups == ()
    assert failed(verdict) == [check]
    assert str(check) in verdict.feedback


@pytest.mark.parametrize(("language", "module"), [("javascript", oxlint), ("go", grammar)])
def test_a_reader_that_fails_at_the_source_offers_nothing_and_says_so(
    language: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SCRIPT if language == "javascript" else GO
    edit = hunk(2, "// new\n", source)
    assert not verify([], [edit], source=source, language=language, instructed=True).unread
    monkeypatch.setattr(module, "_LIMITS", sandbox.Limits(wall_s=0.0))

    verdict = verify([], [edit], source=source, language=language, instructed=True)

    assert (verdict.groups, verdict.unread) == ((), True)


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"env": ["mars"]}, "/oxlint/env"),
        ({"globals": ["a b"]}, "/oxlint/globals"),
        ({"globals": {"a": True}}, "/oxlint/globals"),
        ({"select": ["../../x.js"]}, "/oxlint/select"),
        ({"jsPlugins": ["./evil.js"]}, "/oxlint/jsPlugins"),
        ({"extends": ["x"]}, "/oxlint/extends"),
    ],
)
def test_settings_of_oxlint_are_data_from_a_short_list(settings: Mapping[str, Any], pointer: str) -> None:
    assert [place for place, _ in settings_errors({"oxlint": settings})] == [pointer]


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("a/b.MJS", "javascript"),
        ("a.d.ts", "typescript"),
        ("x/Component.tsx", "tsx"),
        ("Gemfile", "ruby"),
        ("docker/Dockerfile", "dockerfile"),
        ("Dockerfile.dev", "dockerfile"),
        ("Dockerfile.md", "dockerfile"),
        ("Dockerfile.py", "python"),
        ("a/Cargo.lock", "toml"),
        ("x.h", "c"),
        ("Makefile", None),
        ("noending", None),
        (".js", None),
    ],
)
def test_a_path_tells_the_language(path: str, language: str | None) -> None:
    assert language_of(path) == language


def test_no_ending_and_no_name_belongs_to_two_languages() -> None:
    known = [each for language in LANGUAGES.values() for each in (*language.suffixes, *language.file_names)]

    assert len(known) == len(set(known))


def test_the_table_in_the_docs_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE)
    checkers = {
        name: ", ".join(checker.name + " (extra)" * (not checker.built_in) for checker in each)
        for name, each in BY_LANGUAGE.items()
    }
    parsers = {
        name: each[0].name for name, each in BY_LANGUAGE.items() if each[0].built_in or name not in GRAMMARS
    }

    assert [row[0] for row in rows] == list(LANGUAGES)
    for name, endings, parses, checker in rows:
        language = LANGUAGES[name]
        assert re.findall(r"`([^`]+)`", endings) == [*language.suffixes, *language.file_names]
        assert checker.strip() == checkers.get(name, "none")
        assert parses.strip() == parsers.get(name, "tree-sitter")
        assert name in checkers or name in GRAMMARS
