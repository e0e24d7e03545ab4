"""Jobs that wait for a budget, made due when it allows more, or something else, than before."""

from sqlalchemy import ColumnElement, Connection, func, select, true, update

from patchmill.job.state import State, WaitReason
from patchmill.store.budgets import BudgetRow
from patchmill.store.tables import jobs

WAKE_LIMIT = 5_000  # at once; those who come after them look again when their wait ends


def wake(connection: Connection, budget: BudgetRow) -> int:
    """Make the jobs due that a budget may keep waiting, in the order of their submission; say how many.

    Those that somebody else holds at the moment are left out, so that nobody waits. One that waits for
    another budget finds that it does still.
    """
    waiting = (
        select(jobs.c.id)
        .where(
            jobs.c.state == State.QUEUED,
            jobs.c.wait_reason == WaitReason.BUDGET,
            jobs.c.run_at > func.now(),
            _bears_on(budget),
        )
        .order_by(jobs.c.id)
        .limit(WAKE_LIMIT)
        .with_for_update(skip_locked=True, key_share=True)
    )
    return connection.execute(update(jobs).where(jobs.c.id.in_(waiting)).values(run_at=func.now())).rowcount


def _bears_on(budget: BudgetRow) -> ColumnElement[bool]:
    if budget.scope == "project":
        return jobs.c.project_id == budget.project_id
    return jobs.c.key_id == budget.key_id if budget.scope == "key" else true()
