"""Migrations while others use the database: they hold nobody up, and say who is in their way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from patchmill.errors import Unavailable
from patchmill.store import schema
from patchmill.store.engine import open_engine
from patchmill.store.schema import MIGRATION_LOCK
from tests.support.processes import Started
from tests.support.rehearsal import ADDED, FILLED, next_version
from tests.support.stack import until

READS = 20


@pytest.fixture(autouse=True)
def _of_next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = next_version(tmp_path)
    monkeypatch.setattr(schema, "_scripts", lambda: scripts)


@pytest.fixture
def reader(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose transaction, of any length, has read the table of jobs."""
    unlimited = create_engine(engine.url)
    with unlimited.connect() as connection:
        connection.execute(text("SELECT FROM jobs"))
        yield connection
    unlimited.dispose()


def one(engine: Engine, statement: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(statement)) or 0


def test_a_migration_behind_a_long_transaction_lets_everybody_else_pass(
    engine: Engine, reader: Connection
) -> None:
    told: list[str] = []
    pid = reader.scalar(text("SELECT pg_backend_pid()"))
    with ThreadPoolExecutor(1) as thread:
        migrating = thread.submit(schema.upgrade, engine, ADDED, tell=told.append)
        until(lambda: told, "a migration that is held up")
        for _ in range(
            READS
        ):  # each waits for a migration at most, which gives way long before it would fail
            one(engine, "SELECT count(*) FROM jobs")
        assert not migrating.done()
        reader.rollback()
        migrating.result(timeout=60)

    assert len(told) == 1
    assert f"process {pid} " in told[0]
    assert one(engine, "SELECT count(path_length) FROM jobs") == 0


def test_a_migration_that_is_held_up_all_the_time_gives_up_and_names_who_holds_it_up(
    engine: Engine, reader: Connection
) -> None:
    pid = reader.scalar(text("SELECT pg_backend_pid()"))

    with pytest.raises(Unavailable, match=rf"process {pid} \(.*run `patchmill migrate` again"):
        schema.upgrade(engine, ADDED, patience_s=0)

    assert schema.standing(engine) is schema.Standing.OLDER
    reader.rollback()
    schema.upgrade(engine, ADDED)


def test_who_waits_for_another_migration_is_not_in_its_way(empty_database_url: str, tmp_path: Path) -> None:
    other = open_engine(empty_database_url, pool_size=2)
    with other.connect() as first:
        first.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        mine = first.scalar(text("SELECT pg_backend_pid()"))
        first.commit()
        second = Started(tmp_path, "migrate", settings={"PATCHMILL_DATABASE_URL": empty_database_url})
        tries = f"pid NOT IN (pg_backend_pid(), {mine}) AND query = 'COMMIT'"
        waits = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {tries}"
        until(lambda: one(other, waits), "who waits")
        first.execute(text("CREATE TABLE large (x int)"))
        first.commit()
        with other.connect().execution_options(isolation_level="AUTOCOMMIT") as building:
            building.execute(text("CREATE INDEX CONCURRENTLY ix_large ON large (x)"))
        assert second.process.poll() is None
        first.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        first.commit()

        assert second.process.wait(timeout=120) == 0, second.talk()
    other.dispose()


def test_rows_are_filled_and_an_index_is_built_while_others_write(engine: Engine) -> None:
    schema.upgrade(engine, FILLED)

    assert (
        one(engine, "SELECT count(*) FROM pg_index WHERE indexrelid = 'ix_jobs_path_length'::regclass") == 1
    )
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "4s", "a migration's settings were left behind"


def test_the_migrations_of_an_older_version_leave_a_newer_schema_alone(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    schema.upgrade(engine, ADDED)
    older = Started(tmp_path, "migrate", settings={"PATCHMILL_DATABASE_URL": database_url})

    assert older.process.wait(timeout=120) == 2
    assert "it was made by a newer Patchmill, so install that one" in older.talk()
    assert one(engine, f"SELECT count(*) FROM alembic_version WHERE version_num = '{ADDED}'") == 1
