"""How Alembic reaches the database: one advisory lock, short lock waits, one transaction a migration."""

import os

from alembic import context
from sqlalchemy import Connection, Engine, text

from patchmill.store.engine import LIMIT_TRANSACTIONS, open_engine
from patchmill.store.tables import metadata

MIGRATION_LOCK = 0x7061746368  # two migrations at once would trip over each other


def _engine() -> Engine:
    given = context.config.attributes.get("engine")
    if given is not None:
        return given
    return open_engine(os.environ["PATCHMILL_DATABASE_URL"], pool_size=1)


def _migrate(connection: Connection) -> None:
    connection.execute(text("SET lock_timeout = '10s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.execute(text(LIMIT_TRANSACTIONS.format(limit="0")))
    connection.execute(text("SET idle_in_transaction_session_timeout = '10min'"))
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
    connection.commit()
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


if context.is_offline_mode():
    raise SystemExit("migrations run against a live database; set PATCHMILL_DATABASE_URL")
with _engine().connect() as live:
    _migrate(live)
    live.invalidate()  # its session settings are not for the pool
