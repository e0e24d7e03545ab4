import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.job.failure import Failure, FailureClass
from patchmill.job.record import ErrorCode
from patchmill.job.retry import (
    LONGEST_BACKOFF_S,
    MAX_ATTEMPTS,
    MAX_BILLED_CALLS,
    MAX_LOSSES,
    MAX_SERVER_ERRORS_IN_A_ROW,
    Fail,
    History,
    NoRoom,
    UnknownPolicy,
    Wait,
    after_loss,
    backoff_s,
    decide,
    without_room,
)
from patchmill.job.state import WaitReason

FRESH = History(attempts=1, billed_calls=0, server_errors_in_a_row=1)


def decided(
    failure: FailureClass,
    history: History = FRESH,
    *,
    retry_after_s: float | None = None,
    policy: UnknownPolicy = UnknownPolicy.RETRY,
) -> Wait | Fail:
    told = Failure(failure=failure, message="said so", retry_after_s=retry_after_s)
    return decide(told, history, policy=policy, rng=random.Random(1))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (FailureClass.REQUEST, ErrorCode.GATEWAY_REJECTED),
        (FailureClass.CONTEXT_TOO_LONG, ErrorCode.CONTEXT_TOO_LONG),
    ],
)
def test_what_fails_the_same_way_again_ends_the_job(failure: FailureClass, code: ErrorCode) -> None:
    decision = decided(failure)

    assert isinstance(decision, Fail)
    assert (code, False, "said so") == (decision.code, decision.retryable, decision.message)


@pytest.mark.parametrize(
    ("failure", "counted"),
    [
        (FailureClass.REQUEST, FRESH),
        (FailureClass.SERVER, History(attempts=1, billed_calls=0, server_errors_in_a_row=4)),
        (FailureClass.BROKEN, History(attempts=1, billed_calls=8, server_errors_in_a_row=0)),
    ],
)
def test_a_job_that_ends_says_whose_words_it_quotes(failure: FailureClass, counted: History) -> None:
    told = Failure(failure=failure, message="said so.", quoted=True)

    decision = decide(told, counted, policy=UnknownPolicy.RETRY, rng=random.Random(1))

    assert isinstance(decision, Fail)
    assert decision.message == "the gateway said: said so."


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (FailureClass.CONCURRENCY, WaitReason.RATE_LIMIT),
        (FailureClass.SPEND_CAP, WaitReason.RATE_LIMIT),
        (FailureClass.ACCOUNT, WaitReason.GATEWAY_ACCOUNT),
        (FailureClass.CONNECT, WaitReason.GATEWAY_DOWN),
    ],
)
def test_waits_that_are_nobodys_fault_cost_no_attempt(failure: FailureClass, reason: WaitReason) -> None:
    worn = History(attempts=99, billed_calls=99, server_errors_in_a_row=99)

    decision = decided(failure, worn)

    assert isinstance(decision, Wait)
    assert (reason, False) == (decision.reason, decision.costs_attempt)


def test_concurrency_backs_off_one_to_three_seconds() -> None:
    waits = [
        decide(
            Failure(failure=FailureClass.CONCURRENCY, message=""),
            FRESH,
            policy=UnknownPolicy.RETRY,
            rng=random.Random(seed),
        )
        for seed in range(50)
    ]

    assert all(isinstance(wait, Wait) and 1.0 <= wait.after_s <= 3.0 for wait in waits)


def test_the_gateways_own_reset_time_is_obeyed() -> None:
    decision = decided(FailureClass.SPEND_CAP, retry_after_s=1234.5)

    assert isinstance(decision, Wait)
    assert 1234.5 <= decision.after_s <= 1235.5


def test_server_errors_are_retried_four_times_in_a_row_and_cost_attempts() -> None:
    last = History(attempts=4, billed_calls=0, server_errors_in_a_row=MAX_SERVER_ERRORS_IN_A_ROW)
    before = History(attempts=3, billed_calls=0, server_errors_in_a_row=MAX_SERVER_ERRORS_IN_A_ROW - 1)

    retried, ended = decided(FailureClass.SERVER, before), decided(FailureClass.SERVER, last)

    assert isinstance(retried, Wait)
    assert retried.costs_attempt
    assert isinstance(ended, Fail)
    assert ended.code is ErrorCode.GATEWAY_UNAVAILABLE


@pytest.mark.parametrize(
    "failure", [FailureClass.BROKEN, FailureClass.STALLED, FailureClass.INTERRUPTED, FailureClass.DEADLINE]
)
def test_an_unknown_call_follows_the_policy(failure: FailureClass) -> None:
    retried = decided(failure)
    failed = decided(failure, policy=UnknownPolicy.FAIL)

    assert isinstance(retried, Wait)
    assert isinstance(failed, Fail)
    assert failed.code is ErrorCode.CALL_UNKNOWN


@pytest.mark.parametrize("failure", [FailureClass.EMPTY, FailureClass.PROTOCOL])
def test_an_answer_of_no_use_is_tried_again_whatever_the_policy(failure: FailureClass) -> None:
    assert isinstance(decided(failure, policy=UnknownPolicy.FAIL), Wait)


@pytest.mark.parametrize(
    "history",
    [
        History(attempts=1, billed_calls=MAX_BILLED_CALLS, server_errors_in_a_row=0),
        History(attempts=MAX_ATTEMPTS, billed_calls=1, server_errors_in_a_row=0),
    ],
)
def test_unknown_calls_are_bounded(history: History) -> None:
    decision = decided(FailureClass.DEADLINE, history)

    assert isinstance(decision, Fail)
    assert decision.code is ErrorCode.ATTEMPTS_SPENT


@given(st.integers(0, 10_000), st.integers(0, 2**32))
def test_backoff_has_full_jitter_within_its_ceiling(failures: int, seed: int) -> None:
    wait = backoff_s(failures, random.Random(seed))

    assert 0.05 <= wait <= min(LONGEST_BACKOFF_S, 2.0 ** min(16, max(0, failures - 1)))


def blocked(*, only_held: bool = False, over: bool = False, waits: bool = True) -> NoRoom:
    return NoRoom(
        budget="bud_1",
        name="the budget `core` (project, month)",
        only_held=only_held,
        over=over,
        waits=waits,
        resets_in_s=60.0,
        resets_at="later",
        shortfall="it may cost $2, and $1 of $9 is left",
        tokens=1_000,
        picos=10**9,
    )


def test_room_that_is_only_held_is_waited_for() -> None:
    decision = without_room(blocked(only_held=True, waits=False))

    assert isinstance(decision, Wait)
    assert decision.reason is WaitReason.BUDGET


def test_a_spent_window_is_waited_out_or_ends_the_job_by_the_budgets_policy() -> None:
    waits, fails = without_room(blocked()), without_room(blocked(waits=False))

    assert isinstance(waits, Wait)
    assert waits.after_s == 60.0
    assert isinstance(fails, Fail)
    assert fails.code is ErrorCode.BUDGET_EXHAUSTED
    assert fails.message == (
        "the budget `core` (project, month) leaves too little for one call: "
        "it may cost $2, and $1 of $9 is left"
    )
    assert fails.details == {"budget": "bud_1", "resets_at": "later"}


def test_a_call_larger_than_the_limit_itself_ends_the_job() -> None:
    decision = without_room(blocked(over=True))

    assert isinstance(decision, Fail)
    assert (decision.code, decision.retryable) == (ErrorCode.OVER_BUDGET, False)


def lost(
    losses: int,
    *,
    orphan: bool = False,
    unknown: bool = False,
    policy: UnknownPolicy = UnknownPolicy.RETRY,
    seed: int = 1,
) -> Wait | Fail:
    return after_loss(losses, orphan=orphan, unknown=unknown, policy=policy, rng=random.Random(seed))


def test_a_job_waits_longer_after_each_loss_of_its_worker_and_not_as_long_as_others() -> None:
    for losses, least_s, longest_s in [(1, 2.0, 3.0), (2, 3.0, 4.5)]:
        waits = [lost(losses, seed=seed) for seed in range(99)]

        times = {wait.after_s for wait in waits if isinstance(wait, Wait) and wait.costs_attempt}
        assert len(times) == len(waits)
        assert least_s <= min(times) < max(times) <= longest_s


def test_the_last_loss_ends_the_job() -> None:
    decision = lost(MAX_LOSSES)

    assert isinstance(decision, Fail)
    assert (decision.code, decision.retryable) == (ErrorCode.WORKER_LOST, True)


def test_a_job_whose_worker_lives_is_due_at_once() -> None:
    assert (
        lost(0, orphan=True)
        == lost(2, orphan=True)
        == Wait(after_s=0.0, reason=WaitReason.RETRY, costs_attempt=True)
    )


@pytest.mark.parametrize("losses", [1, MAX_LOSSES])
def test_a_lost_call_ends_the_job_where_the_policy_says_so(losses: int) -> None:
    decision = lost(losses, unknown=True, policy=UnknownPolicy.FAIL)

    assert isinstance(decision, Fail)
    assert decision.code is ErrorCode.CALL_UNKNOWN
    assert isinstance(lost(1, unknown=False, policy=UnknownPolicy.FAIL), Wait)
