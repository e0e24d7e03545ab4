"""When the gateway's account ends that a call is uncertain, and when it does not."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.prices import to_usd
from patchmill.budget.reconciliation import HOUR, Use, Verdict
from patchmill.errors import Conflict
from patchmill.store import decisions
from patchmill.store.decisions import Decision
from tests.support.ledger_audit import audit
from tests.support.raw_server import RawServer, response
from tests.support.reconciling import (
    BILLED,
    LATER,
    SOON,
    UNBILLED,
    Reconciling,
    reconciling,
    settled_by_us,
    states,
    use_of,
)

WRONG_DATE = "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n"


@pytest.fixture
def alone(engine: Engine, database_url: str, redis_url: str) -> Iterator[Reconciling]:
    with reconciling(engine, database_url, redis_url, alone=True) as made:
        yield made


@pytest.fixture
def shared(engine: Engine, database_url: str, redis_url: str) -> Iterator[Reconciling]:
    with reconciling(engine, database_url, redis_url, alone=False) as made:
        yield made


def decided(it: Reconciling) -> list[Any]:
    with it.engine.begin() as connection:
        return list(connection.execute(text("SELECT * FROM call_decisions")).mappings())


def test_what_was_not_billed_is_void_once_the_numbers_have_stood_for_an_hour(alone: Reconciling) -> None:
    alone.call(UNBILLED)
    alone.call(UNBILLED)
    alone.settle_into_the_hour()

    first = alone.look(after=SOON)
    assert states(alone) == ["settled", "settled", "uncertain", "uncertain"]
    alone.look(after=LATER)

    assert alone.of_hour(first).verdict is Verdict.EQUAL
    assert states(alone) == ["settled", "settled", "void", "void"]
    assert settled_by_us(alone) == use_of(alone.truth())
    assert [(row["actor"], row["ground"], row["billed"]) for row in decided(alone)] == [
        ("worker", "reconciliation", False)
    ] * 2
    assert decided(alone)[0]["evidence"]["uncertain_calls"] == 2
    again = alone.of_hour(alone.look(after=LATER + SOON))
    assert (again.verdict, again.uncertain_calls) == (Verdict.EQUAL, 0)


def test_the_only_uncertain_call_that_was_billed_is_settled_for_exactly_that(alone: Reconciling) -> None:
    alone.call(BILLED)
    alone.call()
    alone.settle_into_the_hour()

    found = alone.of_hour(alone.look_twice())

    assert found.verdict is Verdict.UNCERTAIN
    assert states(alone) == ["settled", "settled", "settled"]
    assert settled_by_us(alone) == use_of(alone.truth())
    assert alone.of_hour(alone.look(after=LATER + SOON)).verdict is Verdict.EQUAL
    [decision] = decided(alone)
    assert (decision["ground"], decision["billed"]) == ("reconciliation", True)
    with alone.engine.begin() as connection:
        held, doubted = connection.execute(
            text("SELECT sum(held_picos), sum(uncertain_picos) FROM jobs")
        ).one()
    assert (held, doubted) == (0, 0)


def test_of_several_uncertain_calls_and_a_part_of_their_money_none_is_decided(
    alone: Reconciling,
) -> None:
    alone.call(BILLED)
    alone.call(UNBILLED)
    alone.settle_into_the_hour()

    found = alone.of_hour(alone.look_twice())

    assert found.verdict is Verdict.UNCERTAIN
    assert states(alone).count("uncertain") == 2
    assert decided(alone) == []
    truth = use_of(alone.truth())
    assert settled_by_us(alone).picos < truth.picos <= settled_by_us(alone).picos + found.uncertain.picos


def test_a_shared_account_is_evidence_of_nothing(shared: Reconciling) -> None:
    shared.call(UNBILLED)
    shared.settle_into_the_hour()
    assert shared.of_hour(shared.look_twice()).verdict is Verdict.EQUAL
    shared.call_as_somebody_else()

    found = shared.of_hour(shared.look(after=2 * LATER))

    assert found.billed.calls == 2
    # What is more may be the uncertain call's as well as the other's.
    assert found.verdict is Verdict.UNCERTAIN
    for _ in range(2):
        shared.call_as_somebody_else()
    assert shared.of_hour(shared.look(after=3 * LATER)).verdict is Verdict.OTHERS
    assert states(shared) == ["settled", "uncertain"]
    assert decided(shared) == []


def test_somebody_elses_call_in_the_place_of_ours_ends_no_call(alone: Reconciling) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour()
    alone.call_as_somebody_else()
    alone.call_as_somebody_else()

    found = alone.of_hour(alone.look_twice())

    assert found.verdict is Verdict.DRIFT
    assert states(alone) == ["settled", "uncertain"]


def test_buckets_that_lag_are_drift_until_they_come_and_end_no_call(alone: Reconciling) -> None:
    alone.call(BILLED)
    alone.settle_into_the_hour()
    alone.tell(lag_s=3600)

    late = alone.of_hour(alone.look_twice())
    assert (late.verdict, late.billed) == (Verdict.DRIFT, Use())
    assert "uncertain" in states(alone)
    alone.tell(lag_s=0)
    found = alone.of_hour(alone.look(after=2 * LATER))

    assert found.verdict is Verdict.UNCERTAIN
    assert (found.drifted_at, found.drift_ended_at) == (late.drifted_at, found.looked_at)
    assert "uncertain" in states(alone)  # these numbers have not stood for an hour
    alone.look(after=3 * LATER)
    assert settled_by_us(alone) == use_of(alone.truth())


def test_an_account_that_tells_nothing_of_an_hour_does_not_show_that_nothing_was_billed(
    alone: Reconciling,
) -> None:
    alone.call(BILLED)
    with alone.engine.begin() as connection:  # so that no settled call is missing
        connection.execute(text("UPDATE calls SET state = 'void' WHERE state = 'settled'"))
    alone.settle_into_the_hour()
    alone.tell(lag_s=3600)

    found = alone.of_hour(alone.look_twice())

    assert found.verdict is Verdict.EQUAL
    assert states(alone) == ["uncertain", "void"]


def test_while_a_call_of_the_hour_is_on_the_wire_none_is_decided(alone: Reconciling) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour()
    with alone.engine.begin() as connection:
        connection.execute(text("UPDATE calls SET state = 'sent' WHERE state = 'settled'"))
        connection.execute(text("UPDATE calls SET model = 'deepseek-v4-pro' WHERE state = 'sent'"))

    alone.look_twice()

    assert decided(alone) == []


def test_the_calls_of_a_trial_explain_an_excess_and_end_no_call(alone: Reconciling) -> None:
    alone.call(UNBILLED)
    alone.call_as_somebody_else()
    alone.call_as_somebody_else()
    alone.settle_into_the_hour()
    at = alone.hour + timedelta(minutes=40)
    with alone.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit (at, actor, action, subject, details)"
                " VALUES (:at, 'host', 'gateway.trial', 'gateway', '{}')"
            ),
            {"at": at},
        )

    assert alone.of_hour(alone.look_twice()).verdict is Verdict.TRIAL
    assert "uncertain" in states(alone)


@pytest.mark.parametrize(("more", "decided_calls"), [(WRONG_DATE, 0), ("", 0), ("now", 1)])
def test_only_a_gateway_whose_clock_agrees_gives_evidence(
    alone: Reconciling, more: str, decided_calls: int
) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour()
    if more == "now":
        more = f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}\r\n"
    found = alone.of_hour(alone.look(after=SOON))
    bucket = {
        "hour": alone.hour.isoformat(),
        "model": found.model,
        "call_count": found.billed.calls,
        "input_tokens": found.billed.input_tokens,
        "output_tokens": found.billed.output_tokens,
        "total_usd": to_usd(found.billed.picos),
    }
    account = response(json.dumps({"balance": {"available_usd": "5"}}).encode(), more=more)
    use = response(json.dumps({"data": [bucket]}).encode(), more=more)

    with RawServer([account], [account], [use], [account], [use]) as server:
        for after in (-2 * HOUR, SOON, LATER):
            alone.reconciler(after=after, base_url=server.url).look()

    assert len(decided(alone)) == decided_calls


def test_what_an_operator_decides_beyond_the_hold_is_overrun(alone: Reconciling) -> None:
    alone.call(BILLED)
    [call] = [each for each in alone.calls() if each["state"] == "uncertain"]
    dear = Use(calls=1, input_tokens=10, output_tokens=5, picos=call["hold_picos"] + 7)
    decision = Decision(billed=dear, ground=decisions.OPERATOR, reason="the invoice")

    with alone.engine.begin() as connection:
        made = decisions.decide(connection, call["id"], decision, actor="host")
    with alone.engine.begin() as connection, pytest.raises(Conflict, match="it is settled"):
        decisions.decide(connection, call["id"], decision, actor="host")

    assert (made.state, made.cost_picos, made.overrun_picos) == ("settled", dear.picos, 7)
    with alone.engine.begin() as connection:
        phases = connection.execute(
            text("SELECT phase, picos FROM ledger_entries WHERE call_id = :id"), {"id": call["id"]}
        ).all()
    assert dict(tuple(row) for row in phases)["overrun"] == 7


def test_after_evidence_every_call_agrees_with_the_truth(alone: Reconciling) -> None:
    for faults in ((), (UNBILLED,), ("500",), (UNBILLED, UNBILLED)):
        alone.call(*faults)
    alone.settle_into_the_hour()
    alone.look_twice()

    assert "uncertain" not in states(alone)
    assert settled_by_us(alone) == use_of(alone.truth())
    found = audit(alone.engine, alone.attempts.truth())
    # The audit pairs nameless requests by time, and these were moved.
    assert found.total.our_picos == sum(row["cost_picos"] for row in alone.truth())
