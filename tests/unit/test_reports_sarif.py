import json
import time
from typing import Any

import pytest

from patchmill.job.record import ToolEdit
from patchmill.reports.report import Reported, UnreadableReport
from patchmill.reports.sarif import read
from patchmill.reports.selection import Filter, Selection, select
from tests.support.findings import text_at

SOURCE = "x = 1\ny = '\U0001f600\U0001f600'; z = 2\nlast = 3\n"
FILES = {"src/app.py": SOURCE}


def result(uri: str = "src/app.py", region: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    physical = {"artifactLocation": {"uri": uri}, "region": region or {"startLine": 1}}
    return {
        "ruleId": "R1",
        "message": {"text": "found"},
        "locations": [{"physicalLocation": physical}],
        **more,
    }


def log(*results: dict[str, Any], driver: dict[str, Any] | None = None, **run: Any) -> str:
    tool = {"driver": {"name": "lint", **(driver or {})}}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]})


def one(content: str) -> Reported:
    (reported,) = read(content)
    return reported


def selected(content: str) -> Selection:
    return select([list(read(content))], FILES, None, Filter.NOFILTER)


@pytest.mark.parametrize(
    ("location", "run", "path"),
    [
        pytest.param({"uri": "src/app.py"}, {}, "src/app.py", id="relative"),
        pytest.param({"uri": "src/my%20app.py"}, {}, "src/my app.py", id="percent-encoded"),
        pytest.param({"uri": "file:///ci/src/app.py"}, {}, "/ci/src/app.py", id="a file URI"),
        pytest.param({"uri": "file:///C:/ci/src/app.py"}, {}, "C:/ci/src/app.py", id="a drive of Windows"),
        pytest.param({"uri": "file://host/src/app.py"}, {}, "/src/app.py", id="a file URI with a host"),
        pytest.param({"uri": "app.py", "uriBaseId": "ROOT"}, {}, "app.py", id="a base that is not told"),
        pytest.param(
            {"uri": "app.py", "uriBaseId": "SRC"},
            {
                "originalUriBaseIds": {
                    "SRC": {"uri": "src/", "uriBaseId": "ROOT"},
                    "ROOT": {"uri": "file:///ci/"},
                }
            },
            "/ci/src/app.py",
            id="a base in a base",
        ),
        pytest.param(
            {"uri": "app.py", "uriBaseId": "A"},
            {
                "originalUriBaseIds": {
                    "A": {"uri": "a/", "uriBaseId": "B"},
                    "B": {"uri": "b/", "uriBaseId": "A"},
                }
            },
            "b/a/" * 5 + "app.py",
            id="bases in a circle",
        ),
        pytest.param(
            {"index": 1},
            {"artifacts": [{}, {"location": {"uri": "src/app.py"}}]},
            "src/app.py",
            id="by its index",
        ),
        pytest.param({"index": 7}, {"artifacts": []}, "", id="by an index that is not there"),
    ],
)
def test_a_file_is_named_in_every_way_that_the_standard_has(
    location: dict[str, Any], run: dict[str, Any], path: str
) -> None:
    found = result()
    found["locations"][0]["physicalLocation"]["artifactLocation"] = location

    assert one(log(found, **run)).name == path


@pytest.mark.parametrize(
    ("kind", "region", "text"),
    [
        pytest.param(
            None, {"startLine": 2, "startColumn": 11, "endColumn": 12}, "z", id="code points unless told"
        ),
        pytest.param(
            "unicodeCodePoints", {"startLine": 2, "startColumn": 11, "endColumn": 12}, "z", id="code points"
        ),
        pytest.param(
            "utf16CodeUnits", {"startLine": 2, "startColumn": 13, "endColumn": 14}, "z", id="UTF-16"
        ),
        pytest.param("unicodeCodePoints", {"charOffset": 16, "charLength": 1}, "z", id="an offset"),
        pytest.param("utf16CodeUnits", {"charOffset": 18, "charLength": 1}, "z", id="an offset in UTF-16"),
        pytest.param(
            "utf16CodeUnits",
            {"startLine": 3, "startColumn": 1, "endColumn": 999},
            "last = 3",
            id="beyond the line's end",
        ),
    ],
)
def test_columns_are_counted_as_the_run_says(kind: str | None, region: dict[str, Any], text: str) -> None:
    run: dict[str, Any] = {} if kind is None else {"columnKind": kind}

    (finding,) = selected(log(result(region=region), **run)).files["src/app.py"]

    assert text_at(SOURCE, finding) == text


def test_the_rule_gives_what_the_result_leaves_out() -> None:
    rule = {
        "id": "R9",
        "defaultConfiguration": {"level": "note"},
        "messageStrings": {"default": {"text": "use {0}, not {1}; {{kept}}"}},
    }
    found = result(ruleIndex=0, message={"id": "default", "arguments": ["this", "that"]})
    del found["ruleId"]

    reported = one(log(found, driver={"rules": [rule]}))

    assert (reported.rule, reported.severity) == ("R9", "note")
    assert reported.message == "use this, not that; {kept}"


def test_a_rule_may_be_an_extensions() -> None:
    found = result(rule={"index": 0, "toolComponent": {"index": 0}})
    del found["ruleId"]
    tool = {"driver": {"name": "lint"}, "extensions": [{"name": "more", "rules": [{"id": "X1"}]}]}
    content = json.dumps({"version": "2.1.0", "runs": [{"tool": tool, "results": [found]}]})

    assert one(content).rule == "X1"


@pytest.mark.parametrize(
    ("more", "suppressed"),
    [
        pytest.param({"suppressions": []}, False, id="none"),
        pytest.param({"suppressions": [{"kind": "inSource"}]}, True, id="in the source"),
        pytest.param({"suppressions": [{"kind": "external", "status": "accepted"}]}, True, id="accepted"),
        pytest.param({"suppressions": [{"kind": "external", "status": "rejected"}]}, False, id="rejected"),
        pytest.param({"baselineState": "new"}, False, id="new since the baseline"),
        pytest.param({"baselineState": "unchanged"}, True, id="in the baseline"),
        pytest.param({"baselineState": "absent"}, True, id="gone since the baseline"),
    ],
)
def test_what_the_project_has_accepted_is_suppressed(more: dict[str, Any], suppressed: bool) -> None:  # noqa: FBT001 - a row of the table
    assert one(log(result(**more))).suppressed is suppressed


def test_results_that_tell_of_no_problem_are_no_findings() -> None:
    content = log(result(kind="pass"), result(kind="fail"), result(kind="informational"), result())

    assert [found.number for found in read(content)] == [1, 3]


def replacement(start: int, end: int, text: str | None) -> dict[str, Any]:
    inserted = {} if text is None else {"insertedContent": {"text": text}}
    region = {"startLine": 1, "startColumn": start, "endLine": 1, "endColumn": end}
    return {"deletedRegion": region, **inserted}


def change(uri: str, *replacements: dict[str, Any]) -> dict[str, Any]:
    return {"artifactLocation": {"uri": uri}, "replacements": list(replacements)}


def test_alternative_fixes_stay_apart_and_those_of_other_files_are_left_out() -> None:
    fixes = [
        {"artifactChanges": [change("src/app.py", replacement(1, 2, "a"), replacement(5, 6, "2"))]},
        {
            "artifactChanges": [
                change("src/app.py", replacement(1, 2, "b")),
                change("other.py", replacement(1, 1, "")),
            ]
        },
        {"artifactChanges": [change("src/app.py", replacement(1, 6, None))]},
        {"artifactChanges": [change("src/app.py", replacement(1, 600, "beyond"))]},
        {"artifactChanges": []},
    ]

    (finding,) = selected(log(result(fixes=fixes))).files["src/app.py"]

    assert [
        [(edit.start_column, edit.end_column, edit.text) for edit in fix.edits] for fix in finding.fixes
    ] == [
        [(1, 2, "a"), (5, 6, "2")],
        [(1, 6, "")],
    ]
    assert all(fix.safe for fix in finding.fixes)


def test_a_fix_of_a_tool_that_offers_unsafe_ones_too_is_not_taken_for_safe() -> None:
    fixes = [{"artifactChanges": [change("src/app.py", replacement(1, 2, "a"))]}]

    assert not one(log(result(fixes=fixes), driver={"name": "ruff"})).fixes[0].safe
    assert one(log(result(fixes=fixes))).fixes[0].safe


def test_an_edit_without_an_end_goes_to_the_end_of_its_line() -> None:
    fixes = [
        {
            "artifactChanges": [
                change("src/app.py", {"deletedRegion": {"startLine": 3}, "insertedContent": {"text": "pass"}})
            ]
        }
    ]

    (finding,) = selected(log(result(fixes=fixes))).files["src/app.py"]

    assert finding.fixes[0].edits == (
        ToolEdit(start_line=3, start_column=1, end_line=3, end_column=9, text="pass"),
    )


def test_a_result_without_a_place_is_about_the_whole_file_and_one_without_a_file_about_none() -> None:
    whole, nowhere = result(), result()
    del whole["locations"][0]["physicalLocation"]["region"]
    del nowhere["locations"]

    selection = selected(log(whole, nowhere))

    (finding,) = selection.files["src/app.py"]
    assert (finding.start_line, finding.end_line, finding.start_column) == (1, 1, None)
    assert [(entry.finding, entry.path, entry.reason) for entry in selection.skipped] == [(1, "", "no_file")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param('{"runs": []}', "lacks `version`", id="no version"),
        pytest.param('{"version": "1.0.0", "runs": []}', "at /version: must be 2.1.0", id="an old version"),
        pytest.param('{"version": "2.1.0"}', "lacks `runs`", id="no runs"),
        pytest.param('{"version": "2.1.0", "runs": [{}]}', "at /runs/0: lacks `tool`", id="no tool"),
        pytest.param(
            log(result(region={"startLine": "4"})),
            "at /runs/0/results/0/locations/0/physicalLocation/region/startLine: must be a whole number",
            id="a line in quotes",
        ),
        pytest.param(log(result(region={"startLine": -4})), "from 0 to", id="a line below all"),
        pytest.param(log(result(region={"startLine": 10**12})), "from 0 to", id="a line beyond all"),
        pytest.param(log(result(), columnKind="bytes"), "at /runs/0/columnKind", id="an unknown unit"),
        pytest.param(log(result("src/%00.py")), "NUL", id="a NUL in a name"),
        pytest.param(log(result(ruleId="R" * 300)), "more than 200", id="a long rule"),
        pytest.param(log(result(message={"text": "a\0b"})), "NUL", id="a NUL in a message"),
    ],
)
def test_a_malformed_log_is_refused_with_its_place(content: str, says: str) -> None:
    with pytest.raises(UnreadableReport) as refusal:
        list(read(content))

    assert says in str(refusal.value)


def test_a_byte_order_mark_before_the_log_is_no_mistake() -> None:
    assert one("\ufeff" + log(result())).rule == "R1"


def test_a_hostile_log_stays_small_and_quick_to_read() -> None:
    rule = {
        "id": "R1",
        "messageStrings": {"m": {"text": "{0}" * 5_000}},
        "fullDescription": {"text": "d" * 500_000},
    }
    bases = {"A": {"uri": "a/" * 100_000, "uriBaseId": "A"}}
    results = [
        result(
            ruleIndex=0,
            message={"id": "m", "arguments": ["x" * 4_000]},
            fixes=[{"artifactChanges": [change("src/app.py", *[replacement(1, 1, "")] * 3)]}],
        )
        for _ in range(400)
    ]
    for number, found in enumerate(results):
        location = found["locations"][0]["physicalLocation"]["artifactLocation"]
        location.update(uri=f"{number}.py", uriBaseId="A")
    content = log(*results, driver={"rules": [rule]}, originalUriBaseIds=bases)
    began = time.process_time()

    reported = list(read(content))

    assert len(reported) == 400
    assert max(len(one.name) for one in reported) <= 8_192
    assert max(len(one.message) for one in reported) <= 4_000
    assert time.process_time() - began < 5
