"""The format `sarif`: every finding as a result of SARIF 2.1.0, with the fixes that mend it."""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from patchmill import __version__
from patchmill.deliver.markdown import visible
from patchmill.deliver.place import Places
from patchmill.deliver.suggestion import Format, Offered, OfferedFile, grouped
from patchmill.job.record import FindingStatus
from patchmill.store.ids import to_edge
from patchmill.store.jobs import FindingRow
from patchmill.store.results import SuggestionRow

# The rule of a suggestion that mends no finding: an annotation, or what an instruction asked for.
CHANGE_RULE = "patchmill/change"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    "error": "error",
    "fatal": "error",
    "critical": "error",
    "high": "error",
    "note": "note",
    "info": "note",
    "information": "note",
    "hint": "note",
    "low": "note",
}


def render(offer: Offered) -> str:
    """Write one run: a result for each finding of all files, and for each suggestion that has none.

    Regions are lines and columns of code points. A group of changes that need each other is one fix with
    several replacements; a fix that mends several findings stands with each of them, under the same ids.
    """
    results = [result for file in offer.files for result in _results(file)]
    rules: dict[str, int] = {}
    for result in results:
        result["ruleIndex"] = rules.setdefault(result["ruleId"], len(rules))
    driver = {"name": "patchmill", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "results": results,
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, separators=(",", ":"))


def _results(file: OfferedFile) -> list[dict[str, Any]]:
    places = Places(file.source)
    groups = [(rows, _fix(file, rows, places)) for rows in grouped(file.suggestions)]
    results = [
        _finding(file, finding, [fix for rows, fix in groups if finding.index in rows[0].findings])
        for finding in file.findings
    ]
    known = {finding.index for finding in file.findings}
    results += [_change(file, rows[0], fix) for rows, fix in groups if not known & set(rows[0].findings)]
    return results


def _finding(file: OfferedFile, finding: FindingRow, fixes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    region = {"startLine": finding.start_line, "endLine": finding.end_line}
    if finding.start_column is not None:
        region["startColumn"] = finding.start_column
    if finding.end_column is not None:
        region["endColumn"] = finding.end_column
    result = {
        "ruleId": finding.rule,
        "level": _LEVELS.get(finding.severity.lower(), "warning"),
        "message": {"text": finding.message},
        "locations": [_location(file.path, region)],
        "partialFingerprints": {"patchmillFinding/v1": finding.fingerprint},
        "properties": {"tool": finding.tool, "status": finding.status, "reason": finding.reason},
    }
    return result | ({"fixes": list(fixes)} if fixes else {})


def _change(file: OfferedFile, row: SuggestionRow, fix: dict[str, Any]) -> dict[str, Any]:
    region = {"startLine": row.start_line, "endLine": max(row.start_line, row.end_line)}
    return {
        "ruleId": CHANGE_RULE,
        "level": "note",
        "message": {"text": visible(row.title) or "A change"},
        "locations": [_location(file.path, region)],
        "properties": {"tool": "patchmill", "status": row.status, "reason": None},
        "fixes": [fix],
    }


def _fix(file: OfferedFile, rows: Sequence[SuggestionRow], places: Places) -> dict[str, Any]:
    replacements = []
    for row in rows:
        span = places.span(row)
        start, end = places.code_points(span.start), places.code_points(span.end)
        region = {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        }
        replacements.append({"deletedRegion": region, "insertedContent": {"text": span.text}})
    first = rows[0]
    told = "" if first.status == FindingStatus.VERIFIED else "Not verified: "
    change = {"artifactLocation": {"uri": quote(file.path)}, "replacements": replacements}
    return {
        "description": {"text": f"{told}{visible(first.title)}"},
        "artifactChanges": [change],
        "properties": {
            "suggestions": [to_edge("sug", row.id) for row in rows],
            "status": first.status,
            "source": first.source,
            "safety": first.safety,
            "evidence": [
                {"check": check.check, "result": check.result, "detail": check.detail}
                for check in file.evidence.get(first.id, ())
            ],
        },
    }


def _location(path: str, region: dict[str, int]) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": {"uri": quote(path)}, "region": region}}


SARIF = Format(name="sarif", media_type="application/sarif+json", render=render)
