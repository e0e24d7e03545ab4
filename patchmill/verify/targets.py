"""The findings of a job as a checker sees them: which it reproduces, and which nobody can judge, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from patchmill.edit.span import Hunk
from patchmill.job.record import Finding
from patchmill.verify.checker import Checker, CheckerFailure, Diagnostic, FileReport
from patchmill.verify.comparison import reproduced

NO_CHECKER = "no_checker"
UNKNOWN_RULE = "unknown_rule"
NOT_REPRODUCED = "not_reproduced"

# An edit that touches no finding is for the nearest one within this many lines.
_NEAR_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Findings by index: those to look for, with the rule as the checker names it, and those beyond it.

    `unchecked` holds the reason for each finding that cannot be judged; `matches` the diagnostics of the
    unchanged file that reproduce the others.
    """

    findings: Mapping[int, Finding]
    rules: Mapping[int, str]
    unchecked: Mapping[int, str]
    matches: Mapping[int, Diagnostic]

    @classmethod
    def of(cls, findings: Iterable[Finding], checker: Checker | None) -> Self:
        """Sort findings by whether the checker knows their tool and rule; nothing is reproduced yet."""
        all_findings = {finding.index: finding for finding in findings}
        rules: dict[int, str] = {}
        unchecked: dict[int, str] = {}
        for index, finding in all_findings.items():
            if checker is None or finding.tool.lower() not in checker.tools:
                unchecked[index] = NO_CHECKER
            elif (rule := checker.canonical_rule(finding.rule)) is None:
                unchecked[index] = UNKNOWN_RULE
            else:
                rules[index] = rule
        return cls(findings=all_findings, rules=rules, unchecked=unchecked, matches={})

    def met(self, report: FileReport, checker: Checker, settings: Mapping[str, Any]) -> Self:
        """The targets after the unchanged file's report; a rule that is off reproduces nothing."""
        enabled = checker.enabled(set(self.rules.values()), settings)
        wanted = {
            index: (self.findings[index], rule) for index, rule in self.rules.items() if rule in enabled
        }
        matches = reproduced(wanted, report)
        missed = {index: NOT_REPRODUCED for index in self.rules if index not in matches}
        return type(self)(
            findings=self.findings,
            rules=self.rules,
            unchecked={**self.unchecked, **missed},
            matches=matches,
        )

    def failed(self, failure: CheckerFailure) -> Self:
        """The targets after a checker that could not read the unchanged file."""
        return type(self)(
            findings=self.findings,
            rules=self.rules,
            unchecked={**self.unchecked, **dict.fromkeys(self.rules, str(failure.reason))},
            matches={},
        )

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


def _distance(hunk: Hunk, finding: Finding) -> int:
    """Lines between a hunk and a finding; 0 if they touch, which an insertion does on both sides."""
    first = min(hunk.start_line, hunk.end_line)
    last = max(hunk.start_line, hunk.end_line)
    end = max(finding.start_line, finding.end_line)
    return max(0, finding.start_line - last, first - end)
