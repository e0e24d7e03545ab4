import pkgutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from patchmill.kinds.checker_settings import SETTINGS
from patchmill.kinds.languages import LANGUAGES
from patchmill.verify import checkers
from patchmill.verify.checker import Checker, CheckerFailure, FileReport
from patchmill.verify.checkers import BY_LANGUAGE

# For each language: a file without fault, one that does not parse, one with a rule broken, and that rule.
SAMPLES = {
    "python": (
        "app.py",
        "x = 1\n",
        "def f(:\n",
        "# é\U0001d54f\ndef f(a, \U0001d41b=[]):\n    return a\n",
        "B006",
        (2, 12, 2, 14),
    ),
}

each_checker = pytest.mark.parametrize(
    ("language", "checker"), BY_LANGUAGE.items(), ids=[checker.name for checker in BY_LANGUAGE.values()]
)


def diagnose(
    language: str, checker: Checker, versions: Sequence[str], **settings: object
) -> list[FileReport]:
    path, _, _, _, rule, _ = SAMPLES[language]
    reports = checker.diagnose(versions, path=path, rules=[rule], settings=settings)
    assert not isinstance(reports, CheckerFailure)
    return reports


def test_every_module_of_the_folder_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(checkers.__path__)}

    assert {type(checker).__module__.rpartition(".")[2] for checker in BY_LANGUAGE.values()} == modules


def test_every_checker_reads_a_known_language_and_has_settings() -> None:
    assert set(BY_LANGUAGE) <= set(LANGUAGES)
    assert {checker.name for checker in BY_LANGUAGE.values()} == set(SETTINGS)


@each_checker
def test_a_file_without_fault_has_no_diagnostics(language: str, checker: Checker) -> None:
    (report,) = diagnose(language, checker, [SAMPLES[language][1]])

    assert report == FileReport(diagnostics=(), syntax_error=None)


@each_checker
def test_a_broken_rule_is_reported_at_its_place_in_code_points(language: str, checker: Checker) -> None:
    _, _, _, faulty, rule, place = SAMPLES[language]

    (report,) = diagnose(language, checker, [faulty])

    (found,) = report.diagnostics
    assert found.rule == checker.canonical_rule(rule)
    assert (found.start_line, found.start_column, found.end_line, found.end_column) == place


@each_checker
def test_versions_are_reported_in_order(language: str, checker: Checker) -> None:
    _, right, broken, faulty, _, _ = SAMPLES[language]

    reports = diagnose(language, checker, [faulty, right, broken] * 5)

    assert [len(report.diagnostics) > 0 for report in reports] == [True, False, True] * 5
    assert [report.syntax_error is not None for report in reports] == [False, False, True] * 5


@each_checker
def test_rules_that_it_does_not_know_do_not_break_the_run(language: str, checker: Checker) -> None:
    path, _, _, faulty, rule, _ = SAMPLES[language]

    reports = checker.diagnose([faulty], path=path, rules=[rule, "NOPE999", "--fix"], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert [found.rule for found in reports[0].diagnostics] == [rule]
    assert checker.canonical_rule("NOPE999") is None


@each_checker
@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd.py",
        "-x.py",
        "a b\n;.py",
        "é.py",
        ".py",
        "",
        "a/__init__.py",
        "x" * 5000 + ".py",
    ],
)
def test_paths_are_labels_only(language: str, checker: Checker, path: str) -> None:
    _, _, _, faulty, rule, _ = SAMPLES[language]

    reports = checker.diagnose([faulty], path=path, rules=[rule], settings={})

    assert not isinstance(reports, CheckerFailure)
    assert [found.rule for found in reports[0].diagnostics] == [rule]


def test_stubs_are_read_as_stubs() -> None:
    _, _, _, faulty, rule, _ = SAMPLES["python"]

    reports = BY_LANGUAGE["python"].diagnose([faulty], path="app.pyi", rules=[rule], settings={})

    assert reports == [FileReport(diagnostics=(), syntax_error=None)]


@each_checker
def test_configuration_that_lies_about_is_not_obeyed(
    language: str, checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ruff.toml").write_text('[lint]\nignore = ["B006", "F"]\n', encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.ruff]\nextend = "/etc/passwd"\n', encoding="utf-8")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("RUFF_OUTPUT_FORMAT", "concise")

    (report,) = diagnose(language, checker, [SAMPLES[language][3]])

    assert len(report.diagnostics) == 1


@each_checker
def test_nothing_is_left_behind(
    language: str, checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    diagnose(language, checker, [SAMPLES[language][3]])

    assert list(tmp_path.iterdir()) == []


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
    ],
    ids=["nul", "nul_inside", "surrogate", "marks", "return", "brackets", "operators", "form_feeds"],
)
def test_hostile_text_gives_a_report_or_a_failure_and_never_an_exception(
    language: str, checker: Checker, text: str
) -> None:
    reports = checker.diagnose([text], path=SAMPLES[language][0], rules=[], settings={})

    assert isinstance(reports, CheckerFailure) or len(reports) == 1


@each_checker
def test_a_file_of_a_megabyte_is_checked(language: str, checker: Checker) -> None:
    _, right, _, faulty, _, _ = SAMPLES[language]
    text = right * (1024 * 1024 // len(right)) + faulty

    (report,) = diagnose(language, checker, [text])

    assert len(report.diagnostics) == 1
