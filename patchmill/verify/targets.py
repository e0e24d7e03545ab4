"""The findings of a job as a checker sees them: which it reproduces, and which nobody can judge, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from patchmill.edit.span import Hunk
from patchmill.job.record import Finding
from patchmill.verify.checker import CheckerFailure, Diagnostic, FileReport
from patchmill.verify.comparison import reproduced
from patchmill.verify.panel import Panel, Unjudged

NOT_REPRODUCED = "not_reproduced"

# An edit that touches no finding is for the nearest one within this many lines.
_NEAR_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Findings by index: those to look for, with the rule as the checker names it, and those beyond it.

    `unchecked` holds the reason for each finding that cannot be judged, and `told` the words for some of
    these; `matches` the diagnostics of the unchanged file that reproduce the others.
    """

    findings: Mapping[int, Finding]
    rules: Mapping[int, str]
    unchecked: Mapping[int, str]
    matches: Mapping[int, Diagnostic]
    told: Mapping[int, str]

    @classmethod
    def of(cls, findings: Iterable[Finding], panel: Panel) -> Self:
        """Sort findings by whether a checker knows their tool and rule; nothing is reproduced yet."""
        all_findings = {finding.index: finding for finding in findings}
        rules: dict[int, str] = {}
        unchecked: dict[int, str] = {}
        told: dict[int, str] = {}
        for index, finding in all_findings.items():
            rule = panel.rule_of(finding.tool, finding.rule)
            if not isinstance(rule, Unjudged):
                rules[index] = rule
                continue
            unchecked[index] = str(rule.reason)
            if rule.detail is not None:
                told[index] = rule.detail
        return cls(findings=all_findings, rules=rules, unchecked=unchecked, matches={}, told=told)

    def met(self, report: FileReport, panel: Panel, settings: Mapping[str, Any]) -> Self:
        """The targets after the unchanged file's report; a rule that is off reproduces nothing.

        `settings` are those of all checkers by their names.
        """
        enabled = panel.enabled(set(self.rules.values()), settings)
        wanted = {
            index: (self.findings[index], rule) for index, rule in self.rules.items() if rule in enabled
        }
        matches = reproduced(wanted, report)
        missed = {index: NOT_REPRODUCED for index in self.rules if index not in matches}
        return replace(self, unchecked={**self.unchecked, **missed}, matches=matches)

    def failed(self, failure: CheckerFailure) -> Self:
        """The targets after a checker that could not read the unchanged file."""
        lost = dict.fromkeys(self.rules, str(failure.reason))
        return replace(
            self,
            unchecked={**self.unchecked, **lost},
            told={**self.told, **dict.fromkeys(self.rules, failure.detail)},
        )

    def why_unchecked(self, index: int) -> str:
        """The reason for a finding that cannot be judged, with the words for it if there are any."""
        told = self.told.get(index)
        return self.unchecked[index] if told is None else f"{self.unchecked[index]} ({told})"

    def near(self, hunks: Sequence[Hunk]) -> list[int]:
        """The findings that hunks are for: those that they touch, else the nearest within three lines."""
        distances = {
            index: min(_distance(hunk, finding) for hunk in hunks) for index, finding in self.findings.items()
        }
        nearest = min(distances.values(), default=_NEAR_LINES + 1)
        if nearest > _NEAR_LINES:
            return []
        return [index for index, distance in distances.items() if distance == nearest]

    def touched(self, hunk: Hunk) -> bool:
        """Whether a hunk changes lines that a finding points at, or inserts next to them."""
        return any(_distance(hunk, finding) == 0 for finding in self.findings.values())

    def pointed_at(self, hunk: Hunk) -> frozenset[int]:
        """The findings that a hunk is close to: what changes there might as well be one edit with theirs."""
        return frozenset(
            index for index, finding in self.findings.items() if _distance(hunk, finding) <= _NEAR_LINES
        )


def _distance(hunk: Hunk, finding: Finding) -> int:
    """Lines between a hunk and a finding; 0 if they touch, which an insertion does on both sides."""
    first = min(hunk.start_line, hunk.end_line)
    last = max(hunk.start_line, hunk.end_line)
    end = max(finding.start_line, finding.end_line)
    return max(0, finding.start_line - last, first - end)
