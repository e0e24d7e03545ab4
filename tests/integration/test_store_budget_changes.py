"""Limits and prices that change while calls are admitted and settled."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, text

from patchmill.budget.prices import Price, Rates
from patchmill.budget.windows import WindowKind
from patchmill.store import ledger
from patchmill.store.access import ensure_project
from patchmill.store.budgets import add_budget, change_budget, project_budget
from patchmill.store.prices import add_prices, list_prices
from patchmill.store.tables import calls
from tests.integration.test_store_ledger import ANSWERED, REJECTED, end, money
from tests.support import invariants
from tests.support.claimed import HOLD, PLAN, admitted, claimed

THREADS = 4
TURNS = 12


@pytest.fixture
def budget_id(engine: Engine) -> UUID:
    with engine.begin() as connection:
        return add_budget(
            connection,
            name="all",
            scope="installation",
            project_id=None,
            key_id=None,
            window=WindowKind.TOTAL,
            time_zone="UTC",
            limit_picos=10 * HOLD.picos,
            limit_tokens=None,
            at_limit="wait",
        )


def set_limit(engine: Engine, budget_id: UUID, picos: int | None, tokens: int | None) -> None:
    with engine.begin() as connection:
        row = project_budget(connection, ensure_project(connection, "default"), budget_id, locked=True)
        assert row is not None
        change_budget(connection, row, {"limit_picos": picos, "limit_tokens": tokens})


def test_limits_that_change_under_admissions_break_no_window(engine: Engine, budget_id: UUID) -> None:
    """Nothing but refusals comes of it: a window's cap is never below what was admitted under it."""
    claims = [claimed(engine) for _ in range(THREADS)]
    stop = threading.Event()

    def call_and_settle(number: int) -> int:
        refused = 0
        for turn in range(TURNS):
            try:
                call_id = admitted(engine, claims[number])
            except ledger.Refused:
                refused += 1
            else:
                end(engine, call_id, ANSWERED if turn % 2 else REJECTED)
        return refused

    def change() -> int:
        changes = 0
        while not stop.is_set():
            for limits in ((HOLD.picos, None), (100 * HOLD.picos, HOLD.tokens), (None, 100 * HOLD.tokens)):
                set_limit(engine, budget_id, *limits)
                changes += 1
        return changes

    with ThreadPoolExecutor(THREADS + 1) as threads:
        changing = threads.submit(change)
        calling = list(threads.map(call_and_settle, range(THREADS)))
        stop.set()

        assert changing.result() > 3
    assert sum(calling) < THREADS * TURNS
    invariants.check_ledger(engine)


def test_a_lowered_limit_blocks_admission_and_nothing_else(engine: Engine, budget_id: UUID) -> None:
    first, second = claimed(engine), claimed(engine)
    call_id = admitted(engine, first)
    set_limit(engine, budget_id, HOLD.picos // 2, None)

    with pytest.raises(ledger.Refused):
        admitted(engine, second)
    end(engine, call_id, ANSWERED)

    settled, held, uncertain = money(engine)
    assert (settled > 0, held, uncertain) == (True, 0, 0)
    set_limit(engine, budget_id, 2 * HOLD.picos, None)
    end(engine, admitted(engine, second), ANSWERED)
    assert money(engine) == (2 * settled, 0, 0)
    invariants.check_ledger(engine)


def test_a_price_added_for_the_past_changes_nothing_that_is_settled(engine: Engine) -> None:
    open_call = admitted(engine, claimed(engine))
    settled_call = admitted(engine, claimed(engine))
    end(engine, settled_call, ANSWERED)
    dearer = Price(
        model=PLAN.model,
        rates=Rates(input_picos=10**9, cached_picos=10**9, output_picos=10**9),
        valid_from=datetime(2020, 1, 1, tzinfo=UTC),
    )
    with engine.begin() as connection:
        entries = connection.execute(text("SELECT * FROM ledger_entries ORDER BY call_id, phase")).all()
        (added,) = add_prices(connection, [(dearer, "late news")], actor="host")

    with engine.begin() as connection:
        assert added.id in {row.id for row in list_prices(connection, PLAN.model)}
        after = connection.execute(text("SELECT * FROM ledger_entries ORDER BY call_id, phase")).all()
        assert after == entries
    end(engine, open_call, ANSWERED)  # it was sent at the rates of its hold, and is paid by them
    with engine.begin() as connection:
        costs = connection.scalars(select(calls.c.cost_picos)).all()
    assert len(set(costs)) == 1
    invariants.check_ledger(engine)
