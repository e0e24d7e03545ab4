"""What is rendered is applied by readers of their own: the file must come out as it was verified."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from patchmill.deliver.formats import FORMATS
from patchmill.edit.apply import apply_hunks
from patchmill.edit.span import Hunk
from tests.support.appliers import (
    BOM,
    by_github,
    by_gitlab,
    by_rdjson,
    by_sarif,
    github_accepts,
    gitlab_accepts,
)
from tests.support.offers import PATH, finding, group, hunk, new_file_diff, offered, suggestion

SCHEMAS = Path(__file__).parent / "schemas"
APPLIERS: dict[str, Callable[[str, dict[str, Any], str], str]] = {
    "github": by_github,
    "gitlab": by_gitlab,
    "sarif": by_sarif,
    "rdjson": by_rdjson,
}
SCHEMA_OF = {"github": "github-review", "sarif": "sarif-2.1.0", "rdjson": "rdjson"}


def validate(name: str, document: dict[str, Any]) -> None:
    if name not in SCHEMA_OF:  # nobody publishes one; `gitlab_accepts` knows the rules
        return
    schema = json.loads((SCHEMAS / f"{SCHEMA_OF[name]}.json").read_text())
    validator_for(schema)(schema).validate(document)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A source, its changes by (first line, last line, text), and whether a forge can show them in place.

    GitLab cannot show all that GitHub can.
    """

    source: str
    changes: Sequence[tuple[int, int, str]]
    at_line: bool = True
    gitlab: bool = True

    @property
    def hunks(self) -> list[Hunk]:
        return [hunk(self.source, *change) for change in self.changes]


THREE = "a = 1\nb = 2\nc = 3\n"
CASES = {
    "a line": Case(source=THREE, changes=[(2, 2, "b = 4\n")]),
    "the first line": Case(source=THREE, changes=[(1, 1, "a = 4\n")]),
    "the last line": Case(source=THREE, changes=[(3, 3, "c = 4\n")]),
    "all lines": Case(source=THREE, changes=[(1, 3, "x = 1\n")]),
    "one line by many": Case(source=THREE, changes=[(2, 2, "b = 4\n\n\nd = 5\n")]),
    "many lines by one": Case(source=THREE, changes=[(1, 2, "b = 4\n")]),
    "a line by a blank one": Case(source=THREE, changes=[(2, 2, "\n")]),
    "the first line by a blank one": Case(source=THREE, changes=[(1, 1, "\n")], gitlab=False),
    "a blank line by one": Case(source="a\n\nb\n", changes=[(2, 2, "x\n")]),
    "insert between": Case(source=THREE, changes=[(2, 1, "x = 0\n")]),
    "insert at the top": Case(source=THREE, changes=[(1, 0, "x = 0\n")]),
    "insert at the end": Case(source=THREE, changes=[(4, 3, "x = 0\n\ny = 0\n")]),
    "insert a blank line": Case(source=THREE, changes=[(2, 1, "\n")]),
    "delete between": Case(source=THREE, changes=[(2, 2, "")]),
    "delete the first line": Case(source=THREE, changes=[(1, 1, "")]),
    "delete the last line": Case(source=THREE, changes=[(3, 3, "")]),
    "delete everything": Case(source=THREE, changes=[(1, 3, "")]),
    "the last line, open": Case(source="a = 1\nb = 2", changes=[(2, 2, "b = 3")]),
    "add after an open line": Case(source="a = 1\nb = 2", changes=[(2, 2, "b = 2\nc = 3")]),
    "delete an open line": Case(source="a = 1\nb = 2", changes=[(2, 2, "")]),
    "close the file": Case(source="a = 1\nb = 2", changes=[(2, 2, "b = 2\n")], at_line=False),
    "open the file": Case(source="a = 1\nb = 2\n", changes=[(2, 2, "b = 2")], at_line=False),
    "an only line": Case(source="a", changes=[(1, 1, "b")]),
    "an empty file": Case(source="", changes=[(1, 0, '"""Doc."""\n')], at_line=False),
    "CRLF": Case(source="a\r\nb\r\nc\r\n", changes=[(2, 2, "x\r\ny\r\n"), (3, 3, "")], gitlab=False),
    "CRLF, insert at the end": Case(source="a\r\nb\r\n", changes=[(3, 2, "c\r\n")], gitlab=False),
    "CRLF, a line": Case(source="a\r\nb\r\n", changes=[(1, 1, "c\r\n")]),
    "CRLF, open": Case(source="a\r\nb", changes=[(2, 2, "x")]),
    "CRLF after an open line": Case(source="a\r\nb", changes=[(2, 2, "x\r\ny")], at_line=False),
    "other line ends": Case(source="a\nb\r\n", changes=[(1, 2, "x\r\ny\r\n")], at_line=False),
    "CR alone": Case(source="a\rb\rc\r", changes=[(2, 2, "x\ry\r")], at_line=False),
    "LF after CR lines": Case(source="a\rb\nc\nd\n", changes=[(3, 3, "x\n")]),
    "tabs and blanks at the end": Case(source="\ta  \n\tb\n", changes=[(1, 1, "\t\tx \t\n")]),
    "indented like Markdown code": Case(source="    a\n", changes=[(1, 1, "        b\n    c\n")]),
    "beyond ASCII": Case(
        source="x = '\u00e4'\ny = '\U0001f40d'\nz = '\u4e2d'\n",
        changes=[(2, 2, "y = '\U0001f40d\U0001f40d\u0301'\n"), (3, 3, "z = '\u4e2d\u6587'\n")],
    ),
    "beyond ASCII, open": Case(source="x = '\U0001f40d\u00e4'", changes=[(1, 1, "y = '\u00e9\U0001f40d'")]),
    "a byte order mark": Case(source=f"{BOM}a\nb\n", changes=[(1, 1, f"{BOM}x\n")]),
    "a byte order mark, open": Case(source=f"{BOM}a", changes=[(1, 1, f"{BOM}\U0001f40d")]),
    "no line ends to others": Case(source="a\x0cb\u2028c\x85\nd\x1e\n", changes=[(1, 1, "x\u2029y\x85\n")]),
    "page breaks": Case(source="a\x0cb\n", changes=[(1, 1, "x\x0c\n")], gitlab=False),
    "a command": Case(source="a\n", changes=[(1, 1, "a\n```\n/close\n")], gitlab=False),
    "no command": Case(source="a\n", changes=[(1, 1, "// a\n/* b */\n /close\n")]),
    "backticks": Case(source="a\n", changes=[(1, 1, "```suggestion\n```\n`````\n~~~\n`\n")]),
    "HTML and mentions": Case(source="a\n", changes=[(1, 1, "<!-- @you -->\n</details>\n#1 &amp;\n")]),
    "two apart": Case(source=THREE, changes=[(1, 1, "x\n"), (3, 3, "y\n")]),
    "neighbours": Case(source=THREE, changes=[(1, 1, "x\n"), (2, 2, "y\n"), (3, 3, "")]),
}


def rendered(name: str, case: Case) -> dict[str, Any]:
    rows = [suggestion(case.source, each) for each in case.hunks]
    offer = offered(case.source, rows, diff=new_file_diff(case.source))
    document: dict[str, Any] = json.loads(FORMATS[name].render(offer))
    return document


@pytest.mark.parametrize("name", APPLIERS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_rendered_applies_byte_for_byte(name: str, case: Case) -> None:
    document = rendered(name, case)

    validate(name, document)
    if name == "github" and not case.at_line:
        assert document["comments"] == []
        assert "A title" in document["body"]
    elif name == "gitlab" and not (case.at_line and case.gitlab):
        assert len(document["discussions"]) < len(case.changes)
        assert "A title" in document["note"]["body"]
    else:
        assert APPLIERS[name](case.source, document, PATH) == apply_hunks(case.source, case.hunks)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_github_accepts_every_review(case: Case) -> None:
    diff = new_file_diff(case.source)

    review = rendered("github", case)

    assert github_accepts(review, diff)
    assert len(review["comments"]) == (len(case.changes) if case.at_line else 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gitlab_accepts_every_body(case: Case) -> None:
    bodies = rendered("gitlab", case)

    assert gitlab_accepts(bodies, new_file_diff(case.source))
    assert (len(bodies["discussions"]) == len(case.changes)) == (case.at_line and case.gitlab)


NEIGHBOURS: dict[str, tuple[list[tuple[int, int, str]], str]] = {
    "an insertion repeats a line that another replaces": (
        [(1, 1, "x\n"), (2, 1, "y\n")],
        "x\ny\nb = 2\nc = 3\n",
    ),
    "two insertions at one point": ([(2, 1, "x\n"), (2, 1, "y\n")], "a = 1\nx\ny\nb = 2\nc = 3\n"),
    "insertions around one line": ([(2, 1, "x\n"), (3, 2, "y\n")], "a = 1\nx\nb = 2\ny\nc = 3\n"),
    "one at the end after a replaced line": ([(3, 3, "x\n"), (4, 3, "y\n")], "a = 1\nb = 2\nx\ny\n"),
}


@pytest.mark.parametrize("name", ["sarif", "rdjson"])
@pytest.mark.parametrize(("changes", "expected"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_suggestions_that_repeat_each_other_apply_together(
    name: str, changes: Sequence[tuple[int, int, str]], expected: str
) -> None:
    document = rendered(name, Case(source=THREE, changes=changes))

    assert APPLIERS[name](THREE, document, PATH) == expected


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    """Changes that share no line, in a file of any line ends."""
    contents = st.sampled_from(["a", "\t b", "", "\U0001f40d'", "```", "\u00e4\x0c\u2028"])
    end = draw(st.sampled_from(["\n", "\r\n"]))
    lines = draw(st.lists(contents.map(lambda text: text + end), max_size=8))
    open_ended: bool = draw(st.booleans())
    if open_ended and lines and lines[-1] != end:
        lines[-1] = lines[-1].removesuffix(end)
    changes = []
    at = 0
    while at < len(lines):
        size = draw(st.integers(1, 2))
        stop = min(at + size, len(lines))
        new = draw(st.lists(contents, max_size=3))
        text = "".join(line + end for line in new)
        if stop == len(lines) and not lines[-1].endswith(end):
            text = text.removesuffix(end)
            new = new if end == "\n" else new[:1]
            text = text if end == "\n" else "".join(new)
        if draw(st.booleans()) and text != "".join(lines[at:stop]) and not (new and new[-1] == ""):
            changes.append((at + 1, stop, text))
        at = stop
    return Case(source="".join(lines), changes=changes)


@pytest.mark.parametrize("name", sorted(set(APPLIERS) - {"gitlab"}))
@given(case=_cases())
def test_any_changes_apply_byte_for_byte(name: str, case: Case) -> None:
    document = rendered(name, case)

    validate(name, document)
    assert APPLIERS[name](case.source, document, PATH) == apply_hunks(case.source, case.hunks)


@given(case=_cases())
def test_gitlab_applies_each_change_that_it_shows_byte_for_byte(case: Case) -> None:
    for change in case.changes:
        one = Case(source=case.source, changes=[change])
        bodies = rendered("gitlab", one)
        text = change[2]
        blank = bool(text) and not text.strip()  # its place depends on the line above
        if "\x0c" in text or "\r\n" in text[:-2] or (blank and not bodies["discussions"]):
            assert bodies["discussions"] == []
            assert "A title" in bodies["note"]["body"]
        else:
            assert by_gitlab(case.source, bodies, PATH) == apply_hunks(case.source, one.hunks)


def test_sarif_puts_a_group_into_one_fix() -> None:
    changes = [hunk(THREE, 1, 0, "import os\n"), hunk(THREE, 3, 3, "c = os.sep\n")]
    rows = group(THREE, changes, findings=(0, 1))

    log = json.loads(
        FORMATS["sarif"].render(offered(THREE, rows, findings=[finding(0), finding(1, rule="E1")]))
    )

    validate("sarif", log)
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["B006", "E1"]
    assert results[0]["fixes"] == results[1]["fixes"]
    ((change,),) = [fix["artifactChanges"] for fix in results[0]["fixes"]]
    assert len(change["replacements"]) == 2
    assert by_sarif(THREE, log, PATH) == "import os\na = 1\nb = 2\nc = os.sep\n"


def test_sarif_tells_each_finding_with_its_fate() -> None:
    row = suggestion(THREE, hunk(THREE, 2, 2, "b = 4\n"), findings=(0,), status="unchecked")
    findings = [
        finding(
            0, severity="error", start_column=2, end_column=4, status="unchecked", reason="not_reproduced"
        ),
        finding(1, severity="note", status="unresolved", reason="no_edit"),
    ]

    log = json.loads(FORMATS["sarif"].render(offered(THREE, [row], findings=findings, path="a b/\u00e4.py")))

    validate("sarif", log)
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "patchmill"
    assert run["tool"]["driver"]["rules"] == [{"id": "B006"}]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b/%C3%A4.py"
    assert place["region"] == {"startLine": 1, "endLine": 1, "startColumn": 2, "endColumn": 4}
    assert (first["level"], second["level"]) == ("error", "note")
    assert first["properties"]["status"] == "unchecked"
    (fix,) = first["fixes"]
    assert fix["description"]["text"] == "Not verified: A title"
    assert fix["properties"]["evidence"][1] == {
        "check": "finding_gone",
        "result": "passed",
        "detail": "ruff B006",
    }
    assert "fixes" not in second


@pytest.mark.parametrize("name", ["sarif", "rdjson"])
def test_a_suggestion_without_a_finding_stands_by_itself(name: str) -> None:
    row = suggestion(THREE, hunk(THREE, 1, 1, "a: int = 1\n"), findings=())

    document = json.loads(FORMATS[name].render(offered(THREE, [row], findings=[])))

    validate(name, document)
    assert "patchmill/change" in json.dumps(document)
    assert APPLIERS[name](THREE, document, PATH) == "a: int = 1\nb = 2\nc = 3\n"


def test_rdjson_offers_by_one_click_only_what_is_verified_and_stands_alone() -> None:
    rows = [
        suggestion(THREE, hunk(THREE, 1, 1, "x\n"), findings=(0, 1)),
        suggestion(THREE, hunk(THREE, 2, 2, "y\n"), findings=(2,), status="unchecked"),
        *group(THREE, [hunk(THREE, 3, 3, "z\n"), hunk(THREE, 4, 3, "w\n")], findings=(3,)),
    ]
    findings = [finding(index, rule=f"R{index}") for index in range(5)]

    result = json.loads(FORMATS["rdjson"].render(offered(THREE, rows, findings=findings)))

    validate("rdjson", result)
    diagnostics = result["diagnostics"]
    assert [len(each.get("suggestions", ())) for each in diagnostics] == [1, 0, 0, 0, 0]
    messages = [each["message"] for each in diagnostics]
    assert "Verified change: A title (parses, finding gone (ruff B006))" in messages[0]
    assert "Mended by what is offered at line 1" in messages[1]
    assert "Not verified change" in messages[2]
    assert "2 changes need each other" in messages[3]
    assert messages[4] == "Do not use mutable defaults"


def test_rdjson_counts_columns_in_bytes() -> None:
    source = "x\n'\U0001f40d\u00e4' + y\n"
    found = finding(start_line=2, start_column=5, end_line=2, end_column=6, severity="odd")

    (shown,) = json.loads(FORMATS["rdjson"].render(offered(source, [], findings=[found])))["diagnostics"]

    assert shown["location"]["range"] == {
        "start": {"line": 2, "column": 9},
        "end": {"line": 2, "column": 10},
    }
    assert shown["severity"] == "UNKNOWN_SEVERITY"


def test_rdjson_counts_the_bytes_of_a_byte_order_mark() -> None:
    source = f"{BOM}import os\nx = 1\n"
    found = [
        finding(0, start_line=1, start_column=8, end_line=1, end_column=10),
        finding(1, start_line=2, start_column=1, end_line=2, end_column=2),
    ]

    document = json.loads(FORMATS["rdjson"].render(offered(source, [], findings=found)))

    shown = [diagnostic["location"]["range"] for diagnostic in document["diagnostics"]]
    assert shown == [
        {"start": {"line": 1, "column": 11}, "end": {"line": 1, "column": 13}},
        {"start": {"line": 2, "column": 1}, "end": {"line": 2, "column": 2}},
    ]


def test_sarif_tells_thousands_of_rules_in_a_moment() -> None:
    findings = [finding(number, rule=f"R{number}") for number in range(20_000)]
    began = time.process_time()

    log = json.loads(FORMATS["sarif"].render(offered(THREE, [], findings=findings)))

    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [f"R{n}" for n in range(20_000)]
    assert time.process_time() - began < 3


def test_the_schemas_refuse_what_is_wrong() -> None:
    for name, wrong in (
        ("sarif", {"version": "2.1.0"}),
        ("rdjson", {"diagnostics": [{"message": 1}]}),
        ("github", {"event": "APPROVED"}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(name, wrong)


def test_rdjson_counts_bytes_in_long_lines() -> None:
    source = "\u00e4" * 5000 + "'x'" + "\U0001f40d" * 5000 + "\n" + "a" * 9000 + "\u00e4b"
    found = finding(start_line=1, start_column=5001, end_line=2, end_column=9002)

    (shown,) = json.loads(FORMATS["rdjson"].render(offered(source, [], findings=[found])))["diagnostics"]

    assert shown["location"]["range"] == {
        "start": {"line": 1, "column": 10_001},
        "end": {"line": 2, "column": 9_003},
    }


def test_rdjson_adds_at_the_end_within_the_last_line() -> None:
    document = rendered("rdjson", CASES["insert at the end"])

    ((shown,),) = [each["suggestions"] for each in document["diagnostics"]]
    end = {"line": 3, "column": 6}  # reviewdog reads the line of each end, so it must be there
    assert shown == {"range": {"start": end, "end": end}, "text": "\nx = 0\n\ny = 0"}
