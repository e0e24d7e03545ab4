from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.ledger import (
    Account,
    Amount,
    Fit,
    Phase,
    Room,
    Spent,
    affordable_output,
    cost,
    fit,
    settled,
    shortfall,
    suspended,
    voided,
    worst_case,
)
from patchmill.budget.models import capability_of
from patchmill.budget.prices import Rates
from patchmill.budget.tokens import input_bound

FLASH = Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000)
tokens = st.integers(0, 100_000)
amounts = st.builds(lambda tokens, picos: Amount(tokens=tokens, picos=picos), tokens, st.integers(0, 10**12))
priced = st.integers(1, 10**6)
rates = st.builds(
    lambda dear, share, out: Rates(input_picos=dear, cached_picos=dear * share // 100, output_picos=out),
    st.integers(0, 10**6),
    st.integers(0, 100),
    priced,
)


def room(cap: int | None, settled_: int = 0, held_: int = 0, uncertain: int = 0) -> Room:
    return Room(
        cap_tokens=None,
        cap_picos=cap,
        settled=Amount(tokens=0, picos=settled_),
        held=Amount(tokens=0, picos=held_),
        uncertain=Amount(tokens=0, picos=uncertain),
        resets_at=None,
        waits=True,
        budget="bud_1",
    )


@given(tokens, tokens, rates, st.data())
def test_no_use_within_the_bounds_costs_more_than_its_hold(
    entering: int, leaving: int, at: Rates, data: st.DataObject
) -> None:
    used_in = data.draw(st.integers(0, entering))
    used = Spent(
        input_tokens=used_in,
        cached_tokens=data.draw(st.integers(0, used_in)),
        output_tokens=data.draw(st.integers(0, leaving)),
    )

    assert cost(used, at) <= worst_case(entering, leaving, at).picos


@given(amounts, amounts, st.sampled_from([Account.HELD, Account.UNCERTAIN]))
def test_a_settlement_moves_exactly_the_hold(hold: Amount, used: Amount, source: Account) -> None:
    moved = [transfer for transfer in settled(hold, used, source) if transfer.debit is source]

    assert sum(transfer.amount.picos for transfer in moved) == hold.picos
    assert sum(transfer.amount.tokens for transfer in moved) == hold.tokens


@given(amounts, amounts)
def test_what_exceeds_the_hold_is_overrun_and_never_the_budgets(hold: Amount, used: Amount) -> None:
    transfers = {transfer.phase: transfer for transfer in settled(hold, used, Account.HELD)}
    posted = transfers[Phase.POST].amount
    over = transfers[Phase.OVERRUN].amount if Phase.OVERRUN in transfers else Amount(tokens=0, picos=0)

    assert posted.picos <= hold.picos
    assert posted.tokens <= hold.tokens
    assert (posted.picos + over.picos, posted.tokens + over.tokens) == (used.picos, used.tokens)


@given(amounts)
def test_each_transfer_gives_what_it_takes(hold: Amount) -> None:
    for transfers in (voided(hold, Account.HELD), suspended(hold)):
        assert [transfer.amount for transfer in transfers] == [hold]


def test_the_cost_of_an_answer_is_exact() -> None:
    spent = Spent(input_tokens=812, cached_tokens=640, output_tokens=95)

    assert cost(spent, FLASH) == 172 * 140_000 + 640 * 3_000 + 95 * 280_000


def test_room_is_counted_with_what_is_settled_held_and_uncertain() -> None:
    hold = Amount(tokens=0, picos=10)

    assert fit(hold, room(None)) is Fit.FITS
    assert fit(hold, room(40, settled_=10, held_=10, uncertain=10)) is Fit.FITS
    assert fit(hold, room(39, settled_=10, held_=10, uncertain=10)) is Fit.WAIT
    assert fit(hold, room(29, settled_=10, uncertain=10)) is Fit.EXHAUSTED


def test_a_hold_without_room_is_told_beside_what_is_left_of_the_limit_that_it_does_not_fit() -> None:
    hold = Amount(tokens=2_205, picos=344_540_000)
    tokens_left = replace(room(None), cap_tokens=2_000, settled=Amount(tokens=500, picos=0))
    nothing_left = room(400_000_000, settled_=300_000_000, uncertain=200_000_000)

    assert shortfall(hold, room(400_000_000, settled_=136_108_000)) == (
        "it may cost $0.00034454, and $0.000263892 of $0.0004 is left"
    )
    assert shortfall(hold, nothing_left) == "it may cost $0.00034454, and $0 of $0.0004 is left"
    assert shortfall(hold, tokens_left) == "it may take 2,205 tokens, and 1,500 of 2,000 are left"


def test_over_compares_with_the_limit_and_never_with_what_is_held() -> None:
    assert fit(Amount(tokens=0, picos=10), room(10, held_=10)) is Fit.WAIT
    assert fit(Amount(tokens=0, picos=11), room(10)) is Fit.OVER


@given(st.integers(0, 5000), st.integers(1, 8192), rates, st.integers(0, 10**10), st.integers(0, 10**9))
def test_a_request_is_made_smaller_until_it_fits_or_is_too_small_to_be_worth_it(
    entering: int, wanted: int, at: Rates, cap: int, used: int
) -> None:
    floor = min(256, wanted)
    shown = room(cap, settled_=used)

    output = affordable_output(entering, wanted, floor, at, [shown])

    assert floor <= output <= wanted
    if output > floor:
        assert fit(worst_case(entering, output, at), shown) is Fit.FITS


def test_the_prompts_bound_is_its_bytes_and_never_more_than_the_context() -> None:
    flash = capability_of("deepseek-v4-flash")

    assert input_bound(1_000, 2, flash) == 1_000 + 2 * 16 + 64
    assert input_bound(10**6, 2, flash) == flash.context_tokens


def test_the_prompt_of_a_model_with_an_unknown_context_is_bound_by_its_bytes_alone() -> None:
    assert input_bound(10**6, 2, capability_of("a-model-of-tomorrow")) > 10**6
