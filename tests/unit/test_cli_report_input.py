import json
from pathlib import Path

import pytest

from patchmill.cli.report_input import guess, read_named, read_report
from patchmill.cli.tree import Tree
from patchmill.errors import ConfigurationError

RUFF = [
    {
        "filename": "a.py",
        "code": "F401",
        "message": "unused",
        "location": {"row": 1, "column": 1},
        "end_location": {"row": 1, "column": 2},
        "fix": None,
    }
]
RDJSON_LINE = {"message": "m", "location": {"path": "a.py", "range": {"start": {"line": 1}}}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (json.dumps(RUFF), "ruff"),
        ("[]", "ruff"),
        (json.dumps({"version": "2.1.0", "runs": []}), "sarif"),
        (json.dumps({"diagnostics": []}, indent=2), "rdjson"),
        (json.dumps(RDJSON_LINE), "rdjsonl"),
        (f"{json.dumps(RDJSON_LINE)}\n{json.dumps(RDJSON_LINE)}\n", "rdjsonl"),
    ],
)
def test_a_report_tells_its_format(content: str, expected: str) -> None:
    assert guess(content) == expected


@pytest.mark.parametrize("content", ["no json", "{}", "3", '"text"', "[" * 100_000])
def test_what_is_no_report_is_refused_with_what_to_do(content: str) -> None:
    with pytest.raises(ConfigurationError, match="--report-format"):
        guess(content)


@pytest.mark.parametrize(
    ("whole", "kept"),
    [
        (json.dumps({"version": "2.1.0", "runs": [{"tool": None}]}), 30),
        (json.dumps({"version": "2.1.0", "runs": [{"tool": None}]}), 43),
        (json.dumps({"diagnostics": [RDJSON_LINE]}, indent=2), 60),
        (json.dumps(RUFF), 40),
        (json.dumps(RDJSON_LINE), 30),
    ],
)
def test_a_report_that_is_cut_off_is_refused_with_where_it_ends(whole: str, kept: int) -> None:
    text = whole[:kept]
    place = f"line {text.count(chr(10)) + 1}, column {len(text.rpartition(chr(10))[2])}"

    with pytest.raises(ConfigurationError, match=f"the report is cut off: it ends at {place}"):
        guess(text)


def test_a_last_line_that_is_cut_off_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text(f"{json.dumps(RDJSON_LINE)}\n{json.dumps(RDJSON_LINE)[:20]}")

    with pytest.raises(ConfigurationError, match=r"read as rdjsonl: line 2: is cut off: .* column 20"):
        read_report(str(file), None)


def test_a_report_that_is_broken_in_its_middle_is_not_called_cut_off() -> None:
    with pytest.raises(ConfigurationError, match="the report is not JSON: line 1, column 13: Expecting"):
        guess('{"runs": [] "version": "2.1.0"}')


def test_a_report_knows_its_findings_and_the_files_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps([*RUFF, *RUFF, {**RUFF[0], "filename": "b.py"}]))

    report = read_report(str(file), None)

    assert (report.form, report.names, report.findings) == ("ruff", ("a.py", "b.py"), 3)


@pytest.mark.parametrize(
    ("content", "form", "words"),
    [
        (b"", None, "is empty"),
        (b"\xff\xfe", None, "not UTF-8"),
        (b"[]", "checkstyle", "no report format 'checkstyle'"),
        (b'[{"filename": 3}]', None, "read as ruff"),
    ],
)
def test_a_report_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, form: str | None, words: str
) -> None:
    file = tmp_path / "report"
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=words):
        read_report(str(file), form)


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the report .*missing"):
        read_report(str(tmp_path / "missing"), None)


def test_only_files_inside_are_read_and_the_others_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text("a")
    (folder / "nul.py").write_text("a")
    (tmp_path / "secret.py").write_text("secret")
    names = ["a.py", str(folder / "a.py"), (folder / "a.py").as_uri(), "../secret.py", "gone.py", "nul.py"]

    files = read_named(Tree(folder), names)

    assert [(file.path, file.content) for file in files] == [("a.py", "a")]
    talk = capsys.readouterr().err
    assert "1 file that the report names outside" in talk
    assert "left out: gone.py" in talk
    assert "left out: nul.py has the segment nul.py, which is a device" in talk
