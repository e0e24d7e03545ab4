"""Which hunks need each other: each is tried alone, then those that fail together, then all that passed.

Hunks that were made to go together count as one. In rounds, each judging many candidates at once:
1. each hunk alone;
2. those that achieve nothing alone joined (and joined without one of them), everything as one, and all
   together what passed;
3. only if three or more were joined: what they achieve without each of them, so that a group carries nothing
   that it could do without; then without all such, or as many of them as may go, at most three rounds. What
   is close to a finding that the group settles is no such thing: to the checker half a repair may do, too;
4. only if what passed does not pass all together: the largest part of it that does, of those that leave out
   one group or all from one group on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchmill.edit.span import Hunk
from patchmill.job.record import FindingStatus
from patchmill.verify.candidate import Hunks, in_order
from patchmill.verify.evidence import Check, CheckName, Result
from patchmill.verify.verdict import Group

# Above these, hunks are judged as one group only: bytes of all the candidates of a round, and their number.
MAX_ALONE = 200
# How many idle hunks there must be for joining all but one of them to be worth trying.
_LEFT_OUT = (3, 12)
# How often a joined group is asked what it could do without.
_SHEDDING_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What checks say of one candidate.

    `sound`: nothing about it is wrong, though it may achieve nothing. `status` is set if it may be offered.
    `gain` counts what it achieves, and `findings` are the indexes that it settles. `joinable` is false if no
    other hunk could make it pass. `complaints` are the checker's words, for the model.
    """

    hunks: Hunks
    checks: tuple[Check, ...]
    sound: bool
    status: FindingStatus | None
    gain: int
    findings: tuple[int, ...] = ()
    joinable: bool = True
    complaints: tuple[str, ...] = ()


class Judge(Protocol):
    """Judges candidates, all of one call in as few processes as it can."""

    def __call__(self, candidates: Sequence[Hunks]) -> list[Judgement]:
        """Give one judgement for each candidate, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Judgements that stand, alone and all together, and those that do not."""

    passed: tuple[Judgement, ...]
    refused: tuple[Judgement, ...]


class _Bench:
    """A judge that is never asked about the same candidate twice."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known: dict[Hunks, Judgement] = {}

    def ask(self, candidates: Sequence[Hunks]) -> list[Judgement]:
        unknown = [wanted for wanted in dict.fromkeys(candidates) if wanted not in self._known]
        if unknown:
            self._known.update(zip(unknown, self._judge(unknown), strict=True))
        return [self._known[wanted] for wanted in candidates]


def form_groups(
    proposals: Sequence[Hunk],
    judge: Judge,
    *,
    accepted: Sequence[Group] = (),
    alone: bool = True,
    together: Sequence[Hunks] = (),
    wanted: Callable[[Hunk], bool] | None = None,
    core: Callable[[Hunk], frozenset[int]] = lambda _: frozenset(),
) -> Grouping:
    """Divide proposals into groups that pass each by itself and all together, `accepted` included.

    With `alone` false everything is one candidate: for files too large to try each hunk. What that group
    could do without nobody then knows, so hunks that are not `wanted` are refused. `together` are disjoint
    sets of proposals that are not divided. `core` tells the findings that a hunk is close to.
    """
    bench = _Bench(judge)
    hunks = in_order(proposals)
    if not hunks:
        return Grouping(passed=(), refused=())
    if not alone or len(hunks) > MAX_ALONE:
        return _as_one(bench, hunks, accepted, wanted)
    whole_of = {hunk: in_order(unit) for unit in together for hunk in unit}
    singles = bench.ask(list(dict.fromkeys(whole_of.get(hunk, (hunk,)) for hunk in hunks)))
    good = [single for single in singles if single.status]
    idle = [single for single in singles if not single.status and single.joinable]
    hopeless = [single for single in singles if not single.status and not single.joinable]
    chosen, left = _join(bench, good, idle, accepted, core)
    grouping = _all_together(bench, chosen, left, accepted)
    return Grouping(passed=grouping.passed, refused=(*grouping.refused, *hopeless))


def _as_one(
    bench: _Bench, hunks: Hunks, accepted: Sequence[Group], wanted: Callable[[Hunk], bool] | None
) -> Grouping:
    """Judge what is wanted of too many hunks as one group."""
    taken = hunks if wanted is None else tuple(filter(wanted, hunks))
    stray = [_stray(hunk) for hunk in hunks if hunk not in set(taken)]
    if not taken:
        return Grouping(passed=(), refused=tuple(stray))
    whole = bench.ask([taken])[0]
    if not whole.status:
        return Grouping(passed=(), refused=(whole, *stray))
    return _all_together(bench, [whole], stray, accepted)


def _stray(hunk: Hunk) -> Judgement:
    detail = "there are too many edits to find out what this one is for; it touches no finding: leave it"
    check = Check(check=CheckName.IN_SCOPE, result=Result.FAILED, detail=detail)
    return Judgement(hunks=(hunk,), checks=(check,), sound=False, status=None, gain=0, joinable=False)


def _join(
    bench: _Bench,
    good: list[Judgement],
    idle: list[Judgement],
    accepted: Sequence[Group],
    core: Callable[[Hunk], frozenset[int]],
) -> tuple[list[Judgement], list[Judgement]]:
    """Make groups of what achieves nothing alone; gives the groups to offer and what is left over."""
    if not idle:
        return good, []
    joined = _hunks(idle)
    wanted = [joined] if len(idle) > 1 else []
    if _LEFT_OUT[0] <= len(idle) <= _LEFT_OUT[1]:
        wanted += [tuple(hunk for hunk in joined if hunk not in dropped.hunks) for dropped in idle]
    everything = [_hunks([*good, *idle])] if good else []
    # What the next step will ask is asked along, so that it costs no process of its own.
    before = _with(accepted, good)
    along = [before, *(in_order([*before, *part]) for part in (joined, *wanted))] if before else []
    judged = bench.ask([*wanted, *everything, *along])
    candidates = [judgement for judgement in judged[: len(wanted)] if judgement.status]
    if candidates:
        best = max(candidates, key=lambda judgement: (judgement.gain, -len(judgement.hunks)))
        if candidates[0].hunks == joined and candidates[0].gain == best.gain:
            best = _with_its_core(candidates[0], best, idle, core)
        return _parted(_shed(bench, best, _spare(best, idle, core)), good, idle)
    alone = sum(judgement.gain for judgement in good)
    for whole in judged[len(wanted) : len(wanted) + len(everything)]:
        # Equal is better, too, where what passes alone does not pass together, or is half of a repair.
        holds = _holds(bench.ask([before])[0], good, accepted)
        halved = len(_spare(whole, idle, core)) < len(idle)
        if whole.status and (whole.gain > alone or (whole.gain == alone and (halved or not holds))):
            return _parted(_shed(bench, whole, _spare(whole, [*good, *idle], core)), good, idle)
    return good, [judged[0]] if wanted and _tells_more(judged[0], idle) else idle


def _spare(
    group: Judgement, singles: Sequence[Judgement], core: Callable[[Hunk], frozenset[int]]
) -> list[Judgement]:
    """What a group may be asked to do without: all but what is close to findings that it settles."""
    return [
        single
        for single in singles
        if single.status or not any(core(hunk) & set(group.findings) for hunk in single.hunks)
    ]


def _with_its_core(
    whole: Judgement,
    smaller: Judgement,
    idle: Sequence[Judgement],
    core: Callable[[Hunk], frozenset[int]],
) -> Judgement:
    """The whole in the place of a smaller group that achieves as much without a part of the repair."""
    spare = {hunk for single in _spare(whole, idle, core) for hunk in single.hunks}
    return smaller if set(whole.hunks) - set(smaller.hunks) <= spare else whole


def _parted(
    group: Judgement, good: list[Judgement], idle: list[Judgement]
) -> tuple[list[Judgement], list[Judgement]]:
    """The groups to offer and what is left over, once a group has taken what it needs of both."""
    taken = set(group.hunks)
    beside = [single for single in good if taken.isdisjoint(single.hunks)]
    return [*beside, group], [single for single in idle if taken.isdisjoint(single.hunks)]


def _shed(bench: _Bench, group: Judgement, singles: Sequence[Judgement]) -> Judgement:
    """A joined group without what it could do without: what achieves as much when it is left out.

    Of what passes by itself the group must lose no more than that one achieves alone.
    """
    for _ in range(_SHEDDING_ROUNDS):
        parts = [single for single in singles if set(single.hunks) <= set(group.hunks)]
        if len(parts) <= 2:  # noqa: PLR2004 - of two both are needed, or one had passed alone
            break
        trials = bench.ask([_without(group, [part]) for part in parts])
        spare = [part for part, less in zip(parts, trials, strict=True) if _suffices(less, group, [part])]
        if not spare:
            break
        sets = [spare[:size] for size in range(len(spare), 1, -1) if size < len(parts)]
        tried = bench.ask([_without(group, dropped) for dropped in sets])
        fitting = (less for less, dropped in zip(tried, sets, strict=True) if _suffices(less, group, dropped))
        group = next(fitting, trials[parts.index(spare[0])])
    return group


def _without(group: Judgement, dropped: Sequence[Judgement]) -> Hunks:
    gone = {hunk for single in dropped for hunk in single.hunks}
    return tuple(hunk for hunk in group.hunks if hunk not in gone)


def _suffices(less: Judgement, group: Judgement, dropped: Sequence[Judgement]) -> bool:
    """Whether a part of a group achieves what the whole did, but for what others achieve alone."""
    return less.status is not None and less.gain >= group.gain - sum(
        single.gain for single in dropped if single.status
    )


def _tells_more(joined: Judgement, idle: list[Judgement]) -> bool:
    """Whether hunks cure something in each other: then what is wrong with each alone would mislead."""
    parsed = all(check.result is Result.PASSED for check in joined.checks if check.check is CheckName.PARSES)
    return parsed and len(joined.complaints) < sum(len(single.complaints) for single in idle)


def _all_together(
    bench: _Bench, groups: list[Judgement], left: list[Judgement], accepted: Sequence[Group]
) -> Grouping:
    """Keep the groups that pass all together with what was accepted before."""
    if len(groups) + len(accepted) <= 1:
        return Grouping(passed=tuple(groups), refused=tuple(left))
    together = bench.ask([_with(accepted, groups)])[0]
    if _holds(together, groups, accepted):
        return Grouping(passed=tuple(groups), refused=tuple(left))
    count = len(groups)
    parts = [[*groups[:index], *groups[index + 1 :]] for index in reversed(range(count))]
    parts += [groups[:size] for size in range(count - 2, 0, -1)]
    parts = [part for part in parts if part]
    judged = bench.ask([_with(accepted, part) for part in parts])
    kept = next(
        (part for part, whole in zip(parts, judged, strict=True) if _holds(whole, part, accepted)), []
    )
    dropped = [_clashing(group, together) for group in groups if group not in kept]
    return Grouping(passed=tuple(kept), refused=(*left, *dropped))


def _holds(whole: Judgement, groups: Sequence[Judgement], accepted: Sequence[Group]) -> bool:
    """Whether a combination is sound and still settles what each of its groups settled."""
    members: list[Judgement | Group] = [*groups, *accepted]
    settled = {
        index for group in members if group.status is FindingStatus.VERIFIED for index in group.findings
    }
    return whole.sound and settled <= set(whole.findings)


def _clashing(group: Judgement, together: Judgement) -> Judgement:
    """A group that passed alone and is left out for the sake of the others."""
    failed = [check for check in together.checks if check.result is Result.FAILED]
    if not failed:
        back = "what one of them mends is back"
        failed = [Check(check=CheckName.FINDING_GONE, result=Result.FAILED, detail=back)]
    clashes = tuple(
        Check(check=check.check, result=check.result, detail=f"together with the other edits: {check.detail}")
        for check in failed
    )
    return Judgement(
        hunks=group.hunks,
        checks=(
            *(check for check in group.checks if check.check not in {c.check for c in clashes}),
            *clashes,
        ),
        sound=False,
        status=None,
        gain=0,
        complaints=together.complaints,
    )


def _hunks(judgements: Sequence[Judgement]) -> Hunks:
    return in_order(hunk for judgement in judgements for hunk in judgement.hunks)


def _with(accepted: Sequence[Group], groups: Sequence[Judgement]) -> Hunks:
    return in_order([*(hunk for group in accepted for hunk in group.hunks), *_hunks(groups)])
