"""Fixes for findings: ruff's own, and a few rewrites for rules that ruff does not fix."""

from collections.abc import Sequence
from dataclasses import dataclass

from patchmill.dev.standin import rewrites, ruff_process
from patchmill.dev.standin.prompt import AskedFinding, Task
from patchmill.dev.standin.ruff_process import Report
from patchmill.dev.standin.source_text import SourceText, TextEdit, changes

_ROUNDS = 5
_DRIFT_LINES = 3
_NEAR_LINES = 30
_UNUSED = "F401"
_BY_RUFF = "ruff's own fixes"
_BY_HAND = "rewrites from a short list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """The new text, the rules whose findings it fixes, and how that was done.

    `together` holds ranges of the source's lines, one for each fix, that only make sense as a whole.
    """

    text: SourceText
    rules: tuple[str, ...]
    ways: tuple[str, ...]
    together: tuple[range, ...]


def mend(task: Task) -> Mended | None:
    """Fix as many of the findings as possible; None when there is no fix for any.

    Fixes that change the same text are made one after the other, each on the text that the one before left.
    """
    current = task.source
    pending = [finding for finding in task.findings if finding.rule is not None]
    fixed: list[str] = []
    ways: set[str] = set()
    together: list[range] = []
    for number in range(_ROUNDS):
        round_ = _Round(task, current, drift=_DRIFT_LINES if number else 0)
        pending = round_.fix(pending)
        if not round_.accepted:
            break
        fixed += round_.fixed
        ways |= round_.ways
        together += round_.together
        current = current.apply(round_.accepted)
        if not pending:
            break
    if not fixed or current.text == task.source.text:
        return None
    current = _without_orphans(task, current)
    return Mended(
        text=current, rules=tuple(fixed), ways=tuple(sorted(ways, reverse=True)), together=tuple(together)
    )


class _Round:
    """One run over the text as it is now: collects edits that do not conflict."""

    def __init__(self, task: Task, current: SourceText, *, drift: int) -> None:
        self._task = task
        self._current = current
        self._drift = drift
        self._origins = _origins(task.source, current)
        self.accepted: list[TextEdit] = []
        self.fixed: list[str] = []
        self.ways: set[str] = set()
        self.together: list[range] = []

    def fix(self, findings: Sequence[AskedFinding]) -> list[AskedFinding]:
        """Take up what can be fixed; gives back what has to wait for the next round."""
        rules = [finding.rule for finding in findings if finding.rule is not None]
        reports = ruff_process.check(
            self._current, path=self._task.path, rules=rules, target_version=self._task.target_version
        )
        waiting: list[AskedFinding] = []
        for finding in findings:
            report = self._report_of(finding, reports)
            if report is None:
                continue
            reports.remove(report)
            edits, way = report.edits, _BY_RUFF
            if not edits:
                edits, way = rewrites.rewrite(report.rule, self._current, report.line), _BY_HAND
            if not edits or not self.allows(edits):
                continue
            new = [edit for edit in edits if edit not in self.accepted]
            if any(edit.conflicts_with(other) for edit in new for other in self.accepted):
                waiting.append(finding)
                continue
            self.accepted += new
            self.fixed.append(report.rule)
            self.ways.add(way)
            self.together += self._one_place(edits)
        return waiting

    def _report_of(self, finding: AskedFinding, reports: Sequence[Report]) -> Report | None:
        expected = self._line_now(finding.line)
        near = [
            report
            for report in reports
            if report.rule == finding.rule and abs(report.line - expected) <= self._drift
        ]
        return min(
            near,
            key=lambda report: (
                abs(report.line - expected),
                0 if finding.column is None else abs(report.column - finding.column),
            ),
            default=None,
        )

    def _line_now(self, line: int) -> int:
        """Where a line of the source is now; for one that is gone, where the nearest one above is."""
        now = 1
        for index, origin in enumerate(self._origins, start=1):
            if origin is not None and origin <= line:
                now = index
        return now

    def _one_place(self, edits: Sequence[TextEdit]) -> list[range]:
        """The source's lines from the first to the last edit, if they are near and all shown."""
        touched = {
            line for edit in edits for line in self._current.touched(edit) if 0 < line <= len(self._origins)
        }
        found = [origin for line in touched if (origin := self._origins[line - 1]) is not None]
        if not found:
            return []
        place = range(min(found), max(found) + 1)
        return [place] if len(place) <= _NEAR_LINES and self._task.shown.issuperset(place) else []

    def allows(self, edits: Sequence[TextEdit]) -> bool:
        """Whether all edits stay within the lines that may change."""
        for edit in edits:
            decide = any if self._current.is_between_lines(edit) else all
            if not decide(self._may_change(line) for line in self._current.touched(edit)):
                return False
        return True

    def _may_change(self, line: int) -> bool:
        if not 1 <= line <= len(self._origins):
            return False
        origin = self._origins[line - 1]
        # Lines without an origin were written in an earlier round, so their place was allowed then.
        return origin is None or self._task.may_change(origin)


def _without_orphans(task: Task, current: SourceText) -> SourceText:
    """The text without the imports that only the fixes left unused.

    Excerpts do not show all uses; there an import goes only once a repair turn complained about it.
    """
    if "import" not in current.text:
        return current
    before, now = (
        ruff_process.check(text, path=task.path, rules=[_UNUSED], target_version=task.target_version)
        for text in (task.source, current)
    )
    known = {report.message for report in before}
    orphans = [
        report
        for report in now
        if report.message not in known
        and (task.is_whole or any(report.message in complaint for complaint in task.repairs))
    ]
    edits = dict.fromkeys(edit for report in orphans for edit in report.edits)
    return current.apply(edits) if _Round(task, current, drift=0).allows(list(edits)) else current


def _origins(source: SourceText, current: SourceText) -> list[int | None]:
    """For each line now, the line of the source that it is; None for a new one."""
    origins: list[int | None] = []
    position = 0
    for change in changes(source.lines, current.lines):
        origins += range(position + 1, change.old_start + 1)
        origins += [None] * (change.new_end - change.new_start)
        position = change.old_end
    origins += range(position + 1, len(source.lines) + 1)
    return origins
