"""Reports before and after an edit: which findings are reproduced, which are gone, what is new."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding
from patchmill.verify.checker import Diagnostic, FileReport
from patchmill.verify.place import Place, Places

_NUMBER = re.compile(r"\b\d+\b")


def reproduced(findings: Mapping[int, tuple[Finding, str]], report: FileReport) -> dict[int, Diagnostic]:
    """Match findings, given with their canonical rules, to the diagnostics of the unchanged file.

    A finding needs a diagnostic of its rule that points at its lines. Of several, the one with its words and
    the nearest columns is taken, and one that no other finding has taken yet is preferred.
    """
    matches: dict[int, Diagnostic] = {}
    taken: Counter[Diagnostic] = Counter()
    by_lines = ByLines(report.diagnostics, marks=True)
    exact: dict[Hashable, list[Diagnostic]] = {}
    for found in reversed(report.diagnostics):
        exact.setdefault((found.rule, found.message, found.start_line, found.start_column), []).append(found)
    for index, (finding, rule) in findings.items():
        same = exact.get((rule, finding.message, finding.start_line, finding.start_column), [])
        while same and taken[same[-1]]:
            same.pop()
        fitting = same[-1:] or by_lines.touching(
            rule, finding.start_line, max(finding.start_line, finding.end_line)
        )
        if fitting:
            best = min(fitting, key=lambda found: (taken[found], *_distance(finding, found)))
            matches[index] = best
            taken[best] += 1
    return matches


class ByLines:
    """Diagnostics of a report by rule and lines, so that thousands can be looked up in a moment.

    With `marks` the further lines that a diagnostic points at count as its own.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], *, marks: bool = False) -> None:
        self._diagnostics = diagnostics
        self._spans: dict[str, list[tuple[int, int, int]]] = {}  # first and last line, and which it is
        for number, found in enumerate(diagnostics):
            for start, end in ((found.start_line, found.end_line), *(found.marks if marks else ())):
                self._spans.setdefault(found.rule, []).append((start, end, number))
        for spans in self._spans.values():
            spans.sort()
        self._reach = {
            rule: list(accumulate((end for _, end, _ in spans), max)) for rule, spans in self._spans.items()
        }

    def touching(self, rule: str, start: int, end: int) -> list[Diagnostic]:
        """Give those of a rule that share a line with start to end, in the order of the report."""
        spans = self._spans.get(rule, [])
        found: set[int] = set()
        place = bisect_right(spans, end, key=lambda span: span[0]) - 1
        while place >= 0 and self._reach[rule][place] >= start:
            if spans[place][1] >= start:
                found.add(spans[place][2])
            place -= 1
        return [self._diagnostics[number] for number in sorted(found)]


def _distance(finding: Finding, found: Diagnostic) -> tuple[bool, int, int]:
    columns = 0 if finding.start_column is None else abs(finding.start_column - found.start_column)
    return found.message != finding.message, abs(finding.start_line - found.start_line), columns


@dataclass(frozen=True, kw_only=True)
class Version:
    """A text of the file and the checker's report on it."""

    text: str
    report: FileReport

    @cached_property
    def by_lines(self) -> ByLines:
        """The report's diagnostics by their lines."""
        return ByLines(self.report.diagnostics)


class Comparison:
    """What hunks changed in the checker's report on a file.

    Messages are compared with their numbers masked, since many carry counts or line numbers that move.
    """

    def __init__(self, base: Version, edited: Version, hunks: Sequence[Hunk]) -> None:
        self._base = base
        self._edited = edited
        self._places = Places.of(hunks)
        self._old_line = _with_line(split_lines(base.text))
        self._new_line = _with_line(split_lines(edited.text))

    def gone(self, matches: Mapping[int, Diagnostic]) -> set[int]:
        """The findings, among those reproduced, that are no longer reported.

        A diagnostic is gone if nothing of its rule is left where it was that could be it, and the file has
        as many fewer diagnostics of that rule: one that only moved elsewhere is not gone.
        """
        away = {index: found for index, found in matches.items() if not self._survives(found)}
        before = Counter(found.rule for found in self._base.report.diagnostics)
        after = Counter(found.rule for found in self._edited.report.diagnostics)
        claimed = Counter(found.rule for found in set(away.values()))
        return {
            index
            for index, found in away.items()
            if before[found.rule] - after[found.rule] >= claimed[found.rule]
        }

    def new(self) -> list[Diagnostic]:
        """The diagnostics that the edits brought: those beyond the same rule and words at the same place.

        A diagnostic of several lines is at the same place, too, if it overlaps what those lines became.
        """
        known: dict[tuple[str, str, Place], list[Diagnostic]] = {}
        for found in self._base.report.diagnostics:
            known.setdefault((*_words(found), self._places.of_old(found.start_line)), []).append(found)
        unmatched: list[Diagnostic] = []
        for found in self._edited.report.diagnostics:
            same = known.get((*_words(found), self._places.of_new(found.start_line)))
            if same:
                same.pop()
            else:
                unmatched.append(found)
        left = [found for same in known.values() for found in same if found.end_line > found.start_line]
        return [found for found in unmatched if not self._take_overlapping(found, left)]

    def _take_overlapping(self, found: Diagnostic, left: list[Diagnostic]) -> bool:
        for old in left:
            if _words(old) == _words(found):
                _, now = self._places.region(old.start_line, old.end_line)
                if now.overlaps(found.start_line, found.end_line):
                    left.remove(old)
                    return True
        return False

    def _survives(self, diagnostic: Diagnostic) -> bool:
        """Whether something in the edited report can be this diagnostic: by text, by words, or by rule."""
        then, now = self._places.region(diagnostic.start_line, diagnostic.end_line)
        before = self._base.by_lines.touching(diagnostic.rule, then.start, then.end)
        after = self._edited.by_lines.touching(diagnostic.rule, now.start, now.end)
        for old_key, new_key in ((self._old_line, self._new_line), (_words, _words), (_rule, _rule)):
            before, after = _unmatched(before, after, old_key, new_key)
        return diagnostic not in before


_Key = Callable[[Diagnostic], Hashable]


def _unmatched(
    before: Sequence[Diagnostic], after: Sequence[Diagnostic], old_key: _Key, new_key: _Key
) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """What is left of two lists when diagnostics with equal keys have been paired off, in order."""
    waiting: dict[Hashable, list[Diagnostic]] = {}
    for found in after:
        waiting.setdefault(new_key(found), []).append(found)
    left: list[Diagnostic] = []
    for found in before:
        same = waiting.get(old_key(found))
        if same:
            same.pop(0)
        else:
            left.append(found)
    return left, [found for same in waiting.values() for found in same]


def _words(found: Diagnostic) -> tuple[str, str]:
    return found.rule, _NUMBER.sub("#", found.message)


def _rule(found: Diagnostic) -> str:
    return found.rule


def _with_line(lines: Sequence[str]) -> _Key:
    def key(found: Diagnostic) -> Hashable:
        line = lines[found.start_line - 1] if 0 < found.start_line <= len(lines) else ""
        return (*_words(found), line.strip())

    return key
