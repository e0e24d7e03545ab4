"""What a worker does with the room that there is: all, less, wait, or one of two ends."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, insert, text

from patchmill.budget.ledger import Amount
from patchmill.budget.models import capability_of
from patchmill.budget.windows import WindowKind
from patchmill.call.request import ChatRequest
from patchmill.cli.installation import PRICES
from patchmill.job.record import ErrorCode
from patchmill.job.retry import Fail, Wait
from patchmill.job.state import WaitReason
from patchmill.store import ledger
from patchmill.store.claims import Claim
from patchmill.store.ids import to_edge
from patchmill.store.prices import add_prices_if_none
from patchmill.store.tables import prices
from tests.support import invariants
from tests.support.claimed import admitted, claimed
from tests.support.ledger_ground import Clock
from tests.support.limits import change, limit
from worker.admission import NoPrice, admit
from worker.price_lists import PriceLists

MODEL = "deepseek-v4-flash"
MESSAGES = ({"role": "user", "content": "x" * 500},)
PLAN = ledger.CallPlan(
    model=MODEL, rung="first", prompt_version="v", turn="t", messages=MESSAGES, deadline_s=60.0
)
WANTED, FLOOR = 1_000, 200


@pytest.fixture
def lists(engine: Engine) -> PriceLists:
    with engine.begin() as connection:
        add_prices_if_none(connection, PRICES, "test")
    return PriceLists(engine)


def ask(engine: Engine, lists: PriceLists, claim: Claim | None = None) -> ledger.AdmittedCall:
    request = ChatRequest(
        model=MODEL, messages=MESSAGES, max_tokens=WANTED, stream=True, capability=capability_of(MODEL)
    )
    return admit(engine, claim or claimed(engine), PLAN, request, floor_tokens=FLOOR, prices=lists)


def refused(engine: Engine, lists: PriceLists, claim: Claim | None = None) -> Wait | Fail:
    with pytest.raises(ledger.Refused) as error:
        ask(engine, lists, claim)
    return error.value.decision


def whole_hold(engine: Engine, lists: PriceLists) -> int:
    """Give the tokens that a call holds when nothing limits it."""
    return ask(engine, lists).terms.hold.tokens


def test_a_request_shrinks_to_the_room_that_is_left_down_to_what_is_of_use(
    engine: Engine, lists: PriceLists
) -> None:
    whole = whole_hold(engine, lists)
    limit(engine, tokens=2 * whole - 300)

    assert ask(engine, lists).max_tokens == WANTED
    smaller = ask(engine, lists)

    assert (smaller.max_tokens, smaller.terms.hold.tokens) == (WANTED - 300, whole - 300)
    assert invariants.rows(engine, "SELECT held_tokens, cap_tokens FROM windows") == [
        (2 * whole - 300, 2 * whole - 300)
    ]
    assert invariants.rows(engine, "SELECT max_tokens, hold_tokens FROM calls ORDER BY id DESC LIMIT 1") == [
        (WANTED - 300, whole - 300)
    ]


@pytest.mark.parametrize("at_limit", ["wait", "fail"])
def test_room_that_is_only_held_is_waited_for_whatever_the_budget_does_at_its_limit(
    engine: Engine, lists: PriceLists, at_limit: str
) -> None:
    limit(engine, tokens=whole_hold(engine, lists), at_limit=at_limit)
    ask(engine, lists)

    decision = refused(engine, lists)

    assert isinstance(decision, Wait)
    assert (decision.reason, decision.costs_attempt) == (WaitReason.BUDGET, False)
    assert decision.after_s < 60


def test_a_window_that_is_spent_says_when_the_next_begins_or_is_waited_for(
    engine: Engine, lists: PriceLists
) -> None:
    whole = whole_hold(engine, lists)
    budget_id = limit(engine, tokens=whole, at_limit="fail", window=WindowKind.HOUR)
    call = ask(engine, lists)
    change(engine, "UPDATE windows SET settled_tokens = held_tokens, held_tokens = 0")

    failed = refused(engine, lists)
    change(engine, "UPDATE budgets SET at_limit = 'wait'")
    waits = refused(engine, lists)

    assert isinstance(failed, Fail)
    assert (failed.code, failed.retryable) == (ErrorCode.BUDGET_EXHAUSTED, True)
    assert failed.details["budget"] == to_edge("bud", budget_id)
    resets_at = datetime.fromisoformat(failed.details["resets_at"])
    assert timedelta(0) < resets_at - datetime.now(UTC) <= timedelta(hours=1)
    assert isinstance(waits, Wait)
    assert waits.reason is WaitReason.BUDGET
    assert 0 <= waits.after_s <= 3600
    assert call.max_tokens == WANTED


def test_what_is_more_than_a_limit_allows_at_all_never_waits_even_while_others_hold(
    engine: Engine, lists: PriceLists
) -> None:
    whole = whole_hold(engine, lists)
    limit(engine, tokens=whole)
    claim = claimed(engine, max_cost_picos=1)
    ask(engine, lists)

    decision = refused(engine, lists, claim)

    assert isinstance(decision, Fail)
    assert (decision.code, decision.retryable) == (ErrorCode.OVER_BUDGET, False)
    assert invariants.rows(engine, "SELECT held_tokens FROM windows") == [(whole,)]


def test_a_new_price_holds_for_the_next_call_of_a_process_that_knew_the_old_one(
    engine: Engine, lists: PriceLists
) -> None:
    before = ask(engine, lists)
    with engine.begin() as connection:
        row = {"model": MODEL, "input_picos": 7, "cached_picos": 1, "output_picos": 9, "source": "test"}
        new_id = connection.scalars(
            insert(prices)
            .values(**row, valid_from=text("now() - interval '1 minute'"))
            .returning(prices.c.id)
        ).one()

    after = ask(engine, lists)

    assert before.terms.rates.input_picos > 7
    assert (after.terms.rates.input_picos, after.terms.rates.output_picos) == (7, 9)
    stored = invariants.rows(engine, "SELECT price_id, input_picos FROM calls ORDER BY id DESC LIMIT 1")
    assert stored == [(new_id, 7)]


def test_a_model_without_a_price_is_not_asked_and_is_once_it_has_one(engine: Engine) -> None:
    lists = PriceLists(engine)
    with pytest.raises(NoPrice):
        ask(engine, lists)
    assert invariants.rows(engine, "SELECT count(*) FROM calls") == [(0,)]

    with engine.begin() as connection:
        add_prices_if_none(connection, PRICES, "test")

    assert ask(engine, lists).max_tokens == WANTED


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_wait_for_the_next_window_is_by_the_clock_that_begins_it(
    engine: Engine, lists: PriceLists, hours: int
) -> None:
    limit(engine, tokens=whole_hold(engine, lists), window=WindowKind.HOUR)
    ask(engine, lists)
    change(engine, "UPDATE windows SET settled_tokens = held_tokens, held_tokens = 0")

    with patch("worker.admission.shared_time", Clock(datetime.now(UTC) + timedelta(hours=hours))):
        decision = refused(engine, lists)

    [(left_s,)] = invariants.rows(engine, "SELECT extract(epoch FROM resets_at - now()) FROM windows")
    assert isinstance(decision, Wait)
    assert decision.after_s == pytest.approx(float(left_s), abs=60)


def test_a_call_of_an_absurd_price_is_over_any_budget(engine: Engine, lists: PriceLists) -> None:
    dear = dict.fromkeys(("input_picos", "cached_picos", "output_picos"), 2**63 // 1_000)
    price = {"model": MODEL, "valid_from": datetime(2026, 1, 1, tzinfo=UTC), "source": "test"}
    with engine.begin() as connection:
        connection.execute(insert(prices).values(**price, **dear))

    decision = refused(engine, lists)

    assert isinstance(decision, Fail)
    assert (decision.code, decision.retryable) == (ErrorCode.OVER_BUDGET, False)
    assert invariants.rows(engine, "SELECT id FROM calls") == []


@pytest.mark.parametrize("unit", ["picos", "tokens"])
def test_what_a_window_can_count_is_a_limit_too(engine: Engine, lists: PriceLists, unit: str) -> None:
    most = 2**63 - 1
    limit(engine, None if unit == "picos" else most, most if unit == "picos" else None)
    admitted(engine, claimed(engine), Amount(tokens=1, picos=1))
    change(engine, f"UPDATE windows SET settled_{unit} = {2**63 - 3}")

    assert isinstance(refused(engine, lists), Wait)
