import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.job.circuit import (
    CONNECT_FAILURES_TO_OPEN,
    GATEWAY,
    SERVER_FAILURES_TO_OPEN,
    Circuit,
    Condition,
    Trip,
    Why,
    closes,
    trip_of,
)
from patchmill.job.failure import Failure, FailureClass
from patchmill.job.record import ErrorCode
from patchmill.job.retry import Fail, Wait, probe_after_s, until_circuit_closes
from patchmill.job.state import WaitReason

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MODEL = "deepseek-v4-flash"
OPEN = [Condition.PAUSED, Condition.DOWN, Condition.OFF]


def tripped(
    failure: FailureClass,
    *,
    code: str | None = None,
    status: int | None = None,
    in_a_row: int = 1,
    **more: Any,
) -> Trip | None:
    told = Failure(failure=failure, message="said so", **more)
    return trip_of(told, model=MODEL, code=code, status=status, in_a_row=in_a_row)


def circuit(state: Condition, why: Why, *, until: datetime | None = None) -> Circuit:
    return Circuit(
        name=GATEWAY, state=state, why=why, message="said so", since=NOW, until=until, probe_at=NOW, probes=0
    )


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (401, "invalid_api_key", Why.INVALID_API_KEY),
        (402, "insufficient_balance", Why.INSUFFICIENT_BALANCE),
        (402, "quota_exceeded", Why.QUOTA_EXCEEDED),
        (403, "permission_denied", Why.PERMISSION_DENIED),
        (401, "made_up", Why.INVALID_API_KEY),
        (402, None, Why.INSUFFICIENT_BALANCE),
        (403, "operator", Why.PERMISSION_DENIED),
        (401, "spend_cap", Why.INVALID_API_KEY),
    ],
)
def test_what_refuses_the_account_pauses_the_gateway(status: int, code: str | None, why: Why) -> None:
    trip = tripped(FailureClass.ACCOUNT, code=code, status=status)

    assert trip is not None
    assert (trip.name, trip.state, trip.why, trip.message) == (GATEWAY, Condition.PAUSED, why, "said so")


def test_a_spend_cap_pauses_until_the_time_that_was_named_and_without_one_only_its_job_waits() -> None:
    named = tripped(FailureClass.SPEND_CAP, retry_after_s=90.0)

    assert named is not None
    assert (named.name, named.why, named.until_s) == (GATEWAY, Why.SPEND_CAP, 90.0)
    assert tripped(FailureClass.SPEND_CAP) is None


def test_a_model_out_of_reach_is_off() -> None:
    trip = tripped(FailureClass.MODEL, code="model_not_in_group", status=403)

    assert trip is not None
    assert (trip.name, trip.state, trip.why) == (MODEL, Condition.OFF, Why.MODEL_NOT_IN_GROUP)


@pytest.mark.parametrize("failure", [FailureClass.SERVER, FailureClass.BROKEN, FailureClass.DEADLINE])
def test_a_model_is_down_after_failures_in_a_row(failure: FailureClass) -> None:
    trip = tripped(failure, in_a_row=SERVER_FAILURES_TO_OPEN)

    assert trip is not None
    assert (trip.name, trip.state) == (MODEL, Condition.DOWN)
    assert tripped(failure, in_a_row=SERVER_FAILURES_TO_OPEN - 1) is None


def test_the_gateway_is_down_when_it_cannot_be_reached() -> None:
    trip = tripped(FailureClass.CONNECT, in_a_row=CONNECT_FAILURES_TO_OPEN)

    assert trip is not None
    assert (trip.name, trip.state) == (GATEWAY, Condition.DOWN)
    assert tripped(FailureClass.CONNECT, in_a_row=CONNECT_FAILURES_TO_OPEN - 1) is None


@pytest.mark.parametrize(
    "failure",
    [
        FailureClass.CONCURRENCY,
        FailureClass.REQUEST,
        FailureClass.CONTEXT_TOO_LONG,
        FailureClass.CANCELLED,
        FailureClass.NOT_SENT,
    ],
)
def test_what_concerns_one_request_opens_nothing(failure: FailureClass) -> None:
    assert tripped(failure, in_a_row=1000) is None


@pytest.mark.parametrize(
    ("state", "why", "closing"),
    [
        (Condition.PAUSED, Why.INVALID_API_KEY, {FailureClass.REQUEST, FailureClass.MODEL}),
        (Condition.DOWN, Why.FAILING, {FailureClass.REQUEST, FailureClass.ACCOUNT}),
        (Condition.DOWN, Why.UNREACHABLE, {FailureClass.SERVER, FailureClass.ACCOUNT, FailureClass.BROKEN}),
        (Condition.OFF, Why.MODEL_NOT_FOUND, set()),
    ],
)
def test_a_probe_closes_a_circuit_only_by_what_proves_it(
    state: Condition, why: Why, closing: set[FailureClass]
) -> None:
    opened = circuit(state, why)
    proving_nothing = {
        FailureClass.CONCURRENCY,
        FailureClass.CONNECT,
        FailureClass.CANCELLED,
        FailureClass.NOT_SENT,
    }

    assert closes(opened, None)
    assert all(closes(opened, failure) for failure in closing)
    assert not any(closes(opened, failure) for failure in proving_nothing)


def test_the_failure_that_opened_a_circuit_does_not_close_it() -> None:
    assert not closes(circuit(Condition.PAUSED, Why.QUOTA_EXCEEDED), FailureClass.ACCOUNT)
    assert not closes(circuit(Condition.DOWN, Why.FAILING), FailureClass.SERVER)
    assert not closes(circuit(Condition.OFF, Why.MODEL_NOT_FOUND), FailureClass.MODEL)


@pytest.mark.parametrize(
    ("state", "why", "reason"),
    [
        (Condition.PAUSED, Why.INVALID_API_KEY, WaitReason.GATEWAY_ACCOUNT),
        (Condition.PAUSED, Why.OPERATOR, WaitReason.PAUSED),
        (Condition.DOWN, Why.FAILING, WaitReason.GATEWAY_DOWN),
    ],
)
def test_a_job_waits_for_an_open_circuit_without_losing_an_attempt(
    state: Condition, why: Why, reason: WaitReason
) -> None:
    decision = until_circuit_closes(circuit(state, why), NOW, random.Random(1))

    assert isinstance(decision, Wait)
    assert (decision.reason, decision.costs_attempt) == (reason, False)


def test_a_job_waits_for_a_spend_cap_until_its_time_and_hardly_longer() -> None:
    capped = circuit(Condition.PAUSED, Why.SPEND_CAP, until=NOW + timedelta(seconds=90))

    decision = until_circuit_closes(capped, NOW, random.Random(1))

    assert isinstance(decision, Wait)
    assert decision.reason is WaitReason.RATE_LIMIT
    assert 90 <= decision.after_s <= 91


def test_nobody_waits_for_a_model_that_this_key_does_not_reach() -> None:
    decision = until_circuit_closes(circuit(Condition.OFF, Why.MODEL_NOT_FOUND), NOW, random.Random(1))

    assert isinstance(decision, Fail)
    assert decision.code is ErrorCode.GATEWAY_REJECTED


@given(
    st.sampled_from([Condition.PAUSED, Condition.DOWN, Condition.OFF]), st.integers(0, 10_000), st.integers()
)
def test_probes_become_rarer_and_never_stop(state: Condition, probes: int, seed: int) -> None:
    first_s = probe_after_s(state, 0, random.Random(seed))
    later_s = probe_after_s(state, probes, random.Random(seed))

    assert 0 < first_s <= later_s <= 4_000
