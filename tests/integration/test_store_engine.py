from typing import Any

import pytest
from alembic import context
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from patchmill.errors import ConfigurationError
from patchmill.store import schema
from patchmill.store.engine import (
    LONG_TRANSACTION_LIMIT_S,
    SILENCE_S,
    TRANSACTION_LIMIT_S,
    allow_long,
    ask,
    be_patient,
    misses_schema,
    one_by_one,
    open_engine,
    passes,
)


def limit(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SHOW transaction_timeout")))


def take_small_steps(connection: Connection) -> None:
    for _ in range(100):
        connection.execute(text("SELECT pg_sleep(0.01)"))


def pid_of(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM of_a_later_version", "SELECT of_a_later_version FROM jobs", "SELECT later()"]
)
def test_what_a_later_version_brings_is_missed_as_the_schema(engine: Engine, statement: str) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError) as error:
        connection.execute(text(statement))

    assert misses_schema(error.value)


@pytest.mark.parametrize("url", ["postgres://user@host/db", "mysql://host/db"])
def test_an_address_with_another_beginning_is_told_the_right_one(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"needs PostgreSQL: postgresql\+psycopg://user:password@host"
    ):
        open_engine(url, pool_size=1)


def test_a_connection_that_was_closed_while_it_rested_is_not_used_however_short_the_rest(
    engine: Engine, database_url: str
) -> None:
    resting = open_engine(database_url, pool_size=1, ping_after_s=600)
    with resting.connect() as connection:
        closed = pid_of(connection)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": closed})

    with resting.connect() as connection:
        assert pid_of(connection) != closed
    resting.dispose()


def test_a_transaction_of_any_number_of_statements_and_pauses_is_limited(engine: Engine) -> None:
    assert limit(engine) == "5s"

    with engine.connect() as connection:
        connection.execute(text("SET transaction_timeout = '50ms'"))
        connection.commit()
        with pytest.raises(DBAPIError) as raised:
            take_small_steps(connection)

    assert passes(raised.value)
    assert limit(engine) == "5s"  # by another connection: the one that took too long is gone


def test_a_large_transaction_that_has_begun_may_go_on_for_longer(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET transaction_timeout = '500ms'"))
        connection.commit()
        connection.execute(text("SELECT 1"))
        allow_long(connection)
        take_small_steps(connection)

        assert connection.scalar(text("SHOW transaction_timeout")) == "1min"
        connection.commit()
        assert connection.scalar(text("SHOW transaction_timeout")) == "500ms"


def patience_s(connection: Connection) -> float:
    driver_connection: Any = connection.connection.dbapi_connection
    return float(driver_connection.patience_s)


def test_a_server_that_does_not_answer_is_given_up_and_another_connection_is_made(engine: Engine) -> None:
    with engine.connect() as connection:
        be_patient(connection, 0.1 - SILENCE_S)
        with pytest.raises(DBAPIError, match=r"has not answered for 0\.1 s") as raised:
            connection.execute(text("SELECT pg_sleep(1)"))

    assert passes(raised.value)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_patience_for_what_may_take_long_ends_with_the_use_of_a_connection(
    empty_database_url: str,
) -> None:
    engine = open_engine(empty_database_url, pool_size=1)
    with engine.connect() as connection:
        allow_long(connection)
        patient_s = patience_s(connection)
    with engine.connect() as connection:
        usual_s = patience_s(connection)
    engine.dispose()

    assert (patient_s, usual_s) == (
        LONG_TRANSACTION_LIMIT_S + SILENCE_S,
        TRANSACTION_LIMIT_S + SILENCE_S,
    )


def test_a_migration_may_take_its_time(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[str] = []
    engine = open_engine(empty_database_url, pool_size=1)

    def run_migrations() -> None:
        limits.append(context.get_bind().scalar(text("SHOW transaction_timeout")))

    monkeypatch.setattr(context, "run_migrations", run_migrations)
    schema.upgrade(engine)
    engine.dispose()

    assert limits == ["0"]


BACKEND = "SELECT pg_backend_pid() + %(more)s::integer"


def test_what_is_asked_by_the_driver_is_of_the_transaction_around_it(engine: Engine) -> None:
    made = "INSERT INTO projects (id, name) VALUES (gen_random_uuid(), %(name)s) RETURNING name"
    with engine.connect() as connection:
        assert ask(connection, made, {"name": "rolled back"}) == "rolled back"
    with engine.begin() as connection:
        ask(connection, made, {"name": "committed"})
    with one_by_one(engine) as connection:
        ask(connection, made, {"name": "committed at once"})

    with engine.begin() as connection:
        names = connection.scalars(
            text("SELECT name FROM projects WHERE name LIKE '%commit%' ORDER BY 1")
        ).all()
        assert names == ["committed", "committed at once"]
        with pytest.raises(IntegrityError, match="uq_projects_name") as raised:
            ask(connection, made, {"name": "committed"})

    assert not passes(raised.value)


def test_listeners_hear_of_what_is_asked_by_the_driver(engine: Engine) -> None:
    heard: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        heard.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        ask(connection, BACKEND, {"more": 1})
    event.remove(engine, "before_cursor_execute", note)

    assert heard == [BACKEND]


def test_a_connection_that_dies_while_the_driver_is_asked_is_given_up_with_all_of_its_pool(
    engine: Engine,
) -> None:
    with engine.connect() as first, engine.connect() as second:
        old = {ask(each, BACKEND, {"more": 0}) for each in (first, second)}
        with pytest.raises(DBAPIError) as raised:
            ask(first, "SELECT pg_terminate_backend(pg_backend_pid())", {})

    assert raised.value.connection_invalidated
    assert passes(raised.value)
    with engine.connect() as first, engine.connect() as second:
        assert old.isdisjoint({ask(each, BACKEND, {"more": 0}) for each in (first, second)})
