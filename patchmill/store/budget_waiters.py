"""Jobs that wait for a budget, made due when it allows more, or something else, than before."""

import uuid

from sqlalchemy import Boolean, ColumnElement, Connection, bindparam, func, select, true, update

from patchmill.job.state import State, WaitReason
from patchmill.store.budgets import BudgetRow
from patchmill.store.tables import budgets, jobs, windows


def wake(connection: Connection, budget: BudgetRow) -> int:
    """Make the jobs due that a budget may keep waiting; say how many.

    In the transaction that changes the budget, so that none of them can go on waiting for what was. Those
    that somebody else holds at the moment are left out, so that nobody waits. One that waits for another
    budget finds that it does still.
    """
    return _wake(connection, _bears_on(budget))


def wake_all(connection: Connection) -> int:
    """Make all jobs due that wait for a budget, in the transaction that changes prices; say how many."""
    return _wake(connection, true())


def _wake(connection: Connection, which: ColumnElement[bool]) -> int:
    waiting = (
        select(jobs.c.id)
        .where(
            jobs.c.state == State.QUEUED,
            jobs.c.wait_reason == WaitReason.BUDGET,
            jobs.c.run_at > func.now(),
            which,
        )
        .with_for_update(skip_locked=True, key_share=True)
    )
    return connection.execute(update(jobs).where(jobs.c.id.in_(waiting)).values(run_at=func.now())).rowcount


def _bears_on(budget: BudgetRow) -> ColumnElement[bool]:
    if budget.scope == "project":
        return jobs.c.project_id == budget.project_id
    return jobs.c.key_id == budget.key_id if budget.scope == "key" else true()


_NOW = func.now()
_WAITS_FOR_IT = (
    select(budgets.c.id)
    .where(budgets.c.id == bindparam("budget"), budgets.c.ended_at.is_(None), budgets.c.at_limit == "wait")
    .with_for_update(read=True)
)
_left = {
    unit: budgets.c[f"limit_{unit}"] - windows.c[f"settled_{unit}"] - windows.c[f"uncertain_{unit}"]
    for unit in ("tokens", "picos")
}
_USED_UP = (
    select(
        func.coalesce(_left["tokens"] < bindparam("tokens"), False, type_=Boolean)
        | func.coalesce(_left["picos"] < bindparam("picos"), False, type_=Boolean)
    )
    .select_from(windows.join(budgets))
    .where(
        budgets.c.id == bindparam("budget"),
        windows.c.starts_at <= _NOW,
        windows.c.resets_at > _NOW,
    )
    .with_for_update(of=windows, key_share=True)
)
_GO_ON = update(jobs).where(jobs.c.id == bindparam("job")).values(run_at=_NOW)


def look_again(
    connection: Connection, job_id: uuid.UUID, budget_id: uuid.UUID, *, tokens: int, picos: int
) -> bool:
    """Make a job due after all that begins to wait for a new window in this transaction.

    Since its hold of so many tokens and pico-dollars was refused, the window may have got room, the budget
    another limit, or an end, and whoever did that could not see it wait. Both stay as they are until it can
    be seen.
    """
    if connection.execute(_WAITS_FOR_IT, {"budget": budget_id}).one_or_none() is not None:
        hold = {"budget": budget_id, "tokens": tokens, "picos": picos}
        if connection.scalar(_USED_UP, hold):
            return False
    connection.execute(_GO_ON, {"job": job_id})
    return True
