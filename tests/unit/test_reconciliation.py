"""What an hour's numbers show, over random calls of which the truth is known."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.ledger import Amount, Spent, cost
from patchmill.budget.prices import Rates
from patchmill.budget.reconciliation import (
    CREDIT_PICOS,
    HOUR,
    OwnUse,
    Use,
    Verdict,
    exhausted_at,
    judge,
    prove,
    whole_hours,
)

RATES = Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000)
HOLD = Amount(tokens=3_000, picos=10**9)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def one(entering: int, leaving: int, cached: int = 0) -> Use:
    spent = Spent(input_tokens=entering, cached_tokens=min(cached, entering), output_tokens=leaving)
    return Use(calls=1, input_tokens=entering, output_tokens=leaving, picos=cost(spent, RATES))


def total(uses: list[Use]) -> Use:
    made = Use()
    for each in uses:
        made = made.plus(each)
    return made


def ours(settled: list[Use], uncertain: int, near: list[Use] | None = None) -> OwnUse:
    hold = Amount(tokens=uncertain * HOLD.tokens, picos=uncertain * HOLD.picos)
    return OwnUse(
        settled=total(settled),
        inside=total(settled),
        near=total(near or []),
        uncertain_calls=uncertain,
        uncertain=hold,
        doubtful_calls=uncertain,
        doubt=hold,
    )


uses = st.builds(one, st.integers(0, 2_000), st.integers(0, 900), st.integers(0, 2_000))
settled_calls = st.lists(uses, max_size=6)
uncertain_calls = st.lists(st.tuples(st.booleans(), uses), max_size=4)


@given(settled_calls, uncertain_calls)
def test_of_an_account_that_is_ours_alone_every_hour_is_explained_and_no_proof_is_wrong(
    settled: list[Use], uncertain: list[tuple[bool, Use]]
) -> None:
    billed = [use for was_billed, use in uncertain if was_billed]
    theirs, own = total([*settled, *billed]), ours(settled, len(uncertain))

    verdict = judge(theirs, own, alone=True, tried=False)
    proof = prove(theirs, own, verdict, RATES)

    assert verdict is (Verdict.UNCERTAIN if billed else Verdict.EQUAL)
    if proof is not None:
        assert proof.billed == (billed[0] if billed else None)
    if len(uncertain) == 1 or (uncertain and not billed):
        assert proof is not None


@given(settled_calls, uncertain_calls, st.integers(0, 6))
def test_calls_that_may_stand_in_either_hour_are_explained_and_prove_nothing(
    settled: list[Use], uncertain: list[tuple[bool, Use]], filed_here: int
) -> None:
    inside, near = settled[:3], settled[3:]
    here = near[: min(filed_here, len(near))]
    billed = [use for was_billed, use in uncertain if was_billed]
    own = ours(inside, len(uncertain), near)

    verdict = judge(total([*inside, *here, *billed]), own, alone=True, tried=False)

    assert verdict is not Verdict.DRIFT
    if near:
        assert prove(total([*inside, *here, *billed]), own, verdict, RATES) is None


@given(settled_calls, uses)
def test_what_no_call_of_ours_explains_is_drift_or_others(settled: list[Use], foreign: Use) -> None:
    theirs, own = total([*settled, foreign]), ours(settled, 0)

    assert judge(theirs, own, alone=True, tried=False) is Verdict.DRIFT
    assert judge(theirs, own, alone=False, tried=False) is Verdict.OTHERS
    assert judge(theirs, own, alone=True, tried=True) is Verdict.TRIAL


@pytest.mark.parametrize("alone", [True, False])
def test_less_than_was_settled_is_drift_whoever_uses_the_account(alone: bool) -> None:  # noqa: FBT001 - a case
    calls = [one(100, 10), one(200, 20)]

    assert judge(calls[0], ours(calls, 1), alone=alone, tried=True) is Verdict.DRIFT


def test_other_money_for_the_same_tokens_is_drift() -> None:
    use = one(100, 10)
    dearer = Use(calls=1, input_tokens=100, output_tokens=10, picos=use.picos * 2 + 1)

    assert judge(dearer, ours([use], 0), alone=False, tried=False) is Verdict.DRIFT
    assert judge(dearer, ours([use], 1), alone=True, tried=False) is Verdict.DRIFT


def test_a_price_that_fits_no_call_proves_nothing() -> None:
    billed = Use(calls=1, input_tokens=100, output_tokens=10, picos=9 * 10**8)
    own = ours([], 1)

    verdict = judge(billed, own, alone=True, tried=False)

    assert verdict is Verdict.UNCERTAIN
    assert prove(billed, own, verdict, RATES) is None


def test_an_account_in_whole_credits_may_be_off_by_one_for_each_call() -> None:
    calls = [one(333, 7), one(444, 9)]
    exact = total(calls)
    rounded = exact.picos // CREDIT_PICOS * CREDIT_PICOS
    theirs = Use(calls=2, input_tokens=exact.input_tokens, output_tokens=exact.output_tokens, picos=rounded)

    assert judge(theirs, ours(calls, 0), alone=True, tried=False) is Verdict.EQUAL


def test_the_hours_to_compare_are_whole_complete_and_ours() -> None:
    just_met = NOON - timedelta(minutes=90)

    assert whole_hours(just_met, NOON + timedelta(minutes=15), back=48 * HOUR) == [NOON - HOUR]
    assert whole_hours(just_met, NOON + timedelta(minutes=14), back=48 * HOUR) == []
    assert len(whole_hours(NOON - timedelta(days=9), NOON, back=48 * HOUR)) == 48


@pytest.mark.parametrize(
    ("left", "spent", "expected"),
    [
        (10 * 10**12, 10**12, NOON + 10 * HOUR),
        (0, 10**12, NOON),
        (-1, 10**12, NOON),
        (10**12, 0, None),
        (10**18, 1, None),
    ],
)
def test_a_balance_lasts_as_long_as_spending_goes_on(
    left: int, spent: int, expected: datetime | None
) -> None:
    assert exhausted_at(left, spent, over=HOUR, now=NOON) == expected
