import subprocess
from pathlib import Path
from typing import Any

import pytest
import ruff

from patchmill.cli.example_jobs import RUFF, TO_ANNOTATE, TO_FIX, make_jobs, write_files
from patchmill.cli.ruff_findings import find, finding
from patchmill.errors import ConfigurationError, Unavailable


def diagnostic(**changes: Any) -> dict[str, Any]:
    return {
        "code": "F401",
        "message": "`os` imported but unused",
        "location": {"row": 1, "column": 8},
        "end_location": {"row": 1, "column": 10},
        "fix": None,
        **changes,
    }


def with_fix(applicability: str) -> dict[str, Any]:
    edit = {"content": "", "location": {"row": 1, "column": 1}, "end_location": {"row": 2, "column": 1}}
    return diagnostic(fix={"applicability": applicability, "edits": [edit], "message": "Remove it"})


def test_a_diagnostic_becomes_a_finding_with_its_place() -> None:
    assert finding(diagnostic()) == {
        "tool": "ruff",
        "rule": "F401",
        "message": "`os` imported but unused",
        "severity": "warning",
        "start_line": 1,
        "start_column": 8,
        "end_line": 1,
        "end_column": 10,
        "fixes": [],
    }


@pytest.mark.parametrize(("applicability", "safe"), [("safe", True), ("unsafe", False)])
def test_a_fix_keeps_what_ruff_says_of_its_safety(applicability: str, *, safe: bool) -> None:
    edit = {"start_line": 1, "start_column": 1, "end_line": 2, "end_column": 1, "text": ""}

    assert finding(with_fix(applicability))["fixes"] == [{"safe": safe, "edits": [edit]}]


def test_a_fix_that_is_only_for_display_is_left_out() -> None:
    assert finding(with_fix("display"))["fixes"] == []


def test_a_file_that_does_not_parse_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n", encoding="utf-8")

    found = find(tmp_path, ["broken.py"], {})["broken.py"]

    assert {each["rule"] for each in found} == {"invalid-syntax"}


def test_only_the_given_settings_hold(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\nx = '" + "y" * 100 + "'\n", encoding="utf-8")
    (tmp_path / "ruff.toml").write_text("lint.select = ['ALL']\n", encoding="utf-8")

    narrow = find(tmp_path, ["a.py"], {"select": ["E501"], "line-length": 80})
    wide = find(tmp_path, ["a.py"], {"select": ["E501", "F"], "line-length": 120})

    assert [each["rule"] for each in narrow["a.py"]] == ["E501"]
    assert [each["rule"] for each in wide["a.py"]] == ["F401"]


def test_settings_that_ruff_refuses_are_told_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"^ruff failed: Cause: "):
        find(tmp_path, [], {"extend-select": ["NOPE"]})


def test_a_rule_that_ruff_does_not_know_is_a_mistake_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^--ignore: ruff knows no rule 'NOPE'$"):
        find(tmp_path, [], {"select": ["F"], "ignore": ["NOPE"]})


def test_the_example_has_findings_with_safe_fixes_with_unsafe_ones_and_with_none(tmp_path: Path) -> None:
    write_files(tmp_path)

    jobs = make_jobs(tmp_path)

    fixes = [each["fixes"] for job in jobs for each in job.findings]
    assert {None if not fix else fix[0]["safe"] for fix in fixes} == {True, False, None}
    assert [(job.path, job.kind) for job in jobs] == [
        *((path, "fix") for path in TO_FIX),
        *((path, "annotate") for path in TO_ANNOTATE),
    ]


def test_the_examples_findings_are_those_of_a_plain_run_of_ruff(tmp_path: Path) -> None:
    write_files(tmp_path)
    rules = ",".join(RUFF["select"])

    options = [
        "--select",
        rules,
        "--line-length",
        "110",
        "--target-version",
        "py311",
        "--output-format",
        "concise",
    ]
    plain = subprocess.run(
        [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--quiet", *options, *TO_FIX],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert len(plain.stdout.splitlines()) == sum(len(job.findings) for job in make_jobs(tmp_path))


def test_one_file_of_the_example_is_long_enough_for_excerpts(tmp_path: Path) -> None:
    write_files(tmp_path)

    assert max(len((tmp_path / path).read_text(encoding="utf-8").splitlines()) for path in TO_FIX) > 150


def test_a_nul_that_a_string_of_the_file_means_is_in_no_finding(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(r"""x = "%(a)s" % {"a": 1, "b\0": 2}""" + "\n", encoding="utf-8")

    ((found,),) = find(tmp_path, ["a.py"], {"select": ["F504"]}).values()

    assert found["rule"] == "F504"
    assert found["message"].endswith("b\N{REPLACEMENT CHARACTER}")
