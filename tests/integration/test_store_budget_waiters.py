"""Jobs that wait for a new window: whatever gives room before it begins lets them go on."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select

from patchmill.budget.ledger import Amount
from patchmill.budget.windows import WindowKind
from patchmill.job.state import WaitReason
from patchmill.store import budget_waiters, claims, ledger
from patchmill.store.access import ensure_project
from patchmill.store.budgets import BudgetRow, change_budget, end_budget, project_budget
from patchmill.store.tables import jobs
from tests.integration.test_store_ledger import REJECTED, UNKNOWN, ended
from tests.support.attempts import Attempts, attempting
from tests.support.claimed import HOLD, admitted, claimed
from tests.support.limits import limit

MANY = ledger.WAKE_LIMIT + 12


@pytest.fixture
def attempts(engine: Engine, database_url: str, redis_url: str) -> Iterator[Attempts]:
    with attempting(engine, database_url, redis_url) as made:
        yield made


def found(engine: Engine, budget_id: uuid.UUID) -> BudgetRow:
    with engine.begin() as connection:
        row = project_budget(connection, ensure_project(connection, "default"), budget_id)
    assert row is not None
    return row


def raise_limit(connection: Connection, budget: BudgetRow) -> None:
    change_budget(connection, budget, {"limit_tokens": 10**9})


def let_it_fail(connection: Connection, budget: BudgetRow) -> None:
    change_budget(connection, budget, {"at_limit": "fail"})


CHANGES = {"raised": raise_limit, "ended": end_budget, "another policy": let_it_fail}


@contextmanager
def just_before_it_waits(engine: Engine, change_it: Callable[[], object]) -> Iterator[None]:
    """Do something once, between a refused hold and the row that says that its job waits."""
    done: list[bool] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not done and "worker_id=" in statement and "run_at=(now() + " in statement:
            done.append(True)
            change_it()

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", look)
    assert done


def used_up(engine: Engine) -> tuple[uuid.UUID, uuid.UUID]:
    """Make a budget whose window is used up by a call that is uncertain; gives both."""
    budget_id = limit(engine, tokens=20_000, window=WindowKind.MONTH)
    call_id = admitted(engine, claimed(engine), Amount(tokens=19_900, picos=1))
    assert ended(engine, call_id, UNKNOWN) is ledger.EndedCall.ENDED
    return budget_id, call_id


@pytest.mark.parametrize("name", CHANGES)
def test_a_job_that_begins_to_wait_while_its_budget_changes_goes_on(
    engine: Engine, attempts: Attempts, name: str
) -> None:
    budget_id, _ = used_up(engine)
    budget = found(engine, budget_id)

    def change_it() -> None:
        with engine.begin() as connection:
            CHANGES[name](connection, budget)
            assert budget_waiters.wake(connection, budget) == 0

    with just_before_it_waits(attempts.process.engine, change_it):
        job = attempts.run(attempts.submit())

    assert (job["state"], job["wait_reason"]) == ("queued", WaitReason.BUDGET)
    assert job["run_at"] <= datetime.now(UTC)
    ran = attempts.run(job["id"])
    assert ran["state"] == ("failed" if name == "another policy" else "succeeded")


def test_a_job_that_begins_to_wait_as_uncertain_room_becomes_free_goes_on(
    engine: Engine, attempts: Attempts
) -> None:
    _, call_id = used_up(engine)

    def decide() -> None:
        assert ended(engine, call_id, REJECTED) is ledger.EndedCall.FREED_ROOM

    with just_before_it_waits(attempts.process.engine, decide):
        job = attempts.run(attempts.submit())

    assert (job["state"], job["wait_reason"]) == ("queued", WaitReason.BUDGET)
    assert job["run_at"] <= datetime.now(UTC)
    assert attempts.run(job["id"])["state"] == "succeeded"


def test_a_job_waits_for_the_next_window_while_nothing_changes(engine: Engine, attempts: Attempts) -> None:
    used_up(engine)

    job = attempts.run(attempts.submit())

    with engine.connect() as connection:
        resets_at = connection.exec_driver_sql("SELECT resets_at FROM windows").scalar_one()
    assert (job["state"], job["wait_reason"]) == ("queued", WaitReason.BUDGET)
    assert abs(job["run_at"] - resets_at) < timedelta(minutes=1)


def test_uncertain_room_lets_all_go_on_who_wait_for_a_new_window(engine: Engine) -> None:
    limit(engine, 10 * HOLD.picos, window=WindowKind.MONTH)
    call_id = admitted(engine, claimed(engine))
    ended(engine, call_id, UNKNOWN)
    waiting = [claimed(engine) for _ in range(MANY)]
    with engine.begin() as connection:
        for claim in waiting:
            claims.release(
                connection,
                claim.job_id,
                claim.fence,
                reason=WaitReason.BUDGET,
                after_s=86_400.0,
                refund=True,
            )

    assert ended(engine, call_id, REJECTED) is ledger.EndedCall.WOKE_WAITERS

    with engine.connect() as connection:
        due = select(jobs.c.id).where(jobs.c.run_at <= func.now(), jobs.c.state == "queued")
        assert set(connection.scalars(due)) == {claim.job_id for claim in waiting}
