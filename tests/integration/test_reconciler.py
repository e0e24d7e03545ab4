"""The gateway's account held against the ledger, hour by hour; the stand-in's own ledger is what is true."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from patchmill.budget.reconciliation import HOUR, Verdict
from patchmill.job.circuit import GATEWAY, Condition, Trip, Why
from patchmill.store import accounts, circuits
from patchmill.store.accounts import AccountRow
from tests.support.raw_server import RawServer, response
from tests.support.reconciling import (
    BILLED,
    LATER,
    OTHER_KEY,
    SOON,
    UNBILLED,
    Reconciling,
    reconciling,
    settled_by_us,
    states,
    use_of,
)
from tests.support.stack import until


@pytest.fixture
def alone(engine: Engine, database_url: str, redis_url: str) -> Iterator[Reconciling]:
    with reconciling(engine, database_url, redis_url, alone=True) as made:
        yield made


def account_of(it: Reconciling) -> AccountRow:
    with it.engine.begin() as connection:
        row = accounts.read(connection)
    assert row is not None
    return row


def test_an_hour_in_which_all_is_known_is_equal_to_the_pico_dollar(alone: Reconciling) -> None:
    alone.call()
    alone.call("500")
    alone.settle_into_the_hour()

    found = alone.of_hour(alone.look(after=SOON))

    assert found.verdict is Verdict.EQUAL
    assert found.billed == found.settled == use_of(alone.truth())
    row = account_of(alone)
    assert row.problem is None
    assert row.available_picos == 1_000 * 10**12 - found.billed.picos


def test_somebody_elses_calls_on_an_account_that_should_be_ours_alone_are_drift(alone: Reconciling) -> None:
    alone.call()
    alone.call_as_somebody_else()
    alone.settle_into_the_hour()

    with capture_logs() as log:
        found = alone.of_hour(alone.look_twice())

    assert found.verdict is Verdict.DRIFT
    assert found.drifted_at is not None
    assert found.billed.calls == found.settled.calls + 1
    assert sum("nothing explains it" in line["event"] for line in log) == 1


@pytest.mark.parametrize("minute", [0.1, 59.95])
def test_a_call_near_the_border_of_an_hour_may_stand_in_either(alone: Reconciling, minute: float) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour(minute)
    alone.tell(clock_s=alone.account["clock_s"] + (-30 if minute < 1 else 30))

    compared = alone.look(after=SOON + timedelta(hours=1))
    alone.look(after=LATER + timedelta(hours=1))

    assert {each.now.verdict for each in compared} <= {Verdict.BORDER, Verdict.EQUAL}
    assert alone.of_hour(compared).verdict is Verdict.BORDER
    assert "uncertain" in states(alone)


@pytest.mark.parametrize("fault", ["401", "500", "503", "html_200", "garbage", "hang"])
def test_an_account_that_cannot_be_read_leaves_everything_as_it_was_and_says_so_once(
    alone: Reconciling, fault: str
) -> None:
    alone.call(BILLED)
    alone.settle_into_the_hour()
    alone.look(after=SOON)
    before = alone.everything()
    alone.tell(fault=fault)

    with capture_logs() as log:
        for _ in range(2):
            assert alone.look(after=LATER, timeout_s=0.5) == []

    assert alone.everything() == before
    row = account_of(alone)
    assert row.problem
    assert row.looked_at == alone.hour + timedelta(hours=1) + SOON
    assert sum("cannot be read" in line["event"] for line in log) == 1
    alone.tell(fault=None)
    alone.look(after=LATER)
    assert account_of(alone).problem is None
    assert settled_by_us(alone) == use_of(alone.truth())


def test_a_gateway_without_an_account_is_no_error_and_is_said_once(alone: Reconciling) -> None:
    alone.tell(fault="404")

    with capture_logs() as log:
        for _ in range(2):
            assert alone.look(after=SOON) == []

    row = account_of(alone)
    assert (row.supported, row.problem) == (False, None)
    assert sum("does not tell its account" in line["event"] for line in log) == 1
    with alone.engine.begin() as connection:
        assert connection.scalar(text("SELECT next_at > now() + interval '23 h' FROM accounts"))
    alone.tell(fault=None)
    alone.look(after=SOON)
    assert account_of(alone).supported


@pytest.mark.parametrize(
    "bucket",
    [
        {"hour": None},
        {"model": None},
        {"hour": "2026-11-22T12:30:00Z"},
        {"total_usd": "-1"},
        {"call_count": 1.5},
        {"input_tokens": "many"},
    ],
)
def test_use_that_cannot_be_read_whole_is_no_use(alone: Reconciling, bucket: dict[str, Any]) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour()
    alone.look(after=SOON)
    before = alone.everything()
    good = {"hour": "2026-11-22T12:00:00Z", "model": "m", "total_usd": "1", "call_count": 1}
    good |= {"input_tokens": 1, "output_tokens": 1}
    account = response(b'{"balance": {"available_usd": "5"}}')
    use = response(json.dumps({"data": [good, {**good, **bucket}]}).encode())
    alone.reconciler(after=-2 * HOUR).look()

    with RawServer([account], [account], [use]) as server:
        alone.reconciler(after=-2 * HOUR, base_url=server.url).look()
        balances = alone.everything()
        assert alone.reconciler(after=LATER, base_url=server.url).look() == []

    assert alone.everything() == balances
    assert balances[:-1] == before[:-1]
    assert account_of(alone).problem


def test_hours_of_another_account_are_not_compared(alone: Reconciling) -> None:
    alone.call(UNBILLED)
    alone.settle_into_the_hour()

    alone.reconciler(after=SOON, key=OTHER_KEY).look()
    compared = alone.reconciler(after=2 * LATER, key=OTHER_KEY).look()

    assert alone.hour not in {each.now.hour for each in compared}
    assert "uncertain" in states(alone)


def test_an_hour_that_agrees_for_good_is_read_again_only_when_the_gateway_says_otherwise(
    alone: Reconciling,
) -> None:
    alone.call()
    alone.settle_into_the_hour()
    first = alone.of_hour(alone.look(after=SOON))

    again = alone.look(after=3 * LATER)
    alone.call_as_somebody_else()
    changed = alone.of_hour(alone.look(after=4 * LATER))

    assert first.verdict is Verdict.EQUAL
    assert again == []
    assert changed.verdict is Verdict.DRIFT


def test_of_all_workers_one_has_the_turn(alone: Reconciling) -> None:
    with alone.engine.begin() as connection:
        connection.execute(text("UPDATE accounts SET next_at = now()"))
    turns: list[bool] = []

    def take() -> None:
        with alone.engine.begin() as connection:
            turns.append(accounts.take_turn(connection, "same", every_s=600, now=alone.hour))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(turns) == [False, False, False, True]


def test_nobody_looks_while_the_key_is_refused(alone: Reconciling) -> None:
    refused = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INVALID_API_KEY, message="no")
    with alone.engine.begin() as connection:
        connection.execute(text("UPDATE accounts SET next_at = now()"))
        circuits.trip(connection, refused, probe_after_s=None)
        assert not accounts.take_turn(connection, "same", every_s=600, now=alone.hour)
        circuits.close(connection, GATEWAY)
        assert accounts.take_turn(connection, "same", every_s=600, now=alone.hour)


def test_a_tick_looks_on_a_thread_of_its_own(alone: Reconciling) -> None:
    with alone.engine.begin() as connection:
        connection.execute(text("UPDATE accounts SET next_at = now()"))

    alone.reconciler(after=SOON).tick()

    until(lambda: account_of(alone).looked_at == alone.hour + timedelta(hours=1) + SOON, "the look")
