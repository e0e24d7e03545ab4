"""The format `ruff`: the JSON of `ruff check --output-format json`.

It is the only output of ruff's that tells its safe fixes from the others.
"""

from collections.abc import Iterator

from patchmill.reports.json_text import Node, read_json
from patchmill.reports.report import (
    MAX_EDITS,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_SEVERITY,
    Lines,
    Reported,
    ReportedEdit,
    ReportedFix,
)

SYNTAX_ERROR = "invalid-syntax"


def read(content: str) -> Iterator[Reported]:
    """Give the findings; raises UnreadableReport where it cannot go on."""
    for number, diagnostic in enumerate(read_json(content).items()):
        fix = diagnostic.get("fix")
        found = None if fix is None else _fix(fix)
        yield Reported(
            number=number,
            name=diagnostic.need("filename").text(),
            tool="ruff",
            rule=diagnostic.short_of("code", MAX_NAME) or SYNTAX_ERROR,
            message=diagnostic.need("message").text()[:MAX_MESSAGE],
            severity=diagnostic.short_of("severity", MAX_SEVERITY) or "warning",
            place=None if diagnostic.get("location") is None else _place(diagnostic),
            fixes=() if found is None else (found,),
        )


def _fix(fix: Node) -> ReportedFix | None:
    """A fix that ruff would apply; what it calls `display` is shown to people and never applied."""
    applicability = fix.text_of("applicability")
    edits = tuple(
        ReportedEdit(place=_place(edit), text=edit.text_of("content") or "") for edit in fix.items_of("edits")
    )
    if applicability == "display" or not 0 < len(edits) <= MAX_EDITS:
        return None
    return ReportedFix(safe=applicability == "safe", edits=edits)


def _place(ranged: Node) -> Lines:
    """Ruff counts as we do: from 1, in code points, the end exclusive."""
    start = ranged.need("location")
    end = ranged.get("end_location") or start
    return Lines(
        start_line=start.need_number("row", low=1),
        start_column=start.need_number("column", low=1),
        end_line=end.need_number("row", low=1),
        end_column=end.need_number("column", low=1),
    )
