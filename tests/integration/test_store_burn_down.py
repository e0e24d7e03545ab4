"""How a window was spent, read beside its counters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.windows import WindowKind
from patchmill.store import ledger
from patchmill.store.budgets import BudgetRow, add_budget, every_budget
from patchmill.store.burn_down import Course, course_of, forecast
from tests.integration.test_store_ledger import ANSWERED, REJECTED, UNKNOWN, end
from tests.support.claimed import HOLD, admitted, claimed

USED = Amount(tokens=450, picos=(400 - 128) * 140_000 + 128 * 3_000 + 50 * 280_000)
OVERRUN = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=2_000, cached_tokens=0, output_tokens=9_000),
    values={"reply": "text", "finish_reason": "stop"},
)


def budget(engine: Engine, window: WindowKind, **more: Any) -> BudgetRow:
    with engine.begin() as connection:
        add_budget(
            connection,
            **{
                "name": f"budget {window}",
                "scope": "installation",
                "project_id": None,
                "key_id": None,
                "window": window,
                "time_zone": "UTC",
                "limit_picos": 10**12,
                "limit_tokens": None,
                "at_limit": "wait",
                **more,
            },
        )
        return next(each for each in every_budget(connection) if each.window is window)


def course(engine: Engine, row: BudgetRow, now: datetime | None = None, *, whole: bool = True) -> Course:
    with engine.begin() as connection:
        return course_of(connection, row, now or datetime.now(UTC), whole=whole)


def call(engine: Engine, ending: ledger.Ending = ANSWERED) -> None:
    end(engine, admitted(engine, claimed(engine)), ending)


def backdate(engine: Engine, by: timedelta) -> None:
    """Move every entry that there is back in time; the trigger is for those who may not."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger_entries DISABLE TRIGGER refuse_ledger_change"))
        connection.execute(text("UPDATE ledger_entries SET at = at - :by"), {"by": by})
        connection.execute(text("ALTER TABLE ledger_entries ENABLE TRIGGER refuse_ledger_change"))


@pytest.mark.parametrize("window", WindowKind)
def test_the_steps_sum_to_what_is_settled(engine: Engine, window: WindowKind) -> None:
    row = budget(engine, window)
    untouched = course(engine, row)
    assert {step.cumulative for step in untouched.steps} == {Amount(tokens=0, picos=0)}
    for ending in (ANSWERED, REJECTED, UNKNOWN, OVERRUN, ANSWERED):
        call(engine, ending)

    spent = course(engine, row)

    assert spent.use.settled.picos == 2 * USED.picos + HOLD.picos
    assert spent.use.uncertain == HOLD
    assert spent.steps[-1].cumulative == spent.use.settled
    assert sum(step.settled.picos for step in spent.steps) == spent.use.settled.picos
    assert sum(step.settled.tokens for step in spent.steps) == spent.use.settled.tokens
    assert spent.lately == spent.use.settled
    assert course(engine, row, whole=False).use == spent.use
    assert course(engine, row, whole=False).lately == spent.lately


def test_each_step_has_what_was_settled_in_it(engine: Engine) -> None:
    row = budget(engine, WindowKind.TOTAL)
    call(engine)
    backdate(engine, timedelta(days=2))
    call(engine)
    call(engine)

    shown = course(engine, row).steps

    assert [step.settled.tokens // USED.tokens for step in shown[-3:]] == [1, 0, 2]
    assert [step.cumulative.tokens // USED.tokens for step in shown[-4:]] == [0, 1, 1, 3]


def test_what_a_total_settled_long_ago_is_its_first_step(engine: Engine) -> None:
    row = budget(engine, WindowKind.TOTAL)
    call(engine)
    backdate(engine, timedelta(days=400))
    call(engine)

    spent = course(engine, row)

    assert spent.steps[0].settled == spent.steps[-1].settled == USED
    assert spent.steps[-1].cumulative == spent.use.settled
    assert spent.lately == USED


def test_the_forecast_follows_the_recent_pace(engine: Engine) -> None:
    row = budget(engine, WindowKind.TOTAL, limit_picos=HOLD.picos * 10)
    call(engine)
    now = datetime.now(UTC)

    spent = course(engine, row, now)
    found = forecast(row, spent, now)

    left = 10 * HOLD.picos - USED.picos
    since = spent.lately_since
    assert since == row.created_at
    assert found == now + timedelta(
        microseconds=left * ((now - since) // timedelta(microseconds=1)) // USED.picos
    )
    idle = now + timedelta(days=30)
    assert forecast(row, course(engine, row, idle), idle) is None
