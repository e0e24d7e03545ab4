"""The formats `rdjson` and `rdjsonl` of reviewdog: one object with diagnostics, or one diagnostic a line."""

from collections.abc import Iterator
from io import StringIO
from itertools import pairwise

from patchmill.reports.json_text import Node, read_json
from patchmill.reports.report import (
    MAX_EDITS,
    MAX_FIXES,
    MAX_MESSAGE,
    MAX_NAME,
    MIX_IN_UNSAFE,
    UNKNOWN,
    Lines,
    Reported,
    ReportedEdit,
    ReportedFix,
    Unit,
    UnreadableReport,
)

# Columns are bytes of UTF-8 by the format's definition; these tools write code points all the same.
_COUNT_CODE_POINTS = frozenset({"ruff", "Biome"})
# What these suggest is advice in words, not text for the file.
_ADVISE = frozenset({"Biome"})
_SEVERITIES = {"ERROR": "error", "WARNING": "warning", "INFO": "info"}
_SEVERITY_NUMBERS = ("UNKNOWN_SEVERITY", "ERROR", "WARNING", "INFO")  # both ways to write it are allowed


def read(content: str) -> Iterator[Reported]:
    """Give the findings of `rdjson`; raises UnreadableReport where it cannot go on."""
    result = read_json(content)
    tool = _tool(result)
    severity = _severity(result)
    for number, diagnostic in enumerate(result.items_of("diagnostics")):
        yield _reported(number, diagnostic, tool, severity)


def read_lines(content: str) -> Iterator[Reported]:
    """Give the findings of `rdjsonl`; raises UnreadableReport where it cannot go on."""
    number = 0
    for place, line in enumerate(StringIO(content), start=1):
        if not line.strip():
            continue
        try:
            yield _reported(number, read_json(line), None, None)
        except UnreadableReport as error:
            raise UnreadableReport(f"line {place}: {error}") from None
        number += 1


def _reported(number: int, diagnostic: Node, tool: str | None, severity: str | None) -> Reported:
    tool = _tool(diagnostic) or tool or UNKNOWN
    location = diagnostic.get("location")
    ranged = None if location is None else location.get("range")
    code = diagnostic.get("code")
    rule = None if code is None else code.short_of("value", MAX_NAME)
    return Reported(
        number=number,
        name="" if location is None else location.text_of("path") or "",
        tool=tool,
        rule=rule or UNKNOWN,
        message=(diagnostic.text_of("message") or "")[:MAX_MESSAGE],
        severity=_severity(diagnostic) or severity or "warning",
        place=None if ranged is None else _place(ranged),
        unit=Unit.CODE_POINTS if tool in _COUNT_CODE_POINTS else Unit.UTF8,
        fixes=() if tool in _ADVISE else _fixes(diagnostic, safe=tool not in MIX_IN_UNSAFE),
    )


def _tool(node: Node) -> str | None:
    source = node.get("source")
    return None if source is None else source.short_of("name", MAX_NAME)


def _severity(node: Node) -> str | None:
    given = node.get("severity")
    if given is None:
        return None
    try:
        number = given.number()
    except UnreadableReport:
        return _SEVERITIES.get(given.text())
    return _SEVERITIES.get(_SEVERITY_NUMBERS[number]) if number < len(_SEVERITY_NUMBERS) else None


def _place(ranged: Node) -> Lines | None:
    """A range: without an end it is empty, or a whole line if it has no columns either."""
    start = ranged.get("start")
    line = None if start is None else start.number_of("line")
    if start is None or not line:
        return None
    column = start.number_of("column") or None
    end = ranged.get("end")
    end_line = (None if end is None else end.number_of("line")) or line
    end_column = (None if end is None else end.number_of("column")) or None
    if end is None:
        end_column = column
    return Lines(start_line=line, start_column=column, end_line=end_line, end_column=end_column)


def _fixes(diagnostic: Node, *, safe: bool) -> tuple[ReportedFix, ...]:
    """The suggestions: tools write the edits of one fix as several, so what does not overlap is one fix."""
    placed: list[tuple[Lines, str]] = []
    for suggestion in diagnostic.items_of("suggestions"):
        place = _place(suggestion.need("range"))
        text = suggestion.text_of("text") or ""
        if place is not None:
            placed.append((place, text))
    edits = [ReportedEdit(place=place, text=text) for place, text in placed]
    if not edits or len(edits) > MAX_EDITS:
        return ()
    if _apart([place for place, _ in placed]):
        return (ReportedFix(safe=safe, edits=tuple(edits)),)
    return tuple(ReportedFix(safe=safe, edits=(edit,)) for edit in edits[:MAX_FIXES])


def _apart(places: list[Lines]) -> bool:
    def end(place: Lines) -> tuple[int, float]:
        return place.end_line, float("inf") if place.end_column is None else place.end_column

    spans = sorted(((place.start_line, place.start_column or 1), end(place)) for place in places)
    # Two insertions at one point could go in either order, so they are taken for alternatives.
    return all(before[1] <= after[0] and before != after for before, after in pairwise(spans))
