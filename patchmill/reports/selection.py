"""From reports to the findings of jobs: what is mended, file by file, and what is skipped and why."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from patchmill.edit.changes import ChangedFile
from patchmill.job.record import Finding, ToolFix
from patchmill.kinds.languages import language_of
from patchmill.reports.generated import is_generated
from patchmill.reports.places import FileText, match
from patchmill.reports.report import MAX_FIXES, Reported

_MAX_SHOWN = 1_024  # characters of a name in a skipped finding


class Filter(StrEnum):
    """Which findings the diff lets through."""

    ADDED = "added"  # those that touch a line which the diff adds
    DIFF_CONTEXT = "diff_context"  # those that touch a line of a hunk, unchanged ones too
    FILE = "file"  # those in a file of the diff
    NOFILTER = "nofilter"  # all


class Reason(StrEnum):
    """Why a finding is not mended; in this order, the first that holds is given."""

    SUPPRESSED = "suppressed"  # the project has accepted it
    NO_FILE = "no_file"  # it is in no submitted file, or on a line that the file does not have
    GENERATED_FILE = "generated_file"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    OUTSIDE_DIFF = "outside_diff"
    DUPLICATE = "duplicate"  # the same finding came before, in this report or another


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A finding that is not mended: the number of its report, its own number within it, and why."""

    report: int
    finding: int
    path: str  # of the submitted file; as the report names it, where none was submitted
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a run is to do: the findings of each file, by path, in the order of the file."""

    files: Mapping[str, tuple[Finding, ...]]
    skipped: tuple[Skipped, ...]
    total: int


def select(
    reports: Sequence[Sequence[Reported]],
    files: Mapping[str, str],
    diff: Mapping[str, ChangedFile] | None,
    chosen: Filter,
) -> Selection:
    """Choose what to mend; `files` are the submitted ones, text by path.

    Without a diff nothing but `Filter.NOFILTER` lets a finding through.
    """
    choosing = _Choosing(files, diff or {}, chosen)
    skipped: list[Skipped] = []
    for number, report in enumerate(reports):
        paths = match((found.name for found in report), files)
        for found in report:
            path = paths.get(found.name)
            reason = choosing.take(found, path)
            if reason is not None:
                shown = (path or found.name)[:_MAX_SHOWN]
                skipped.append(Skipped(report=number, finding=found.number, path=shown, reason=reason))
    total = sum(map(len, reports))
    return Selection(files=choosing.chosen(), skipped=tuple(skipped), total=total)


_Place = tuple[str, str, int, int | None, int, int | None, str]


class _Choosing:
    def __init__(self, files: Mapping[str, str], diff: Mapping[str, ChangedFile], chosen: Filter) -> None:
        self._files = files
        self._diff = diff
        self._filter = chosen
        self._texts: dict[str, FileText] = {}
        self._refused: dict[str, Reason | None] = {}
        self._changed: dict[str, _Changed] = {}
        self._taken: dict[str, dict[_Place, Finding]] = {}

    def take(self, found: Reported, path: str | None) -> Reason | None:
        """Take a finding in, or say why not."""
        if found.suppressed:
            return Reason.SUPPRESSED
        if path is None:
            return Reason.NO_FILE
        if path not in self._texts:
            self._texts[path] = FileText(self._files[path])
            self._refused[path] = self._refusal(path)
        text = self._texts[path]
        place = text.of_finding(found.place, found.unit)
        if place is None:
            return Reason.NO_FILE
        refused = self._refused[path]
        if refused is not None:
            return refused
        if not self._touched(path, place.start_line, place.end_line):
            return Reason.OUTSIDE_DIFF
        fixes = [text.of_fix(fix, found.unit) for fix in found.fixes]
        finding = Finding(
            index=0,
            tool=found.tool,
            rule=found.rule,
            message=found.message,
            severity=found.severity,
            start_line=place.start_line,
            end_line=place.end_line,
            start_column=place.start_column,
            end_column=place.end_column,
            fixes=tuple(fix for fix in fixes if fix is not None),
        )
        return self._add(path, finding)

    def _refusal(self, path: str) -> Reason | None:
        if is_generated(path, self._files[path]):
            return Reason.GENERATED_FILE
        return Reason.UNSUPPORTED_LANGUAGE if language_of(path) is None else None

    def _touched(self, path: str, start: int, end: int) -> bool:
        if self._filter is Filter.NOFILTER:
            return True
        if path not in self._diff:
            return False
        if self._filter is Filter.FILE:
            return True
        if path not in self._changed:
            self._changed[path] = _Changed(self._diff[path], context=self._filter is Filter.DIFF_CONTEXT)
        return self._changed[path].touches(start, end)

    def _add(self, path: str, finding: Finding) -> Reason | None:
        """Keep it; of one that is there already, only the fixes that are new."""
        taken = self._taken.setdefault(path, {})
        place = _identity(finding)
        earlier = taken.get(place)
        if earlier is None:
            taken[place] = finding
            return None
        taken[place] = replace(earlier, fixes=_joined(earlier.fixes, finding.fixes))
        return Reason.DUPLICATE

    def chosen(self) -> dict[str, tuple[Finding, ...]]:
        """Give what was taken: files by path, findings in the order of their file."""
        return {
            path: tuple(
                replace(finding, index=index)
                for index, finding in enumerate(sorted(taken.values(), key=_in_the_file))
            )
            for path, taken in sorted(self._taken.items())
        }


class _Changed:
    """The lines of a file that its diff is about, ready to be asked often."""

    def __init__(self, changed: ChangedFile, *, context: bool) -> None:
        lines: Iterable[int]
        if context:
            lines = (line for hunk in changed.hunks for line in range(hunk.start_line, hunk.end_line + 1))
        else:
            lines = (line for hunk in changed.hunks for line in hunk.added)
        self._lines = sorted(set(lines))

    def touches(self, start: int, end: int) -> bool:
        """Whether one of the lines lies from start to end, both included."""
        following = bisect_left(self._lines, start)
        return following < len(self._lines) and self._lines[following] <= end


def _identity(finding: Finding) -> _Place:
    """What makes two findings one; where no column tells them apart, the message does."""
    return (
        finding.tool,
        finding.rule,
        finding.start_line,
        finding.start_column,
        finding.end_line,
        finding.end_column,
        finding.message if finding.start_column is None else "",
    )


def _in_the_file(finding: Finding) -> tuple[int, int]:
    return finding.start_line, finding.start_column or 0


def _joined(fixes: tuple[ToolFix, ...], more: tuple[ToolFix, ...]) -> tuple[ToolFix, ...]:
    return (*fixes, *(fix for fix in more if fix not in fixes))[:MAX_FIXES]
