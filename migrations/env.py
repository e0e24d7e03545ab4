"""How Alembic reaches the database: one advisory lock, short lock waits, one transaction a migration.

Who waits for a lock on a table holds up everybody who comes after: so a migration waits for half a second, and
is then begun anew (`store/schema.py`).
"""

import os
import threading

from alembic import context
from sqlalchemy import Connection, Engine, text

from patchmill.store.engine import LIMIT_TRANSACTIONS, be_patient, open_engine
from patchmill.store.schema import MIGRATION_LOCK
from patchmill.store.tables import metadata

LOOK_EVERY_S = 0.2
STATEMENT_LIMIT_S = 600


def _engine() -> Engine:
    given = context.config.attributes.get("engine")
    if given is not None:
        return given
    return open_engine(os.environ["PATCHMILL_DATABASE_URL"], pool_size=1)


def _migrate(connection: Connection) -> None:
    be_patient(connection, STATEMENT_LIMIT_S)
    connection.execute(text("SET lock_timeout = '500ms'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_LIMIT_S}s'"))
    connection.execute(text(LIMIT_TRANSACTIONS.format(limit="0")))
    connection.execute(text("SET idle_in_transaction_session_timeout = '10min'"))
    _wait_for_turn(connection)
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()


def _wait_for_turn(connection: Connection) -> None:
    """Wait until no other migration is under way, without a statement that lasts.

    An index that is built concurrently waits for every statement that began before, and would for this one.
    """
    take = text("SELECT pg_try_advisory_lock(:lock)")
    while not connection.scalar(take, {"lock": MIGRATION_LOCK}):
        connection.commit()
        threading.Event().wait(LOOK_EVERY_S)
    connection.commit()


if context.is_offline_mode():
    raise SystemExit("migrations run against a live database; set PATCHMILL_DATABASE_URL")
with _engine().connect() as live:
    try:
        _migrate(live)
    finally:
        live.invalidate()  # its session settings are not for the pool
