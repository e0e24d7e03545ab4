from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.edit.span import Hunk
from patchmill.job.record import FindingStatus
from patchmill.verify.candidate import Hunks
from patchmill.verify.evidence import CheckName
from patchmill.verify.grouping import Grouping, Judgement, form_groups
from patchmill.verify.verdict import Group


class Rules:
    """Hunks are numbers here: which need which, which are useless or bad, which cannot stand together."""

    def __init__(
        self,
        *,
        needs: dict[int, int] | None = None,
        useless: Sequence[int] = (),
        bad: Sequence[int] = (),
        clashes: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.needs = needs or {}
        self.useless = useless
        self.bad = bad
        self.clashes = clashes
        self.rounds = 0

    def __call__(self, candidates: Sequence[Hunks]) -> list[Judgement]:
        self.rounds += 1
        return [self.judge(hunks) for hunks in candidates]

    def judge(self, hunks: Hunks) -> Judgement:
        numbers = {hunk.start_line for hunk in hunks}
        missing = any(needed not in numbers for number, needed in self.needs.items() if number in numbers)
        clash = any({one, other} <= numbers for one, other in self.clashes)
        sound = not missing and not clash and not numbers & set(self.bad)
        gained = numbers - set(self.useless)
        return Judgement(
            hunks=hunks,
            checks=(),
            sound=sound,
            status=FindingStatus.VERIFIED if sound and gained else None,
            gain=len(gained) if sound else 0,
            findings=tuple(sorted(gained)) if sound else (),
        )


def hunk(number: int) -> Hunk:
    return Hunk(start_line=number, end_line=number, original="a\n", replacement="b\n")


def numbers(grouping: Grouping) -> list[list[int]]:
    return sorted([hunk.start_line for hunk in group.hunks] for group in grouping.passed)


def group(rules: Rules, count: int, *, alone: bool = True) -> list[list[int]]:
    return numbers(form_groups([hunk(number) for number in range(1, count + 1)], rules, alone=alone))


def test_what_passes_alone_is_a_group_of_its_own() -> None:
    assert group(Rules(), 3) == [[1], [2], [3]]


def test_what_needs_another_is_joined_with_it() -> None:
    assert group(Rules(needs={3: 1}, useless=[1]), 3) == [[1, 3], [2]]


def test_of_several_idle_hunks_one_bad_or_useless_is_left_out() -> None:
    assert group(Rules(needs={3: 1}, useless=[1], bad=[2]), 4) == [[1, 3], [4]]
    assert group(Rules(needs={3: 1}, useless=[1, 2]), 4) == [[1, 3], [4]]


def test_what_needs_one_that_passes_alone_is_joined_with_that_one_alone() -> None:
    assert group(Rules(needs={3: 1}), 3) == [[1, 3], [2]]


def test_nothing_rides_along_in_a_group_that_is_joined_with_what_passes_alone() -> None:
    assert group(Rules(needs={3: 1}, useless=[2]), 3) == [[1, 3]]
    assert group(Rules(needs={3: 1}, useless=[2, 5, 6]), 6) == [[1, 3], [4]]


@pytest.mark.parametrize("count", [5, 13, 16, 60])
def test_nothing_rides_along_however_many_achieve_nothing(count: int) -> None:
    idle = range(3, count + 1)

    assert group(Rules(needs={1: 2}, useless=[2, *idle]), count) == [[1, 2]]


def test_what_is_left_over_is_refused_by_itself() -> None:
    grouping = form_groups(
        [hunk(number) for number in range(1, 17)], Rules(needs={1: 2}, useless=range(2, 17))
    )

    assert numbers(grouping) == [[1, 2]]
    assert sorted(refused.hunks[0].start_line for refused in grouping.refused) == [*range(3, 17)]


def test_a_useless_hunk_is_not_taken_along() -> None:
    assert group(Rules(useless=[2]), 3) == [[1], [3]]


def test_of_groups_that_clash_the_first_is_kept() -> None:
    assert group(Rules(clashes=[(1, 3)]), 3) == [[1], [2]]


def test_several_clashes_leave_the_groups_before_the_first() -> None:
    assert group(Rules(clashes=[(1, 3), (2, 4)]), 4) == [[1], [2]]


def test_hunks_are_tried_as_one_where_there_are_too_many_or_the_file_is_too_large() -> None:
    rules = Rules()

    assert group(rules, 3, alone=False) == [[1, 2, 3]]
    assert group(rules, 201) == [list(range(1, 202))]


def test_of_too_many_only_what_is_wanted_is_tried_and_the_rest_refused() -> None:
    grouping = form_groups(
        [hunk(number) for number in range(1, 301)], Rules(), wanted=lambda hunk: hunk.start_line % 2 == 0
    )

    assert numbers(grouping) == [list(range(2, 301, 2))]
    assert {refused.hunks[0].start_line for refused in grouping.refused} == set(range(1, 301, 2))
    assert {refused.checks[0].check for refused in grouping.refused} == {CheckName.IN_SCOPE}


def test_a_hunk_that_comes_twice_counts_once() -> None:
    assert numbers(form_groups([hunk(1), hunk(1)], Rules())) == [[1]]


def test_accepted_groups_are_part_of_every_combination() -> None:
    accepted = Group(hunks=(hunk(9),), findings=(9,), checks=(), status=FindingStatus.VERIFIED)
    rules = Rules(clashes=[(1, 9)])

    assert numbers(form_groups([hunk(1), hunk(2)], rules, accepted=[accepted])) == [[2]]


@given(
    needs=st.dictionaries(st.integers(1, 6), st.integers(1, 6), max_size=3),
    useless=st.lists(st.integers(1, 6), max_size=2),
    bad=st.lists(st.integers(1, 6), max_size=2),
    clashes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=3),
)
def test_whatever_the_rules_groups_are_disjoint_and_pass_alone_and_together(
    needs: dict[int, int], useless: list[int], bad: list[int], clashes: list[tuple[int, int]]
) -> None:
    rules = Rules(needs=needs, useless=useless, bad=bad, clashes=clashes)

    grouping = form_groups([hunk(number) for number in range(1, 7)], rules)

    kept = [hunk for passed in grouping.passed for hunk in passed.hunks]
    assert rules.rounds <= 9
    assert len(kept) == len(set(kept))
    assert all(rules.judge(passed.hunks).status for passed in grouping.passed)
    assert not kept or rules.judge(tuple(sorted(kept, key=lambda hunk: hunk.start_line))).sound
    for passed in grouping.passed:  # nothing in a group could be left out for nothing
        for left_out in passed.hunks if len(passed.hunks) > 1 else ():
            less = rules.judge(tuple(hunk for hunk in passed.hunks if hunk != left_out))
            alone = rules.judge((left_out,)).gain
            assert less.status is None or less.gain < passed.gain - alone
    refused = {hunk for judgement in grouping.refused for hunk in judgement.hunks}
    assert {hunk.start_line for hunk in [*kept, *refused]} == set(range(1, 7))
