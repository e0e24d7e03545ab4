"""The functions in the database that hold and settle compare as the arithmetic does, and refuse nonsense."""

import os
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from patchmill.budget.ledger import Account, Amount, Fit, Room, Spent, Terms, fit, settled
from patchmill.budget.prices import MAX_PICOS, Rates
from patchmill.job.circuit import Condition, Trip, Why
from patchmill.job.retry import Wait
from patchmill.job.state import WaitReason
from patchmill.store import budgets, circuits, drift, ledger
from patchmill.store.engine import one_by_one
from patchmill.store.ids import new_id, to_edge
from tests.support import invariants
from tests.support.claimed import HOLD, PLAN, RATES, admitted, claimed, decide
from tests.support.limits import change, limit
from tests.support.stack import until

ANSWERED = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=400, cached_tokens=128, output_tokens=50),
    values={"reply": "text", "finish_reason": "stop"},
)
UNKNOWN = ledger.Ending(billed=None, phase="unknown", spent=None, values={})
REJECTED = ledger.Ending(billed=False, phase="rejected", spent=None, values={"status": 503})
MOST = 2**63 - 1
SOME = 2**60  # four of them can be added
LOOSE = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)

amounts = st.one_of(st.integers(0, 20), st.integers(0, SOME))
caps = st.one_of(st.none(), st.integers(0, 60), st.integers(0, MOST))


class Shown(Exception):
    """The rooms that a hold did not fit."""

    def __init__(self, rooms: Sequence[Room]) -> None:
        super().__init__(rooms)
        self.rooms = rooms


def wanting(hold: Amount) -> Any:
    """Give a rule that wants this hold, whatever the rooms, and raises them when it did not fit."""
    asked: list[Sequence[Room]] = []

    def rule(rooms: Sequence[Room]) -> ledger.Admission:
        if asked:
            raise Shown(rooms)
        asked.append(rooms)
        return ledger.Admission(max_tokens=1, hold=hold, rates=RATES)

    return rule


def used() -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(amounts, amounts, amounts)


@LOOSE
@given(
    hold=st.tuples(amounts, amounts),
    own=st.tuples(caps, used()),
    windows=st.lists(st.tuples(caps, caps, used(), used()), max_size=3),
)
def test_the_database_and_the_arithmetic_agree_on_what_fits(
    engine: Engine,
    hold: tuple[int, int],
    own: tuple[int | None, tuple[int, int, int]],
    windows: list[tuple[int | None, int | None, tuple[int, int, int], tuple[int, int, int]]],
) -> None:
    change(engine, "UPDATE budgets SET ended_at = now() WHERE ended_at IS NULL")
    claim = claimed(engine)
    held = Amount(tokens=hold[0], picos=hold[1])
    rooms = [set_own_room(engine, claim.job_id, *own)]
    rooms += [set_window(engine, *each) for each in windows if each[:2] != (None, None)]

    shown: Sequence[Room] | None = None
    try:
        with one_by_one(engine) as connection:
            ledger.admit(connection, claim.job_id, claim.fence, PLAN, wanting(held))
    except Shown as error:
        shown = error.rooms

    assert (shown is None) == all(fit(held, room) is Fit.FITS for room in rooms)
    if shown is not None:
        assert by_budget(shown) == by_budget(rooms)


def by_budget(rooms: Sequence[Room]) -> dict[str | None, tuple[object, ...]]:
    """What each room holds; they are shown in the order of their windows' ids, which no test knows."""
    return {room.budget: amounts_of(room) for room in rooms}


def amounts_of(room: Room) -> tuple[object, ...]:
    """What a room holds; where nothing limits it, the database says what a counter can hold."""
    caps = (None if cap == MAX_PICOS else cap for cap in (room.cap_tokens, room.cap_picos))
    return *caps, room.settled, room.held, room.uncertain


def set_own_room(engine: Engine, job_id: uuid.UUID, cap: int | None, used: tuple[int, int, int]) -> Room:
    names = ("cost_picos", "held_picos", "uncertain_picos")
    values = dict(zip(names, used, strict=True))
    assigned = ", ".join(f"{name} = :{name}" for name in names)
    change(
        engine,
        f"UPDATE jobs SET max_cost_picos = :cap, {assigned} WHERE id = :id",
        id=job_id,
        cap=cap,
        **values,
    )
    settled, held, uncertain = (Amount(tokens=0, picos=each) for each in used)
    return room_with(cap_picos=cap, settled=settled, held=held, uncertain=uncertain)


def set_window(
    engine: Engine,
    cap_picos: int | None,
    cap_tokens: int | None,
    picos: tuple[int, int, int],
    tokens: tuple[int, int, int],
) -> Room:
    budget_id = limit(engine, cap_picos, cap_tokens)
    columns = [f"{name}_{unit}" for unit in ("picos", "tokens") for name in ("settled", "held", "uncertain")]
    change(
        engine,
        f"INSERT INTO windows (id, budget_id, starts_at, {', '.join(columns)})"
        f" VALUES (:id, :budget, date_trunc('day', now()), {', '.join(f':{name}' for name in columns)})",
        id=new_id(),
        budget=budget_id,
        **dict(zip(columns, (*picos, *tokens), strict=True)),
    )
    settled, held, uncertain = (Amount(tokens=t, picos=p) for p, t in zip(picos, tokens, strict=True))
    budget = to_edge("bud", budget_id)
    return room_with(
        cap_picos=cap_picos,
        cap_tokens=cap_tokens,
        settled=settled,
        held=held,
        uncertain=uncertain,
        budget=budget,
    )


def room_with(**fields: Any) -> Room:
    return Room(**{"cap_tokens": None, "resets_at": None, "waits": False, "budget": None, **fields})


@pytest.mark.parametrize("at_once", [True, False], ids=["one statement each", "in transactions"])
def test_of_many_that_race_for_the_last_room_one_is_admitted(engine: Engine, *, at_once: bool) -> None:
    limit(engine, 2 * HOLD.picos)
    limit(engine, tokens=2 * HOLD.tokens)
    admitted(engine, claimed(engine))
    racing = [claimed(engine) for _ in range(8)]
    start = threading.Barrier(len(racing))

    def race(number: int) -> bool:
        start.wait()
        claim = racing[number]
        try:
            with one_by_one(engine) if at_once else engine.begin() as connection:
                ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())
        except ledger.Refused:
            return False
        return True

    with ThreadPoolExecutor(len(racing)) as threads:
        taken = list(threads.map(race, range(len(racing))))

    assert sum(taken) == 1
    assert invariants.rows(engine, "SELECT DISTINCT held_picos, held_tokens FROM windows") == [
        (2 * HOLD.picos, 2 * HOLD.tokens)
    ]
    assert invariants.rows(engine, "SELECT count(*) FROM calls") == [(2,)]
    invariants.check_windows_and_events(engine)


def test_room_that_goes_to_another_after_the_first_look_undoes_all_that_was_written(engine: Engine) -> None:
    limit(engine, 9 * HOLD.picos)
    limit(engine, tokens=2 * HOLD.tokens)
    admitted(engine, claimed(engine))
    claim = claimed(engine)
    seen = everything(engine)

    def hold() -> None:
        with one_by_one(engine) as connection:
            ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())

    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            connection.execute(text("SELECT id FROM windows FOR NO KEY UPDATE"))
            held = threads.submit(hold)
            until(lambda: held.done() or invariants.rows(engine, WAITS) == [(1,)], "the hold, waiting")
            connection.execute(
                text(f"UPDATE windows SET held_tokens = {2 * HOLD.tokens} WHERE cap_picos IS NULL")
            )
        with pytest.raises(ledger.Refused):
            held.result()

    change(engine, f"UPDATE windows SET held_tokens = {HOLD.tokens} WHERE cap_picos IS NULL")
    assert everything(engine) == seen
    admitted(engine, claim)
    invariants.check_windows_and_events(engine)


def test_a_limit_that_is_lowered_while_a_hold_waits_is_the_one_that_it_meets(engine: Engine) -> None:
    budget = limit(engine, 9 * HOLD.picos)
    admitted(engine, claimed(engine))
    claim = claimed(engine)

    def hold() -> None:
        with one_by_one(engine) as connection:
            ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())

    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            row = budgets.project_budget(connection, claim.project_id, budget, locked=True)
            assert row is not None
            budgets.change_budget(connection, row, {"limit_picos": HOLD.picos})
            held = threads.submit(hold)
            until(lambda: held.done() or invariants.rows(engine, WAITS) == [(1,)], "the hold, waiting")
        with pytest.raises(ledger.Refused):
            held.result()

    assert invariants.rows(engine, "SELECT held_picos FROM windows") == [(HOLD.picos,)]


def test_who_never_sees_the_same_rooms_twice_waits_as_for_held_room(engine: Engine) -> None:
    limit(engine, HOLD.picos)
    claim = claimed(engine)
    asked: list[Sequence[Room]] = []

    def never_right(rooms: Sequence[Room]) -> ledger.Admission:
        asked.append(rooms)
        return ledger.Admission(max_tokens=1, hold=Amount(tokens=1, picos=HOLD.picos + 1), rates=RATES)

    with pytest.raises(ledger.Refused) as refused, one_by_one(engine) as connection:
        ledger.admit(connection, claim.job_id, claim.fence, PLAN, never_right)

    decision = refused.value.decision
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.costs_attempt) == (WaitReason.BUDGET, False)
    assert len(asked) < 10
    assert invariants.rows(engine, "SELECT count(*) FROM calls") == [(0,)]


def test_lowering_a_cap_below_what_is_used_only_blocks_admission(engine: Engine) -> None:
    budget_id = limit(engine, 3 * HOLD.picos)
    first, second = (admitted(engine, claimed(engine)) for _ in range(2))
    change(engine, "UPDATE budgets SET limit_picos = :cap WHERE id = :id", cap=HOLD.picos // 2, id=budget_id)

    with pytest.raises(ledger.Refused):
        admitted(engine, claimed(engine), Amount(tokens=1, picos=1))
    end(engine, first, UNKNOWN)
    end(engine, second, ANSWERED)

    assert invariants.rows(engine, "SELECT held_picos, uncertain_picos, cap_picos FROM windows") == [
        (0, HOLD.picos, 3 * HOLD.picos)
    ]
    change(engine, "UPDATE budgets SET limit_picos = :cap WHERE id = :id", cap=9 * HOLD.picos, id=budget_id)
    admitted(engine, claimed(engine))


def test_a_call_settles_in_the_window_that_it_was_admitted_in(engine: Engine) -> None:
    limit(engine, 2 * HOLD.picos)
    call_id = admitted(engine, claimed(engine))
    change(engine, "UPDATE windows SET starts_at = starts_at - interval '1 day', resets_at = starts_at")

    later = admitted(engine, claimed(engine), Amount(tokens=1, picos=2 * HOLD.picos))
    end(engine, call_id, ANSWERED)

    old, new = invariants.rows(engine, "SELECT held_picos, settled_picos > 0 FROM windows ORDER BY starts_at")
    assert (tuple(old), tuple(new)) == ((0, True), (2 * HOLD.picos, False))
    end(engine, later, REJECTED)
    invariants.check_ledger(engine)


def test_a_settlement_whose_commit_was_not_confirmed_may_be_repeated(engine: Engine) -> None:
    limit(engine, 9 * HOLD.picos)
    claim = claimed(engine)
    with one_by_one(engine) as connection:
        call = ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())
        first = ledger.end_call(connection, claim.job_id, call.call_id, ANSWERED, call.terms)
    seen = everything(engine)
    with one_by_one(engine) as connection:
        again = ledger.end_call(connection, claim.job_id, call.call_id, ANSWERED, call.terms)

    assert (first, again) == (ledger.EndedCall.FREED_ROOM, ledger.EndedCall.STAYED)
    assert everything(engine) == seen
    invariants.check_ledger(engine)


def test_of_two_who_end_a_call_at_once_the_second_finds_it_ended(engine: Engine) -> None:
    limit(engine, 9 * HOLD.picos)
    claim = claimed(engine)
    call_id = admitted(engine, claim)

    def void() -> ledger.EndedCall:
        with one_by_one(engine) as connection:
            return ledger.end_call(connection, claim.job_id, call_id, REJECTED)

    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            first = ledger.end_call(connection, claim.job_id, call_id, ANSWERED)
            voided = threads.submit(void)
            until(lambda: voided.done() or invariants.rows(engine, WAITS) == [(1,)], "the other end, waiting")
        second = voided.result()

    assert (first, second) == (ledger.EndedCall.FREED_ROOM, ledger.EndedCall.STAYED)
    assert invariants.rows(engine, "SELECT state FROM calls") == [("settled",)]
    invariants.check_ledger(engine)


def everything(engine: Engine) -> list[Any]:
    tables = ("windows", "jobs", "calls", "ledger_entries", "events")
    return [row for table in tables for row in invariants.rows(engine, f"SELECT * FROM {table} ORDER BY 1")]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("hold_call(:job, 1, :call, -1, 0, '{}', '{}')", "no less than nothing"),
        ("hold_call(:job, 1, :call, NULL, 0, '{}', '{}')", "no less than nothing"),
        (
            "end_call(:job, :open, 'sent', '{}', '{}', '{}', {rest}",
            "no call ends as sent",
        ),
        ("end_call(:job, :open, 'settled', '{}', '{}', '{}', {rest}", "do not add up"),
        (
            "end_call(:job, :open, 'void', '{release}', '{1}', '{1}', {rest}",
            "do not add up",
        ),
        (
            "end_call(:job, :open, 'void', '{post}', '{1000}', '{1000000000}', {rest}",
            "a call that is void has no transfer post",
        ),
        (
            "end_call(:job, :open, 'uncertain', '{suspend}', '{1}', '{1}', {rest}",
            "a call that is uncertain has no transfer suspend of 1 tokens",
        ),
        (
            "end_call(:job, :open, 'settled', '{post,release}', '{1001,-1}', '{1000000000,0}', {rest}",
            "ck_ledger_entries_amounts",
        ),
        ("end_call(:job, :call, 'void', '{}', '{}', '{}', {rest}", "no rows"),
        ("end_call(:other, :open, 'void', '{}', '{}', '{}', {rest}", "is not one of job"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(engine: Engine, statement: str, told: str) -> None:
    claim = claimed(engine)
    values = {"job": claim.job_id, "call": new_id(), "open": admitted(engine, claim)}
    values["other"] = claimed(engine).job_id
    seen = everything(engine)

    used = {name: value for name, value in values.items() if f":{name}" in statement}
    statement = statement.replace("{rest}", "'{}', '{}', 8, '5 s', NULL)")

    with pytest.raises(DBAPIError, match=told):
        change(engine, f"SELECT {statement}", **used)

    assert everything(engine) == seen


def test_an_ending_says_only_what_a_call_has_columns_for(engine: Engine) -> None:
    call_id = admitted(engine, claimed(engine))
    ending = ledger.Ending(billed=False, phase="rejected", spent=None, values={"colour": "red"})

    with pytest.raises(ValueError, match="colour"):
        end(engine, call_id, ending)


def test_money_is_committed_to_disk_whatever_the_database_does_by_default(engine: Engine) -> None:
    claim = claimed(engine)
    with engine.begin() as connection:
        assert shown(connection) == "off"
        call = ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())
        assert shown(connection) == "on"
    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call.call_id, ANSWERED)
        assert shown(connection) == "on"


def shown(connection: Connection) -> object:
    return connection.scalar(text("SHOW synchronous_commit"))


def test_a_hold_is_one_round_trip_and_a_settlement_another(engine: Engine) -> None:
    limit(engine, 10**6 * HOLD.picos)
    claim = claimed(engine)
    with one_by_one(engine) as connection:
        for _ in range(8):  # statements are prepared once they have been used a few times
            call = ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())
            ledger.end_call(connection, claim.job_id, call.call_id, ANSWERED, call.terms)
        with round_trips(connection) as of_hold:
            call = ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide())
        with round_trips(connection) as of_settlement:
            ledger.end_call(connection, claim.job_id, call.call_id, ANSWERED, call.terms)

    assert (of_hold, of_settlement) == ([1], [1])


@contextmanager
def round_trips(connection: Connection) -> Iterator[list[int]]:
    """Count how often Postgres says that it is ready for the next query."""
    found: list[int] = []
    with tempfile.TemporaryFile() as trace:
        driver: Any = connection.connection.driver_connection
        driver.pgconn.trace(os.dup(trace.fileno()))
        yield found
        driver.pgconn.untrace()
        trace.seek(0)
        found.append(trace.read().count(b"ReadyForQuery"))


SMALL = Amount(tokens=10, picos=1_000)


def test_an_overrun_is_the_operators_and_pauses_its_model_until_somebody_resumes(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    call_id = admitted(engine, claimed(engine), SMALL)
    end(engine, call_id, ANSWERED)

    assert ANSWERED.spent is not None
    over = Terms(model="m", hold=SMALL, rates=RATES).used(ANSWERED.spent).picos - SMALL.picos
    with engine.begin() as connection:
        circuit = circuits.open_ones(connection)[PLAN.model]
    assert (circuit.state, circuit.why, circuit.probe_at) == (Condition.PAUSED, Why.OVERRUN, None)
    assert "440 tokens" in circuit.message
    [(told,)] = invariants.rows(
        engine, "SELECT data->>'overrun_usd' FROM events WHERE data->>'phase' = 'answered'"
    )
    assert told == f"0.{over:012d}".rstrip("0")
    invariants.check_windows_and_events(engine)
    with engine.begin() as connection:
        assert circuits.resume(connection, PLAN.model, actor="test")


def test_only_an_operator_takes_the_pause_of_an_overrun_away(engine: Engine) -> None:
    end(engine, admitted(engine, claimed(engine), SMALL), ANSWERED)
    failing = Trip(name=PLAN.model, state=Condition.DOWN, why=Why.FAILING, message="")

    with engine.begin() as connection:
        assert not circuits.trip(connection, failing, probe_after_s=0.0)
        assert circuits.open_ones(connection)[PLAN.model].why is Why.OVERRUN


def test_counters_that_drift_are_found_and_set_right_and_that_is_written_down(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos)
    claim = claimed(engine)
    for ending in (ANSWERED, UNKNOWN, REJECTED):
        end(engine, admitted(engine, claim), ending)
    admitted(engine, claim)
    end(engine, admitted(engine, claim, SMALL), ANSWERED)
    assert found(engine) == []
    seen = everything(engine)

    change(
        engine, "UPDATE windows SET held_picos = held_picos + 7, settled_tokens = 0, cap_picos = 8000000000"
    )
    change(engine, "UPDATE jobs SET cost_picos = 0, calls = 1")

    drifts = found(engine)
    assert [sorted(each.due) for each in drifts] == [
        ["calls", "cost_picos"],
        ["held_picos", "settled_tokens"],
    ]
    assert f"held_picos is {HOLD.picos + 7} and should be {HOLD.picos}" in str(drifts[1])
    with engine.begin() as connection:
        repaired = drift.rebuild(connection, actor="test")
    assert (repaired, found(engine)) == (drifts, [])
    change(engine, "UPDATE windows SET cap_picos = 10000000000")
    assert everything(engine) == seen
    told = invariants.rows(engine, "SELECT actor, action, subject FROM audit ORDER BY id")
    assert told == [("test", "ledger.rebuild", each.subject) for each in drifts]


def test_a_counter_may_be_set_to_more_than_its_cap_since_the_ledger_says_so(engine: Engine) -> None:
    limit(engine, 2 * HOLD.picos)
    admitted(engine, claimed(engine))
    change(engine, "UPDATE windows SET held_picos = 0, cap_picos = 1")

    with engine.begin() as connection:
        drift.rebuild(connection, actor="test")

    assert invariants.rows(engine, "SELECT held_picos, cap_picos FROM windows") == [(HOLD.picos, HOLD.picos)]


def found(engine: Engine) -> list[drift.Drift]:
    with engine.begin() as connection:
        return drift.drift(connection)


def end(engine: Engine, call_id: uuid.UUID, ending: ledger.Ending) -> ledger.EndedCall:
    with one_by_one(engine) as connection:
        job_id = connection.scalars(text("SELECT job_id FROM calls WHERE id = :id"), {"id": call_id}).one()
        return ledger.end_call(connection, job_id, call_id, ending)


@LOOSE
@given(
    spent=st.tuples(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 3_000)),
    rates=st.tuples(*[st.integers(0, 10**6)] * 3),
    hold=st.tuples(st.integers(0, 5_000), st.integers(0, 5 * 10**9)),
    late=st.booleans(),
)
def test_what_is_settled_is_what_was_used_and_counters_follow_the_ledger(
    engine: Engine,
    spent: tuple[int, int, int],
    rates: tuple[int, int, int],
    hold: tuple[int, int],
    *,
    late: bool,
) -> None:
    if not invariants.rows(engine, "SELECT id FROM budgets"):
        limit(engine, 10**18)
    paid = Rates(input_picos=rates[0], cached_picos=rates[1], output_picos=rates[2])
    use = Spent(input_tokens=max(spent[:2]), cached_tokens=min(spent[:2]), output_tokens=spent[2])
    terms = Terms(model=PLAN.model, hold=Amount(tokens=hold[0], picos=hold[1]), rates=paid)
    claim = claimed(engine)
    with one_by_one(engine) as connection:
        admission = ledger.Admission(max_tokens=1, hold=terms.hold, rates=paid)
        call = ledger.admit(connection, claim.job_id, claim.fence, PLAN, lambda _: admission)
        if late:
            ledger.end_call(connection, claim.job_id, call.call_id, UNKNOWN)
        ending = ledger.Ending(billed=True, phase="answered", spent=use, values={})
        ledger.end_call(connection, claim.job_id, call.call_id, ending)

    transfers = settled(terms.hold, terms.used(use), Account.UNCERTAIN if late else Account.HELD)
    written = invariants.rows(
        engine,
        "SELECT phase, debit, credit, tokens, picos FROM ledger_entries"
        f" WHERE call_id = '{call.call_id}' AND phase NOT IN ('hold', 'suspend') ORDER BY phase",
    )
    assert written == sorted(
        (each.phase, each.debit, each.credit, each.amount.tokens, each.amount.picos) for each in transfers
    )
    cost = (use.input_tokens - use.cached_tokens) * rates[0] + use.cached_tokens * rates[1]
    cost += use.output_tokens * rates[2]
    [row] = invariants.rows(
        engine,
        f"SELECT c.cost_picos, j.cost_picos FROM calls c JOIN jobs j ON j.id = c.job_id"
        f" WHERE c.id = '{call.call_id}'",
    )
    assert tuple(row) == (cost, cost)
    assert found(engine) == []
