"""A tool's own fix of its finding as hunks: it costs no tokens, and is verified like any other edit."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from patchmill.edit.offered import without_repeated
from patchmill.edit.span import Hunk, line_content, line_end, split_lines
from patchmill.job.record import Finding, Task, ToolEdit, ToolFix
from patchmill.verify.panel import fixing
from patchmill.verify.targets import Targets

_BOM = "\ufeff"


def with_checker_fixes(task: Task) -> Task:
    """The task with the checker's own safe fixes, for findings of its tools that come without a usable one.

    Few reports can say which fixes are safe. The checker says it of what it reproduces in the unchanged file;
    it is run only if such a finding is there, and if it fails the task stays as it is.
    """
    panel = fixing(task.language)
    if panel is None:
        return task
    targets = Targets.of(task.findings, panel)
    lines = split_lines(task.source)
    lacking = {
        finding.index
        for finding in task.findings
        if finding.index in targets.rules and tool_fix_hunks(lines, finding) is None
    }
    if not lacking:
        return task
    rules = sorted(set(targets.rules.values()))
    reports = panel.diagnose([task.source], path=task.path, rules=rules, settings=task.checkers)
    if not isinstance(reports, list):
        return task
    matches = targets.met(reports[0], panel, task.checkers).matches
    told = {index: matches[index].fix for index in lacking if index in matches and matches[index].fix}
    findings = tuple(
        replace(finding, fixes=(ToolFix(safe=True, edits=told[finding.index]), *finding.fixes))
        if finding.index in told
        else finding
        for finding in task.findings
    )
    return replace(task, findings=findings)


def tool_fix_hunks(lines: Sequence[str], finding: Finding) -> tuple[Hunk, ...] | None:
    """The first fix that the tool calls safe, as hunks of the source's lines in the order of the file.

    None if there is no such fix, if its places are not in the source, or if its edits overlap.
    """
    return edits_as_hunks(lines, safe_edits(finding))


def safe_edits(finding: Finding) -> tuple[ToolEdit, ...]:
    """The edits of the first fix that the tool calls safe; none without such a fix."""
    return next((fix.edits for fix in finding.fixes if fix.safe), ())


def edits_as_hunks(lines: Sequence[str], edits: Sequence[ToolEdit]) -> tuple[Hunk, ...] | None:
    """The edits of one fix as hunks of whole lines, in the order of the file; None as above."""
    if not edits:
        return None
    spans = [_span(lines, edit) for edit in edits]
    placed = sorted(span for span in spans if span is not None)
    if len(placed) < len(spans) or any(after.start < before.end for before, after in pairwise(placed)):
        return None
    hunks = [hunk for part in _by_lines(placed) if (hunk := _hunk(lines, part)) is not None]
    return tuple(hunks) or None


class _Place(NamedTuple):
    """A point in the source: line and offset within it, both from 0."""

    line: int
    offset: int


class _Span(NamedTuple):
    start: _Place
    end: _Place
    text: str


def _span(lines: Sequence[str], edit: ToolEdit) -> _Span | None:
    start = _place(lines, edit.start_line, edit.start_column)
    end = _place(lines, edit.end_line, edit.end_column)
    if start is None or end is None or end < start:
        return None
    endings = [line_end(lines[min(start.line, len(lines) - 1)]), line_end(lines[0])] if lines else []
    ending = next((known for known in endings if known), "\n")
    return _Span(start, end, edit.text.replace("\r\n", "\n").replace("\n", ending))


def _place(lines: Sequence[str], line: int, column: int) -> _Place | None:
    """Where a line and column are; the point after the last line end is column 1 of one line more."""
    if line < 1 or column < 1 or line > len(lines) + 1:
        return None
    if line == len(lines) + 1:
        ended = not lines or line_end(lines[-1]) != ""
        return _Place(line - 1, 0) if column == 1 and ended else None
    text = lines[line - 1]
    # Tools do not count the byte order mark.
    hidden = 1 if line == 1 and text.startswith(_BOM) else 0
    offset = column - 1 + hidden
    return _Place(line - 1, offset) if offset <= len(line_content(text)) else None


def _by_lines(spans: Sequence[_Span]) -> list[list[_Span]]:
    """Spans that share a line, together."""
    parts: list[list[_Span]] = []
    for span in spans:
        if parts and span.start.line <= parts[-1][-1].end.line:
            parts[-1].append(span)
        else:
            parts.append([span])
    return parts


def _hunk(lines: Sequence[str], spans: Sequence[_Span]) -> Hunk | None:
    """The smallest hunk that does what spans of neighbouring lines do; None if they change nothing."""
    low, high = spans[0].start.line, min(spans[-1].end.line + 1, len(lines))
    starts = [0]
    for line in lines[low:high]:
        starts.append(starts[-1] + len(line))
    old = "".join(lines[low:high])
    new, done = "", 0
    for span in spans:
        new += old[done : starts[span.start.line - low] + span.start.offset] + span.text
        done = starts[span.end.line - low] + span.end.offset
    whole = Hunk(start_line=low + 1, end_line=high, original=old, replacement=new + old[done:])
    hunk = without_repeated(whole)
    return hunk if hunk.original or hunk.replacement else None
