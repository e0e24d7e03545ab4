"""What reporting tools' own safe fixes achieve together: they cost nothing, and they get in each other's way.

As linters themselves do, this works in rounds: of fixes that overlap the smallest is taken, what passes is
applied, the checker is run on the result, and its fixes of the findings that are left are taken again. Such a
fix becomes an edit of the unchanged source, together with the earlier edits whose lines it shares. A round
counts only if it keeps all that was settled before, and settles more.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, takewhile
from typing import Protocol

from patchmill.edit.apply import apply_hunks, overlap
from patchmill.edit.compose import compose
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Finding, FindingStatus, Task
from patchmill.verify.candidate import Hunks, Meant, in_order
from patchmill.verify.evidence import UnresolvedReason
from patchmill.verify.panel import Panel, Unjudged, fixing
from patchmill.verify.place import Places
from patchmill.verify.tool_fixes import edits_as_hunks, safe_edits, tool_fix_hunks
from patchmill.verify.verdict import NOTHING, Group, Refusal, Verdict

_MAX_ROUNDS = 12


class Verify(Protocol):
    """Verifies sets of hunks that are each meant for findings, beside groups that are kept."""

    def __call__(self, meant: Sequence[Meant], accepted: Sequence[Group]) -> Verdict:
        """Give the verdict on all of them."""
        ...


def mend(task: Task, accepted: Sequence[Group], *, contested: bool, verify: Verify) -> Verdict:
    """Verify the safe fixes of findings that no accepted group is for.

    A fix is contested when it touches lines of a finding that no tool mends; with `contested` false such
    fixes are left alone. The verdict has no feedback.
    """
    mended = {index for group in accepted for index in group.findings}
    lines = split_lines(task.source)
    fixes = {
        finding.index: tool_fix_hunks(lines, finding)
        for finding in task.findings
        if finding.index not in mended
    }
    known = {index: hunks for index, hunks in fixes.items() if hunks is not None}
    unmended = () if contested else tuple(one for one in task.findings if fixes.get(one.index, ()) is None)
    if not known:
        return NOTHING
    rounds = _Rounds(task=task, reported=known, unmended=unmended, accepted=tuple(accepted), verify=verify)
    return rounds.run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fix:
    """A fix as hunks of the source; `replaces` are kept hunks that are part of it, and need not stay."""

    hunks: Hunks
    findings: frozenset[int]
    replaces: frozenset[Hunk] = frozenset()


@dataclass(slots=True, kw_only=True)
class _Rounds:
    """The state between rounds: `own` are the groups of the tools' fixes that are kept so far."""

    task: Task
    reported: Mapping[int, Hunks]
    unmended: Sequence[Finding]
    accepted: tuple[Group, ...]
    verify: Verify
    own: tuple[Group, ...] = ()
    widened: set[int] = field(default_factory=set)  # findings whose fix did not pass by itself
    tried: set[int] = field(default_factory=set)  # those whose fix did not pass with its neighbours either
    reasons: dict[int, str] = field(default_factory=dict)  # why, of those that are unresolved
    fates: Mapping[int, tuple[FindingStatus, str | None]] = field(default_factory=dict)
    refusals: list[tuple[Refusal, set[int]]] = field(default_factory=list)  # with the findings aimed at
    unread: bool = False

    def run(self) -> Verdict:
        """Go through the rounds, as long as there is something to try."""
        fixes = [_Fix(hunks=hunks, findings=frozenset({index})) for index, hunks in self.reported.items()]
        for _ in range(_MAX_ROUNDS):
            chosen = self._chosen(fixes)
            if not chosen:
                break
            self._try(chosen)
            if self.unread or not self._open():
                break
            fixes = self._again()
        own = sorted(self.own, key=lambda group: group.hunks[0].start_line)
        settled = {index for group in own for index in group.findings}
        return Verdict(
            groups=tuple(own),
            refusals=tuple(refusal for refusal, aims in self.refusals if not aims <= settled),
            findings={index: self._fate(index) for index in self.fates},
            feedback="",
            unread=self.unread,
        )

    @property
    def findings(self) -> dict[int, Finding]:
        """The task's findings by their index."""
        return {finding.index: finding for finding in self.task.findings}

    @property
    def _kept(self) -> Hunks:
        return in_order(hunk for group in (*self.accepted, *self.own) for hunk in group.hunks)

    def _open(self) -> list[int]:
        """The findings that are reproduced and not mended, and whose fix has not failed."""
        return [
            index
            for index in self.reported
            if index not in self.tried and self.fates[index][0] is FindingStatus.UNRESOLVED
        ]

    def _chosen(self, fixes: Iterable[_Fix]) -> list[_Fix]:
        """Of fixes that overlap the smaller ones, so that as many as possible are taken."""
        kept = list(self._kept)
        chosen: list[_Fix] = []
        taken: list[Hunk] = []
        for fix in sorted(_joined(fixes), key=_size):
            if any(_touches(hunk, finding) for hunk in fix.hunks for finding in self.unmended):
                continue
            clashing = {other for hunk in fix.hunks for other in _overlapping(hunk, kept)}
            if clashing <= fix.replaces and not any(_overlapping(hunk, taken) for hunk in fix.hunks):
                chosen.append(fix)
                for hunk in fix.hunks:
                    insort(taken, hunk, key=_place)
        return chosen

    def _try(self, chosen: Sequence[_Fix]) -> None:
        """Verify fixes, and keep what they achieve if nothing is lost for it."""
        replaced = {hunk for fix in chosen for hunk in fix.replaces}
        opened = [group for group in self.own if not replaced.isdisjoint(group.hunks)]
        left = [group for group in self.own if group not in opened]
        wholes = _joined(_with_groups(fix, opened, replaced) for fix in chosen)
        meant = [Meant(hunks=whole.hunks, findings=whole.findings) for whole in wholes]
        verdict = self.verify(meant, (*self.accepted, *left))
        passed = {hunk for group in verdict.groups for hunk in group.hunks}
        own = (*left, *verdict.groups)
        better = _settled(own) > _settled(self.own)
        if better or not self.fates:
            self.own, self.fates = own, verdict.findings
        failed = [fix for fix in chosen if not passed.issuperset(fix.hunks)]
        if not better and not failed:
            failed = list(chosen)
        missed = {index for fix in failed for index in fix.findings}
        self.tried |= {index for index in missed if index in self.widened or not self._neighbours(index)}
        self.widened |= missed
        for refusal in verdict.refusals:
            aims = (one.findings for one in meant if not set(one.hunks).isdisjoint(refusal.hunks))
            self.refusals.append((refusal, set().union(*aims)))
        self.unread = verdict.unread
        for index, (_, reason) in verdict.findings.items():
            if reason is not None and reason != UnresolvedReason.NO_EDIT:
                self.reasons[index] = reason

    def _again(self) -> list[_Fix]:
        """The fixes of open findings for the file as it is now: the checker's own, or those reported."""
        kept = self._kept
        fixes: list[_Fix] = []
        found = self._found(apply_hunks(self.task.source, kept))
        for index in self._open():
            edits = found.get(index)
            fix = None if edits is None else self._composed(kept, edits, index)
            fixes.append(fix or self._beside(index))
        return fixes

    def _beside(self, index: int) -> _Fix:
        """A fix as it was reported, with those that are kept of the same lines where they leave it room."""
        hunks = self.reported[index]
        groups = [
            group
            for group in self.own
            if any(overlap(hunk, other) for hunk in hunks for other in group.hunks)
        ]
        involved = {index}.union(*(group.findings for group in groups))
        edits = (edit for each in sorted(involved) for edit in safe_edits(self.findings[each]))
        together = edits_as_hunks(split_lines(self.task.source), tuple(dict.fromkeys(edits)))
        replaces = frozenset(hunk for group in groups for hunk in group.hunks)
        if together is None:
            return _Fix(hunks=hunks, findings=frozenset({index}))
        return _Fix(hunks=together, findings=frozenset(involved), replaces=replaces)

    def _found(self, text: str) -> dict[int, Hunks]:
        """The checker's safe fixes of open findings, by index, as hunks of the text that is kept so far."""
        panel = fixing(self.task.language)
        rules = {} if panel is None else _rules(panel, [self.findings[index] for index in self._open()])
        if panel is None or not rules:
            return {}
        reports = panel.diagnose(
            [text],
            path=self.task.path,
            rules=sorted(set(rules.values())),
            settings=self.task.checkers,
        )
        if not isinstance(reports, list):
            return {}
        places, lines = Places.of(self._kept), split_lines(text)
        hunks: dict[int, Hunks] = {}
        for index, rule in rules.items():
            fixable = [found for found in reports[0].diagnostics if found.rule == rule and found.fix]
            _, now = places.region(self.findings[index].start_line, self.findings[index].end_line)
            here = next((found for found in fixable if now.overlaps(found.start_line, found.end_line)), None)
            edits = None if here is None else edits_as_hunks(lines, here.fix)
            if edits is not None:
                hunks[index] = edits
        return hunks

    def _composed(self, kept: Hunks, edits: Hunks, index: int) -> _Fix | None:
        """A fix of the text that is kept so far, as one of the source; None if it changes others' edits."""
        try:
            parts = compose(self.task.source, kept, edits)
        except ValueError:  # it leaves a line without an end before another
            return None
        within = {hunk for part in parts for hunk in part.first}
        own = {hunk for group in self.own for hunk in group.hunks}
        made = [part.hunk for part in parts if part.hunk is not None]
        if not made or not within <= own:
            return None
        needed = self._neighbours(index) if index in self.widened else set()
        return _Fix(
            hunks=_runs((*made, *(needed - within))),
            findings=frozenset({index}),
            replaces=frozenset(within | needed),
        )

    def _neighbours(self, index: int) -> set[Hunk]:
        """The hunks of own groups that touch the finding's lines: a fix of what they leave may need them."""
        finding = self.findings[index]
        groups = (group for group in self.own if any(_touches(hunk, finding) for hunk in group.hunks))
        return {hunk for group in groups for hunk in group.hunks}

    def _fate(self, index: int) -> tuple[FindingStatus, str | None]:
        """What became of a finding; a fix that was never tried was in the way of another."""
        status, reason = self.fates[index]
        if status is not FindingStatus.UNRESOLVED or reason != UnresolvedReason.NO_EDIT:
            return status, reason
        if index in self.reasons:
            return status, self.reasons[index]
        kept = list(self._kept)
        blocked = any(_overlapping(hunk, kept) for hunk in self.reported.get(index, ()))
        return status, UnresolvedReason.OVERLAP if blocked else reason


def _rules(panel: Panel, findings: Sequence[Finding]) -> dict[int, str]:
    """Canonical rules by the findings that the checker can know."""
    named = {finding.index: panel.rule_of(finding.tool, finding.rule) for finding in findings}
    return {index: rule for index, rule in named.items() if not isinstance(rule, Unjudged)}


def _joined(fixes: Iterable[_Fix]) -> list[_Fix]:
    """Fixes with those joined that share a hunk, such as a common import, as far as they go together."""
    joined: dict[Hunk, _Fix] = {}
    apart: list[_Fix] = []
    for fix in fixes:
        whole = fix
        for other in {joined[hunk].hunks: joined[hunk] for hunk in fix.hunks if hunk in joined}.values():
            hunks = in_order((*whole.hunks, *other.hunks))
            if not any(overlap(before, after) for before, after in pairwise(hunks)):
                whole = _Fix(
                    hunks=hunks,
                    findings=whole.findings | other.findings,
                    replaces=whole.replaces | other.replaces,
                )
        if whole is fix and any(hunk in joined for hunk in fix.hunks):
            apart.append(fix)
        else:
            joined |= dict.fromkeys(whole.hunks, whole)
    return [*{fix.hunks: fix for fix in joined.values()}.values(), *apart]


def _overlapping(hunk: Hunk, others: Sequence[Hunk]) -> list[Hunk]:
    """Those that overlap a hunk, among others that do not overlap each other and are in order."""
    first = max(0, bisect_left(others, _place(hunk), key=_place) - 1)
    near = takewhile(lambda other: other.start_line <= hunk.end_line + 1, islice(others, first, None))
    return [other for other in near if overlap(hunk, other)]


def _place(hunk: Hunk) -> tuple[int, int]:
    return hunk.start_line, hunk.end_line


def _with_groups(fix: _Fix, opened: Sequence[Group], replaced: set[Hunk]) -> _Fix:
    """A fix with what is left of the groups whose hunks it holds."""
    hunks, findings = list(fix.hunks), fix.findings
    for group in opened:
        if not fix.replaces.isdisjoint(group.hunks):
            hunks += [hunk for hunk in group.hunks if hunk not in replaced]
            findings |= frozenset(group.findings)
    return _Fix(hunks=_runs(hunks), findings=findings, replaces=fix.replaces)


def _runs(hunks: Iterable[Hunk]) -> Hunks:
    """Hunks of one group, as one where they stand right next to each other."""
    runs: list[Hunk] = []
    for hunk in in_order(hunks):
        if runs and runs[-1].end_line + 1 == hunk.start_line:
            before = runs.pop()
            runs.append(
                Hunk(
                    start_line=before.start_line,
                    end_line=hunk.end_line,
                    original=before.original + hunk.original,
                    replacement=before.replacement + hunk.replacement,
                )
            )
        else:
            runs.append(hunk)
    return tuple(runs)


def _settled(groups: Iterable[Group]) -> set[tuple[int, FindingStatus]]:
    return {(index, group.status) for group in groups for index in group.findings}


def _size(fix: _Fix) -> tuple[int, int]:
    """Lines of the source that a fix takes, then its place."""
    return sum(hunk.end_line - hunk.start_line + 1 for hunk in fix.hunks), fix.hunks[0].start_line


def _touches(hunk: Hunk, finding: Finding) -> bool:
    return hunk.start_line <= finding.end_line and finding.start_line <= max(hunk.start_line, hunk.end_line)
