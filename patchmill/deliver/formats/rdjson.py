"""The format `rdjson`: every finding as a diagnostic for reviewdog, with the suggestion that mends it."""

import json
from collections.abc import Sequence
from typing import Any

from patchmill.deliver.markdown import visible
from patchmill.deliver.place import Places
from patchmill.deliver.suggestion import Format, Offered, OfferedFile, because, grouped, one_click
from patchmill.job.record import FindingStatus
from patchmill.store.jobs import FindingRow
from patchmill.store.results import SuggestionRow

# The code of a suggestion that mends no finding: an annotation, or what an instruction asked for.
CHANGE_CODE = "patchmill/change"
_SEVERITIES = {
    "error": "ERROR",
    "fatal": "ERROR",
    "critical": "ERROR",
    "high": "ERROR",
    "warning": "WARNING",
    "warn": "WARNING",
    "medium": "WARNING",
    "note": "INFO",
    "info": "INFO",
    "information": "INFO",
    "hint": "INFO",
    "low": "INFO",
}
_MESSAGE_LENGTH = 2_000


def render(offer: Offered) -> str:
    """Write a diagnostic for each finding of all files, and for each suggestion that has none.

    Reviewdog offers each entry of a diagnostic's `suggestions` by itself, to be committed by one click. So
    only a verified change that needs no other is one, and it stands with the first finding that it mends;
    of all others the message says what they are and where to get them. A range runs from the first byte
    that changes to the end of the last line's content, or into the next line where a line end goes.
    """
    diagnostics = [each for file in offer.files for each in _diagnostics(file)]
    result = {"source": {"name": "patchmill"}, "diagnostics": diagnostics}
    return json.dumps(result, ensure_ascii=False, separators=(",", ":"))


def _diagnostics(file: OfferedFile) -> list[dict[str, Any]]:
    places = Places(file.source)
    groups = grouped(file.suggestions)
    told: set[int] = set()  # numbers of groups that a diagnostic has shown
    diagnostics = []
    for finding in file.findings:
        mending = [number for number, rows in enumerate(groups) if finding.index in rows[0].findings]
        new = [groups[number] for number in mending if number not in told]
        again = [groups[number] for number in mending if number in told]
        told.update(mending)
        diagnostics.append(_finding(file, finding, places, new=new, again=again))
    known = {finding.index for finding in file.findings}
    diagnostics += [_change(file, rows, places) for rows in groups if not known & set(rows[0].findings)]
    return diagnostics


def _finding(
    file: OfferedFile,
    finding: FindingRow,
    places: Places,
    *,
    new: Sequence[Sequence[SuggestionRow]],
    again: Sequence[Sequence[SuggestionRow]],
) -> dict[str, Any]:
    start = places.offset(finding.start_line, finding.start_column or 1)
    end = places.end_of(finding.end_line)
    if finding.end_column is not None:
        end = places.offset(finding.end_line, finding.end_column)
    said = [finding.message, *(_said(file, rows) for rows in new)]
    said += [f"Mended by what is offered at line {rows[0].start_line}: {rows[0].title}" for rows in again]
    diagnostic = {
        "message": _message(said),
        "location": {"path": file.path, "range": _range(places, start, max(start, end))},
        "severity": _SEVERITIES.get(finding.severity.lower(), "UNKNOWN_SEVERITY"),
        "code": {"value": finding.rule},
    }
    return diagnostic | _suggestions(new, places)


def _change(file: OfferedFile, rows: Sequence[SuggestionRow], places: Places) -> dict[str, Any]:
    span = places.span(rows[0])
    diagnostic = {
        "message": _message([rows[0].title, _said(file, rows)]),
        "location": {"path": file.path, "range": _range(places, span.start, span.end)},
        "severity": "INFO",
        "code": {"value": CHANGE_CODE},
    }
    return diagnostic | _suggestions([rows], places)


def _suggestions(groups: Sequence[Sequence[SuggestionRow]], places: Places) -> dict[str, Any]:
    spans = [places.span(rows[0]) for rows in groups if len(rows) == 1 and one_click(rows[0])]
    shown = [{"range": _range(places, span.start, span.end), "text": span.text} for span in spans]
    return {"suggestions": shown} if shown else {}


def _said(file: OfferedFile, rows: Sequence[SuggestionRow]) -> str:
    """What is offered, on which evidence, and where to get it if no click may apply it."""
    first = rows[0]
    verified = first.status == FindingStatus.VERIFIED
    told = f"{'Verified' if verified else 'Not verified'} change: {first.title}"
    why = because(file.evidence.get(first.id, ()))
    told += f" ({why})" if why else ""
    if first.source == "stand-in":
        told += ". Made by the stand-in gateway, not by a model: do not post it"
    if len(rows) > 1:
        told += f". Its {len(rows)} changes need each other: take them from the format `patch`"
    elif not one_click(first):
        told += ". Take it from the format `patch`"
    return f"{told}."


def _message(paragraphs: Sequence[str]) -> str:
    return "\n".join(visible(text)[:_MESSAGE_LENGTH] for text in paragraphs)


def _range(places: Places, start: int, end: int) -> dict[str, Any]:
    return {"start": _position(places, start), "end": _position(places, end)}


def _position(places: Places, offset: int) -> dict[str, int]:
    position = places.utf8_bytes(offset)
    return {"line": position.line, "column": position.column}


RDJSON = Format(name="rdjson", media_type="application/vnd.reviewdog+json", render=render)
