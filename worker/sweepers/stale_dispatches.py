"""No job stays dispatched for ever: a lost message is sent again, a passed deadline ends the wait."""

from sqlalchemy import Engine

from patchmill.store.dispatch import fail_overdue, take_back_stale

BATCH = 500


def sweep(engine: Engine, *, older_than_s: float) -> int:
    """Queue stale dispatches again and end overdue waits; give the number of jobs moved."""
    with engine.begin() as connection:
        moved = take_back_stale(connection, older_than_s=older_than_s, limit=BATCH)
    with engine.begin() as connection:
        return moved + fail_overdue(connection, limit=BATCH)
