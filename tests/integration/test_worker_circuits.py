"""What a worker process opens, probes and closes, beside operators and other processes who do so too."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, text

from patchmill.call.reply import Answered, CallOutcome, CallTimings, Rejected
from patchmill.job.circuit import GATEWAY, SERVER_FAILURES_TO_OPEN, Circuit, Condition, Trip, Why
from patchmill.job.failure import Failure, FailureClass
from patchmill.store import circuits as store
from tests.support.stack import until
from worker.circuits import Circuits, Permit
from worker.endings import not_sent

MODEL = "deepseek-v4-flash"
_NO_TIME = CallTimings(first_token_ms=None, total_ms=0)
ANSWERED = Answered(text="yes", finish_reason="stop", timings=_NO_TIME)
REFUSED = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INVALID_API_KEY, message="no such key")
CAPPED = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.SPEND_CAP, message="cap", until_s=0.05)
PAUSED = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.OPERATOR, message="because")

DOWN = Trip(name=MODEL, state=Condition.DOWN, why=Why.FAILING, message="no")


def failed(failure: FailureClass) -> CallOutcome:
    return Rejected(failure=Failure(failure=failure, message="no"), code=None, timings=_NO_TIME)


def trip(engine: Engine, what: Trip, *, probe_after_s: float | None = None) -> None:
    with engine.begin() as connection:
        store.trip(connection, what, probe_after_s=probe_after_s)


def stands(engine: Engine, name: str = GATEWAY) -> Circuit | None:
    with engine.begin() as connection:
        return store.open_ones(connection).get(name)


def count_open(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM circuits")) or 0


def probing(engine: Engine, what: Trip = REFUSED) -> tuple[Circuits, Permit]:
    """Open a circuit that is due for a probe, and take the probe."""
    trip(engine, what, probe_after_s=0.0)
    circuits = Circuits(engine)
    permit = circuits.enter(MODEL)
    assert isinstance(permit, Permit)
    assert [each.name for each in permit.probed] == [what.name]
    return circuits, permit


def test_an_operators_pause_outlives_the_spend_cap_that_it_was_put_over(engine: Engine) -> None:
    trip(engine, CAPPED)
    trip(engine, PAUSED)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_sleep(0.1)"))

    Circuits(engine).refresh()

    still = stands(engine)
    assert still is not None
    assert (still.why, still.until) == (Why.OPERATOR, None)


def test_an_operators_pause_outlives_the_probe_that_was_on_its_way(engine: Engine) -> None:
    circuits, permit = probing(engine)
    trip(engine, PAUSED)

    circuits.leave(permit, ANSWERED)

    still = stands(engine)
    assert still is not None
    assert still.why is Why.OPERATOR


def test_a_circuit_that_closes_while_a_thread_looks_is_not_in_its_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip(engine, DOWN)
    circuits = Circuits(engine)

    class ClosesWhenLookedAt(dict[str, Circuit]):
        def __contains__(self, name: object) -> bool:
            there = super().__contains__(name)
            if there:
                with engine.begin() as connection:
                    store.close(connection, MODEL)
                circuits.refresh()  # as the clock does, on its own thread
            return there

    with monkeypatch.context() as patch:
        with engine.begin() as connection:
            view = ClosesWhenLookedAt(store.open_ones(connection))
        patch.setattr(store, "open_ones", lambda _: view)
        circuits.refresh()

    assert circuits.enter(MODEL) == Permit(model=MODEL)


def test_a_circuit_that_opens_while_the_clock_looks_is_not_forgotten(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    circuits = Circuits(engine)
    permit = circuits.enter(MODEL)
    assert isinstance(permit, Permit)
    looked, may_go_on = threading.Event(), threading.Event()
    look = store.open_ones

    def slow(connection: Connection) -> dict[str, Circuit]:
        seen = look(connection)
        if not looked.is_set():
            looked.set()
            assert may_go_on.wait(20)
        return seen

    monkeypatch.setattr(store, "open_ones", slow)
    with ThreadPoolExecutor() as threads:
        clock = threads.submit(circuits.refresh)
        assert looked.wait(20)
        caller = threads.submit(circuits.leave, permit, failed(FailureClass.ACCOUNT))
        until(lambda: count_open(engine) == 1, "the circuit in the database")
        may_go_on.set()
        for each in (clock, caller):
            each.result(timeout=20)

    assert isinstance(circuits.enter(MODEL), Circuit)


def test_of_two_processes_one_takes_a_probe(engine: Engine) -> None:
    circuits, _ = probing(engine)
    for each in (circuits, Circuits(engine)):
        assert isinstance(each.enter(MODEL), Circuit)


def test_a_probe_that_was_not_sent_is_anybodys_again(engine: Engine) -> None:
    circuits, permit = probing(engine)
    circuits.leave(permit, not_sent("the lease ran out"))

    assert isinstance(Circuits(engine).enter(MODEL), Permit)
    left = stands(engine)
    assert left is not None
    assert left.probes == 1


class Overtaken(Circuits):
    """Somebody else takes the probe of the model between the look and the claim."""

    def refresh(self) -> None:
        super().refresh()
        with self._engine.begin() as connection:
            store.claim_probe(connection, MODEL, next_after_s=60.0)


def test_a_probe_of_the_gateway_is_not_lost_where_another_takes_that_of_the_model(engine: Engine) -> None:
    trip(engine, REFUSED, probe_after_s=0.0)
    trip(engine, DOWN, probe_after_s=0.0)

    in_the_way = Overtaken(engine).enter(MODEL)

    assert isinstance(in_the_way, Circuit)
    assert in_the_way.name == MODEL
    assert isinstance(Circuits(engine).enter("deepseek-v4-pro"), Permit)


@pytest.mark.parametrize("ended_by", ["probe", "operator"])
def test_failures_are_counted_anew_once_a_circuit_has_closed(engine: Engine, ended_by: str) -> None:
    circuits = Circuits(engine)
    for _ in range(SERVER_FAILURES_TO_OPEN):
        circuits.leave(Permit(model=MODEL), failed(FailureClass.SERVER))
    assert stands(engine, MODEL) is not None
    with engine.begin() as connection:
        store.close(connection, MODEL)
    if ended_by == "operator":
        circuits.refresh()
    else:
        Circuits(engine).refresh()
        circuits.enter(MODEL)

    circuits.leave(Permit(model=MODEL), failed(FailureClass.SERVER))

    assert stands(engine, MODEL) is None
