import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from patchmill.kinds.checker_settings import SETTINGS
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify import checkers
from patchmill.verify.checker import Checker, CheckerFailure, Diagnostic, FailureReason, FileReport
from patchmill.verify.checkers import BY_LANGUAGE, oxlint
from patchmill.verify.mypy_hints import NAME as MYPY
from patchmill.verify.process import sandbox
from patchmill.verify.syntax.grammar import BY_LANGUAGE as GRAMMARS
from tests.support.checker_samples import SAMPLES, Sample

CONFIGURATION = {
    "biome.json": '{"root": false, "linter": {"enabled": false}}',
    ".shellcheckrc": "disable=all\n",
    ".hadolint.yaml": "ignored: [DL3006]\n",
    ".yamllint": "rules: {}\nignore: '*'\n",
    "zizmor.yml": "rules: {template-injection: {disable: true}}\n",
    "ruff.toml": '[lint]\nignore = ["B006", "F"]\n',
    "pyproject.toml": '[tool.ruff]\nextend = "/etc/passwd"\n',
    ".oxlintrc.json": '{"ignorePatterns": ["**"], "rules": {"no-debugger": 0}, "jsPlugins": ["./evil.js"]}',
    "oxlint.config.ts": "export default { rules: {} };\n",
    ".eslintrc.json": '{"ignorePatterns": ["**"]}',
    ".eslintignore": "**\n",
    ".gitignore": "*\n",
    "tsconfig.json": '{"extends": "/etc/passwd", "include": 1}',
    "package.json": '{"eslintConfig": {"rules": {"no-debugger": "off"}}}',
}

CHECKERS = [(language, checker) for language, checkers in BY_LANGUAGE.items() for checker in checkers]
each_checker = pytest.mark.parametrize(
    ("language", "checker"),
    [
        pytest.param(
            language,
            checker,
            id=f"{language}-{checker.name}",
            marks=pytest.mark.skipif(checker.missing() is not None, reason=checker.missing() or ""),
        )
        for language, checker in CHECKERS
    ],
)


def sample_of(language: str, checker: Checker) -> Sample:
    return SAMPLES[language, checker.name]


def diagnose(
    language: str, checker: Checker, versions: Sequence[str], **settings: object
) -> list[FileReport]:
    sample = sample_of(language, checker)
    reports = checker.diagnose(versions, path=sample.path, rules=[sample.rule], settings=settings)
    assert not isinstance(reports, CheckerFailure)
    return reports


def of_rule(language: str, checker: Checker, report: FileReport) -> list[Diagnostic]:
    """Leave out what the baseline of a checker adds."""
    return [found for found in report.diagnostics if found.rule == sample_of(language, checker).rule]


def test_every_module_of_the_folder_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(checkers.__path__)}

    assert {type(checker).__module__.rpartition(".")[2] for _, checker in CHECKERS} == modules


def test_every_checker_reads_a_known_language_and_has_settings() -> None:
    assert set(BY_LANGUAGE) <= set(LANGUAGES)
    assert set(SAMPLES) == {(language, checker.name) for language, checker in CHECKERS}
    # mypy judges hints, and no findings.
    assert {checker.name for _, checker in CHECKERS} == set(SETTINGS) - {MYPY}
    assert all(checker.name in checker.tools for _, checker in CHECKERS)


@each_checker
def test_a_file_without_fault_has_no_diagnostics(language: str, checker: Checker) -> None:
    (report,) = diagnose(language, checker, [sample_of(language, checker).right])

    assert report == FileReport(diagnostics=(), syntax_error=None)


@each_checker
def test_a_broken_rule_is_reported_at_its_place_in_code_points(language: str, checker: Checker) -> None:
    sample = sample_of(language, checker)

    (report,) = diagnose(language, checker, [sample.faulty])

    (found,) = report.diagnostics
    assert found.rule == sample.rule == checker.canonical_rule(sample.rule)
    assert (found.start_line, found.start_column, found.end_line, found.end_column) == sample.place


@each_checker
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_places_are_the_same_whatever_ends_a_line_and_a_mark_is_not_counted(
    language: str, checker: Checker, end: str
) -> None:
    sample = sample_of(language, checker)
    marked = "\ufeff" + sample.faulty.split("\n", 1)[1]

    reports = diagnose(language, checker, [sample.faulty.replace("\n", end), marked.replace("\n", end)])

    line, column, end_line, end_column = sample.place
    places = [
        (one.start_line, one.start_column, one.end_line, one.end_column)
        for one in (report.diagnostics[0] for report in reports)
    ]
    assert places == [sample.place, (line - 1, column, end_line - 1, end_column)]


@each_checker
def test_versions_are_reported_in_order(language: str, checker: Checker) -> None:
    sample = sample_of(language, checker)

    reports = diagnose(language, checker, [sample.faulty, sample.right, sample.broken] * 5)

    assert [len(report.diagnostics) > 0 for report in reports] == [True, False, True] * 5
    assert [report.syntax_error is not None for report in reports] == [False, False, True] * 5


@each_checker
def test_a_suppression_is_not_obeyed(language: str, checker: Checker) -> None:
    end = "\n    return a\n" if language == "python" else "\n"

    reports = diagnose(language, checker, [text + end for text in sample_of(language, checker).silenced])

    assert [len(of_rule(language, checker, report)) for report in reports] == [1] * len(reports)


@each_checker
def test_rules_that_it_does_not_know_do_not_break_the_run(language: str, checker: Checker) -> None:
    sample = sample_of(language, checker)

    reports = checker.diagnose(
        [sample.faulty], path=sample.path, rules=[sample.rule, "NOPE999", "--fix"], settings={}
    )

    assert not isinstance(reports, CheckerFailure)
    assert [found.rule for found in reports[0].diagnostics] == [sample.rule]
    assert checker.canonical_rule("NOPE999") is None


@each_checker
@pytest.mark.parametrize(
    "path", ["../../etc/passwd{}", "-x{}", "a b\n;{}", "é{}", "{}", "", "a/__init__{}", "x" * 5000 + "{}"]
)
def test_paths_are_labels_only(language: str, checker: Checker, path: str) -> None:
    sample = sample_of(language, checker)
    named = path.format("." + sample.path.rpartition(".")[2])

    reports = checker.diagnose([sample.faulty], path=named, rules=[sample.rule], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert [found.rule for found in reports[0].diagnostics] == [sample.rule]


def test_stubs_are_read_as_stubs() -> None:
    sample = SAMPLES["python", "ruff"]

    reports = BY_LANGUAGE["python"][0].diagnose(
        [sample.faulty], path="app.pyi", rules=[sample.rule], settings={}
    )

    assert reports == [FileReport(diagnostics=(), syntax_error=None)]


@each_checker
def test_a_file_whose_name_tells_nothing_is_read_as_its_language(language: str, checker: Checker) -> None:
    sample = sample_of(language, checker)

    reports = checker.diagnose([sample.faulty], path="bin/tool.sh", rules=[sample.rule], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert [found.rule for found in reports[0].diagnostics] == [sample.rule]


@each_checker
def test_configuration_that_lies_about_is_not_obeyed(
    language: str, checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    for name, text in CONFIGURATION.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("RUFF_OUTPUT_FORMAT", "concise")
    monkeypatch.setenv("OXC_LOG", "debug")
    monkeypatch.setattr(oxlint, "_loaded", [])  # so that its rules are asked for here

    (report,) = diagnose(language, checker, [sample_of(language, checker).faulty])

    assert len(report.diagnostics) == 1


@each_checker
def test_nothing_is_left_behind(
    language: str, checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    diagnose(language, checker, [sample_of(language, checker).faulty])

    # The folder of this process stays as long as it does.
    assert [left for home in tmp_path.iterdir() for left in home.iterdir()] == []


@each_checker
@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "x = 1\0\n",
        "\ud800",
        "\ufeff\ufeff",
        "\r",
        "(" * 50_000,
        "x = " + "-" * 100_000 + "1\n",
        "\f" * 10,
        "x = `${" * 20_000,
    ],
    ids=[
        "nul",
        "nul_inside",
        "surrogate",
        "marks",
        "return",
        "brackets",
        "operators",
        "form_feeds",
        "templates",
    ],
)
def test_hostile_text_gives_a_report_or_a_failure_and_never_an_exception(
    language: str, checker: Checker, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[type(checker).__module__]
    # Some of them would use up any time.
    monkeypatch.setattr(module, "_LIMITS", replace(module._LIMITS, wall_s=10.0, cpu_s=2))

    reports = checker.diagnose([text], path=sample_of(language, checker).path, rules=[], settings={})

    assert isinstance(reports, CheckerFailure) or len(reports) == 1


@each_checker
def test_a_file_of_a_megabyte_is_checked(language: str, checker: Checker) -> None:
    sample = sample_of(language, checker)
    text = sample.filler * (1024 * 1024 // len(sample.filler)) + sample.faulty

    (report,) = diagnose(language, checker, [text])

    assert len(of_rule(language, checker, report)) == 1


@each_checker
def test_a_checker_that_is_late_is_a_failure_that_says_so(
    language: str, checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sample_of(language, checker)
    diagnose(language, checker, [sample.right])  # the rules are known from here on
    module = sys.modules[type(checker).__module__]
    monkeypatch.setattr(module, "_LIMITS", sandbox.Limits(wall_s=0.0))

    failure = checker.diagnose([sample.right], path=sample.path, rules=[], settings={})

    assert isinstance(failure, CheckerFailure)
    assert failure.reason is FailureReason.CHECKER_FAILED
    assert "too long" in failure.detail


@pytest.mark.parametrize("language", GRAMMARS)
def test_a_grammar_tells_what_parses_from_what_does_not(language: str) -> None:
    right, broken = TEXTS[language]

    reports = GRAMMARS[language].diagnose([right, broken, right], path="", rules=[], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert [len(report.diagnostics) > 0 for report in reports] == [False, True, False]


@pytest.mark.parametrize("language", GRAMMARS)
@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "\r", "(" * 100_000, "[{" * 50_000, "<a>" * 5_000, "`${" * 20_000, "\ufeff"]
)
def test_hostile_text_does_not_harm_whoever_asks_a_grammar(language: str, text: str) -> None:
    reports = GRAMMARS[language].diagnose([text], path="", rules=[], settings={})

    assert isinstance(reports, CheckerFailure) or len(reports) == 1


def test_every_language_has_a_grammar_that_is_installed_but_for_one_that_its_checker_parses() -> None:
    assert set(GRAMMARS) == set(TEXTS) == set(LANGUAGES) - {"dockerfile"}
    assert "dockerfile" in BY_LANGUAGE


@pytest.mark.parametrize("language", [name for name, checkers in BY_LANGUAGE.items() if len(checkers) > 1])
def test_no_two_checkers_of_a_language_have_a_rule_of_the_same_name(language: str) -> None:
    here = [checker for checker in BY_LANGUAGE[language] if checker.missing() is None]

    for checker in here:
        rule = SAMPLES[language, checker.name].rule
        assert [other.name for other in here if other.canonical_rule(rule) == rule] == [checker.name]


def test_a_text_with_too_many_errors_is_not_compared() -> None:
    reports = GRAMMARS["json"].diagnose(['{"a" "b"}\n' * 2_000], path="", rules=[], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert reports[0].syntax_error is not None


def test_places_of_a_grammar_are_lines_and_code_points() -> None:
    (report,) = _parsed("json", '[1,\r\n "é\U0001d54f" 2]\r\n')

    (found,) = report.diagnostics
    assert (found.start_line, found.start_column) == (2, 7)


def _parsed(language: str, text: str) -> list[FileReport]:
    reports = GRAMMARS[language].diagnose([text], path="", rules=[], settings={})
    assert not isinstance(reports, CheckerFailure)
    return reports


# For each language: a text that parses, and one that does not.
TEXTS = {
    "python": ("def f():\n    return 1\n", "def f(:\n    return 1\n"),
    "javascript": ("function f() { return 1; }\n", "function f() { return 1;\n"),
    "typescript": ("function f(): number { return 1; }\n", "function f(): number { return 1;\n"),
    "tsx": ("const a = <b>x</b>;\n", "const a = <b>x;\n"),
    "go": ("package main\n\nfunc f() int {\n\treturn 1\n}\n", "package main\n\nfunc f() int {\n\treturn 1\n"),
    "rust": ("fn main() { let x = 1; }\n", "fn main() { let x = 1;\n"),
    "java": ("class A { int f() { return 1; } }\n", "class A { int f() { return 1; }\n"),
    "c": ("int f(void) { return 1; }\n", "int f(void) { return 1;\n"),
    "cpp": ("class A { int f() { return 1; } };\n", "class A { int f() { return 1; }\n"),
    "csharp": ("class A { int F() { return 1; } }\n", "class A { int F() { return 1; }\n"),
    "ruby": ("def f\n  1\nend\n", "def f(\n  1\n"),
    "php": ("<?php\nfunction f() { return 1; }\n", "<?php\nfunction f() { return 1;\n"),
    "bash": ("f() { echo 1; }\n", "f() { echo 1;\n"),
    "json": ('{"a": [1]}\n', '{"a": [1}\n'),
    "yaml": ("a:\n  - 1\n", "a: [1\nb: 2\n"),
    "toml": ("a = [1]\n", "a = [1\n"),
    "css": ("a { color: red; }\n", "a { color: red;\n"),
    "html": ("<p>x</p>\n", "<p <\n"),
    "kotlin": ("fun f(): Int { return 1 }\n", "fun f(): Int { return 1\n"),
    "swift": ("func f() -> Int { return 1 }\n", "func f() -> Int { return 1\n"),
}
