import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from patchmill.call.reply import Answered, CallTimings, Rejected
from patchmill.job.circuit import GATEWAY, SERVER_FAILURES_TO_OPEN, Circuit, Condition, Trip, Why
from patchmill.job.failure import Failure, FailureClass
from patchmill.job.retry import CIRCUIT_POLL_S
from patchmill.job.state import WaitReason
from patchmill.store import circuits as store
from patchmill.store import claims
from tests.support.claimed import claimed
from worker.circuits import Circuits, Permit

FLASH, PRO = "deepseek-v4-flash", "deepseek-v4-pro"
NO_TIME = CallTimings(first_token_ms=None, total_ms=0)
ANSWERED = Answered(text="", finish_reason="stop", timings=NO_TIME)
DOWN = Trip(name=FLASH, state=Condition.DOWN, why=Why.FAILING, message="")
REFUSED = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INVALID_API_KEY, message="")
CAPPED = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.SPEND_CAP, message="", until_s=86_400.0)


def failed(failure: FailureClass, *, code: str | None = None, status: int | None = None) -> Rejected:
    told = Failure(failure=failure, message="said so")
    return Rejected(failure=told, code=code, status=status, timings=NO_TIME)


def trip(engine: Engine, what: Trip, *, probe_after_s: float | None = 0.0) -> None:
    with engine.begin() as connection:
        store.trip(connection, what, probe_after_s=probe_after_s)


def close(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        assert store.close(connection, name)


def open_ones(engine: Engine) -> dict[str, Circuit]:
    with engine.connect() as connection:
        return store.open_ones(connection)


def waiting(engine: Engine, reason: WaitReason, after_s: float = CIRCUIT_POLL_S) -> uuid.UUID:
    """Bring a job to a wait."""
    claim = claimed(engine)
    with engine.begin() as connection:
        claims.release(connection, claim.job_id, claim.fence, reason=reason, after_s=after_s, refund=True)
    return claim.job_id


def due(engine: Engine) -> set[uuid.UUID]:
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT id FROM jobs WHERE state = 'queued' AND run_at <= now()"))
        return set(found)


@pytest.fixture
def circuits(engine: Engine) -> Circuits:
    return Circuits(engine)


@pytest.fixture
def another(engine: Engine) -> Circuits:
    """Give the circuits of another process."""
    return Circuits(engine)


def enter(circuits: Circuits, model: str = FLASH) -> Permit:
    permit = circuits.enter(model)
    assert isinstance(permit, Permit)
    return permit


@pytest.mark.parametrize(
    ("what", "reason", "after_s"),
    [
        (REFUSED, WaitReason.GATEWAY_ACCOUNT, CIRCUIT_POLL_S),
        (DOWN, WaitReason.GATEWAY_DOWN, CIRCUIT_POLL_S),
        (CAPPED, WaitReason.RATE_LIMIT, 86_400.0),
    ],
)
def test_the_end_of_a_circuit_wakes_who_waits_for_it(
    engine: Engine, what: Trip, reason: WaitReason, after_s: float
) -> None:
    trip(engine, what)
    job_id = waiting(engine, reason, after_s)

    close(engine, what.name)

    assert due(engine) == {job_id}


def test_of_very_many_jobs_all_are_woken_one_lot_after_the_other(
    engine: Engine, circuits: Circuits, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip(engine, DOWN)
    jobs = {waiting(engine, WaitReason.GATEWAY_DOWN) for _ in range(3)}
    monkeypatch.setattr(store, "_WAKE", store._waking(store._WAITING, order=store._AS_DISPATCHED, limit=1))

    close(engine, FLASH)
    assert len(due(engine)) == 1
    circuits.refresh()

    assert due(engine) == jobs


def test_who_waits_for_what_is_not_in_the_way_is_woken_though_something_else_is(
    engine: Engine, circuits: Circuits
) -> None:
    trip(engine, DOWN, probe_after_s=60.0)
    for_account = waiting(engine, WaitReason.GATEWAY_ACCOUNT)
    waiting(engine, WaitReason.GATEWAY_DOWN)

    circuits.refresh()

    assert due(engine) == {for_account}


def test_those_who_wait_take_turns_to_be_woken_for_probes(engine: Engine) -> None:
    trip(engine, DOWN)
    jobs = [waiting(engine, WaitReason.GATEWAY_DOWN) for _ in range(2)]
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET run_at = run_at + :later WHERE id = :id"),
            {"later": timedelta(seconds=5), "id": jobs[0]},
        )
        assert store.wake_for_probe(connection, store.open_ones(connection).values())

    assert due(engine) == {jobs[1]}


def test_a_spend_cap_that_becomes_another_reason_has_no_end_of_its_own(engine: Engine) -> None:
    trip(engine, CAPPED, probe_after_s=None)

    trip(engine, REFUSED)

    [circuit] = open_ones(engine).values()
    assert (circuit.why, circuit.until) == (Why.INVALID_API_KEY, None)
    assert circuit.probe_at is not None


def test_a_turn_to_probe_that_made_no_call_goes_to_another_job(engine: Engine, circuits: Circuits) -> None:
    trip(engine, DOWN)
    permit = enter(circuits)
    assert isinstance(circuits.enter(FLASH), Circuit)

    circuits.abandon(permit)

    assert enter(circuits).probed[0].probes == 0


def test_a_probe_that_finds_another_reason_wakes_nobody_else(engine: Engine, circuits: Circuits) -> None:
    trip(engine, Trip(name=GATEWAY, state=Condition.DOWN, why=Why.UNREACHABLE, message=""))
    probing, _ = waiting(engine, WaitReason.GATEWAY_DOWN), waiting(engine, WaitReason.GATEWAY_DOWN)

    circuits.leave(enter(circuits), failed(FailureClass.ACCOUNT, code="invalid_api_key", status=401))

    assert open_ones(engine)[GATEWAY].why is Why.INVALID_API_KEY
    assert due(engine) == {probing}


def test_after_another_process_has_closed_a_circuit_failures_count_anew(
    engine: Engine, circuits: Circuits, another: Circuits
) -> None:
    for _ in range(SERVER_FAILURES_TO_OPEN):
        circuits.leave(Permit(model=FLASH), failed(FailureClass.SERVER, status=500))
    assert FLASH in open_ones(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE circuits SET probe_at = now()"))
    another.leave(enter(another), ANSWERED)
    circuits.refresh()

    circuits.leave(Permit(model=FLASH), failed(FailureClass.SERVER, status=500))

    assert open_ones(engine) == {}


def test_one_probe_at_a_time(circuits: Circuits, another: Circuits, engine: Engine) -> None:
    trip(engine, DOWN)
    entered: list[Callable[[str], Permit | Circuit]] = [circuits.enter, another.enter]

    found = [enter(FLASH) for enter in entered]

    assert [type(each) for each in found] == [Permit, Circuit]
    assert isinstance(circuits.enter(PRO), Permit)
