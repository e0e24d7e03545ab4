"""Every share of a budget that is passed is told once, whichever worker looks first."""

from sqlalchemy import Engine

from patchmill.store.budget_alerts import alert_passed

BATCH = 100


def sweep(engine: Engine) -> int:
    """Tell of budgets that have passed a share of their limit; give how many messages that made."""
    with engine.begin() as connection:
        return alert_passed(connection, limit=BATCH)
