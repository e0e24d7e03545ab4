"""The verdict on proposed hunks: which may be offered, in which groups, and what became of each finding."""

from collections.abc import Mapping, Sequence
from typing import Any

from patchmill.edit.apply import overlap
from patchmill.edit.encoding import UTF_8
from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Annotation, Finding, FindingStatus
from patchmill.verify import feedback
from patchmill.verify.annotate import AnnotateJudge
from patchmill.verify.candidate import Hunks, Meant, lines_of
from patchmill.verify.evidence import Check, CheckName, Result, UnresolvedReason
from patchmill.verify.fix import FixJudge
from patchmill.verify.grouping import Grouping, Judgement, form_groups
from patchmill.verify.proof.prove import Unproven, prove
from patchmill.verify.providers import provided_for
from patchmill.verify.verdict import Group, Refusal, Verdict

__all__ = ["Group", "Refusal", "Verdict", "unprovable", "verify_annotate", "verify_fix"]

NO_RULES: Mapping[str, Sequence[str]] = {}

# Each hunk is tried alone only while all the candidates of a round stay below this many characters.
_MAX_FIX_CHARACTERS = 64 * 1024**2
_MAX_ANNOTATE_CHARACTERS = 2 * 1024**2
_MAX_PARSED_CHARACTERS = 8 * 1024**2


def verify_fix(
    *,
    source: str,
    path: str,
    language: str,
    findings: Sequence[Finding],
    proposals: Sequence[Hunk],
    settings: Mapping[str, Any],
    scope: tuple[int, int] | None,
    reported: Mapping[str, Sequence[str]] = NO_RULES,
    accepted: Sequence[Group] = (),
    meant: Sequence[Meant] = (),
    context: Sequence[str] = (),
    instruction: str = "",
    instructed: bool = False,
    encoding: str = UTF_8,
) -> Verdict:
    """Verify hunks of `source` against its findings, in few checker processes: one if all goes well.

    `settings` is the request's `checkers`, validated. `reported` are rules of other files, by tool, that may
    not appear here. With the `accepted` groups new ones must pass; their findings are settled. `meant` are
    hunks that go together, with their findings; others are for what is near. `context` are other paths.
    """
    judge = FixJudge(
        source=source,
        path=path,
        language=language,
        findings=findings,
        settings=settings,
        reported=reported,
        scope=scope,
        accepted=accepted,
        meant=meant,
        context=context,
        instruction=instruction,
        instructed=instructed,
        encoding=encoding,
    )
    fresh, clashing = _beside(proposals, accepted)
    if not fresh:
        judge([])
    grouping = form_groups(
        fresh,
        judge,
        accepted=accepted,
        alone=not instructed and _each_fits(len(fresh), source, parsed=judge.parses_only),
        together=_together(judge, fresh, _undivided(meant, clashing)),
        wanted=None if instructed else judge.wants,
        core=judge.targets.pointed_at,
    )
    return _verdict(judge, grouping, clashing)


def _verdict(judge: FixJudge, grouping: Grouping, clashing: Sequence[Refusal]) -> Verdict:
    """Say what became of every group and finding, and what to tell the model of those that failed."""
    groups = tuple(_group(judgement, judge.settled) for judgement in grouping.passed)
    refused = grouping.refused
    statuses = _statuses(judge, (*judge.accepted, *groups), refused, clashing)
    left = feedback.refusals(refused) if judge.instructed else _fix_feedback(judge, statuses, refused)
    return Verdict(
        groups=groups,
        refusals=(*clashing, *_refusals(grouping)),
        findings=statuses,
        feedback=feedback.joined([*_clashes(clashing), *left]) if left else "",
        unread=judge.unread,
    )


def _undivided(meant: Sequence[Meant], clashing: Sequence[Refusal]) -> list[Hunks]:
    """The sets of hunks that go together, without those that clash with what is accepted."""
    clashed = {hunk for refusal in clashing for hunk in refusal.hunks}
    return [one.hunks for one in meant if set(one.hunks).isdisjoint(clashed)]


def _together(judge: FixJudge, fresh: Sequence[Hunk], meant: Sequence[Hunks]) -> list[Hunks]:
    """Sets of hunks that are not divided: those meant so, and those with names that no checker knows."""
    if judge.knows_names:
        return [*meant]
    taken = {hunk for hunks in meant for hunk in hunks}
    free = [hunk for hunk in fresh if hunk not in taken]
    return [*meant, *provided_for(judge.source, free, touches=judge.targets.touched)]


def _each_fits(count: int, source: str, *, parsed: bool) -> bool:
    """Whether so many hunks can be tried each by itself."""
    return (count + 1) * len(source) <= (_MAX_PARSED_CHARACTERS if parsed else _MAX_FIX_CHARACTERS)


def verify_annotate(
    *,
    source: str,
    path: str,
    what: frozenset[Annotation],
    proposals: Sequence[Hunk],
    settings: Mapping[str, Any],
    scope: tuple[int, int] | None,
    accepted: Sequence[Group] = (),
    language: str = "python",
    encoding: str = UTF_8,
) -> Verdict:
    """Prove for hunks of `source` that they only add what was asked for and leave behaviour as it is.

    `settings` is the request's `checkers` object, already validated; its target version bounds what hints
    may use. `accepted` are groups that passed before: new groups must pass together with them. A source that
    this Python cannot parse gives no groups, and feedback that says so.
    """
    judge = AnnotateJudge(
        source=source,
        path=path,
        language=language,
        what=what,
        settings=settings,
        scope=scope,
        encoding=encoding,
    )
    fresh, clashing = _beside(proposals, accepted)
    alone = (len(fresh) + 1) * len(source) <= _MAX_ANNOTATE_CHARACTERS
    grouping = form_groups(fresh, judge, accepted=accepted, alone=alone)
    paragraphs = [*_clashes(clashing), *feedback.refusals(grouping.refused)]
    return Verdict(
        groups=tuple(_group(judgement) for judgement in grouping.passed),
        refusals=(*clashing, *_refusals(grouping)),
        findings={},
        feedback=feedback.joined(paragraphs),
    )


def _beside(proposals: Sequence[Hunk], accepted: Sequence[Group]) -> tuple[list[Hunk], tuple[Refusal, ...]]:
    """Leave out what is accepted already, and refuse what would change the same lines again."""
    taken = {hunk for group in accepted for hunk in group.hunks}
    fresh: list[Hunk] = []
    refusals: list[Refusal] = []
    for hunk in proposals:
        clashing = next((other for other in taken if overlap(hunk, other)), None)
        if hunk in taken:
            continue
        if clashing is None:
            fresh.append(hunk)
            continue
        detail = f"{lines_of([hunk])}: overlaps the edit of {lines_of([clashing])}, which is kept"
        check = Check(check=CheckName.APPLIES, result=Result.FAILED, detail=detail)
        refusals.append(Refusal(hunks=(hunk,), checks=(check,)))
    return fresh, tuple(refusals)


def _clashes(refusals: Sequence[Refusal]) -> list[str]:
    return [f"{refusal.checks[0].detail}: leave those lines as they are" for refusal in refusals]


def unprovable(source: str, *, path: str, language: str = "python") -> Unproven | None:
    """Say why nothing can be proven about a source whatever the edits, None when something can."""
    answer = prove(source, [], path=path, what=frozenset(), target=None, language=language)
    return answer if isinstance(answer, Unproven) else None


def _group(judgement: Judgement, settled: frozenset[int] = frozenset()) -> Group:
    assert judgement.status is not None  # noqa: S101 - only what may be offered has passed
    findings = tuple(index for index in judgement.findings if index not in settled)
    return Group(hunks=judgement.hunks, findings=findings, checks=judgement.checks, status=judgement.status)


def _refusals(grouping: Grouping) -> tuple[Refusal, ...]:
    return tuple(Refusal(hunks=refused.hunks, checks=refused.checks) for refused in grouping.refused)


def _statuses(
    judge: FixJudge, groups: Sequence[Group], refused: Sequence[Judgement], clashing: Sequence[Refusal]
) -> dict[int, tuple[FindingStatus, str | None]]:
    """Each finding's status: by its group, else unchecked if it could not be judged, else unresolved."""
    verified = {
        index for group in groups if group.status is FindingStatus.VERIFIED for index in group.findings
    }
    targets = judge.targets
    statuses: dict[int, tuple[FindingStatus, str | None]] = {}
    for index in targets.findings:
        if index in verified:
            statuses[index] = (FindingStatus.VERIFIED, None)
        elif index in targets.unchecked:
            statuses[index] = (FindingStatus.UNCHECKED, targets.unchecked[index])
        else:
            statuses[index] = (FindingStatus.UNRESOLVED, _why_unresolved(judge, index, refused, clashing))
    return statuses


def _why_unresolved(
    judge: FixJudge, index: int, refused: Sequence[Judgement], clashing: Sequence[Refusal]
) -> str:
    """The first check that an edit for this finding failed, what it clashed with, or that there was none."""
    for judgement in refused:
        if index in judgement.findings or index in judge.aims(judgement.hunks):
            failed = [check.check for check in judgement.checks if check.result is Result.FAILED]
            if failed:
                return failed[0]
    clashes = any(index in judge.aims(refusal.hunks) for refusal in clashing)
    return UnresolvedReason.OVERLAP if clashes else UnresolvedReason.NO_EDIT


def _fix_feedback(
    judge: FixJudge,
    statuses: Mapping[int, tuple[FindingStatus, str | None]],
    refused: Sequence[Judgement],
) -> list[str]:
    targets = judge.targets
    unresolved = [index for index, (status, _) in statuses.items() if status is FindingStatus.UNRESOLVED]
    missed = [
        index
        for judgement in refused
        for index in judge.aims(judgement.hunks)
        if statuses[index][0] is FindingStatus.UNCHECKED
    ]
    if not unresolved and not missed:
        return []
    paragraphs = feedback.refusals(refused)
    lines = split_lines(judge.source)
    for index in unresolved:
        finding, match = targets.findings[index], targets.matches[index]
        words = f"Still to do: {finding.tool} {finding.rule} at line {match.start_line}: {match.message}"
        paragraphs.append(f"{words}\n{feedback.quoted(lines, match.start_line, match.end_line)}")
    return paragraphs
