"""The connection to Postgres: one pool a process, short transactions, UTC."""

import re
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from patchmill.errors import ConfigurationError
from patchmill.store import shared_time

TRANSACTION_LIMIT_S = 5
LONG_TRANSACTION_LIMIT_S = 60
CONNECT_TIMEOUT_S = 5
# Postgres itself ends what takes longer than its limit; who hears nothing for so long after that speaks to
# nobody: to a host that is gone, or through a network that passes nothing and closes nothing.
SILENCE_S = 5
_RESTS_SINCE = "rests_since"

_Answer = TypeVar("_Answer")

# Statements and pauses of any number make no longer a transaction; Postgres has had this since version 17.
LIMIT_TRANSACTIONS = (
    "SELECT set_config(name, '{limit}', false) FROM pg_settings WHERE name = 'transaction_timeout'"
)
_SESSION = (
    f"SET statement_timeout = '{TRANSACTION_LIMIT_S}s'; "
    f"SET idle_in_transaction_session_timeout = '{TRANSACTION_LIMIT_S}s'; "
    "SET lock_timeout = '4s'; SET timezone = 'UTC'; "
    # So that the server, too, lets go of connections whose other end is gone.
    "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; "
    + LIMIT_TRANSACTIONS.format(limit=f"{TRANSACTION_LIMIT_S}s")
)


class _Patient(psycopg.Connection[Any]):
    """A connection that is given up when its server says nothing for longer than it could be at work."""

    patience_s: float = TRANSACTION_LIMIT_S + SILENCE_S

    def wait(self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None) -> _Answer:
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()
            message = f"the server has not answered for {self.patience_s:g} s; the connection is given up"
            raise psycopg.OperationalError(message) from None


def open_engine(url: str, *, pool_size: int, ping_after_s: float = 0.0) -> Engine:
    """Make the process's engine; connects on first use.

    Before use, a connection is asked whether it still lives if it has rested for `ping_after_s`, or if its
    socket has something to say, mostly that Postgres has closed it. One that dies unnoticed fails its next
    statement, and with it all of the pool is made anew.

    Raises:
        ConfigurationError: the URL is not one of Postgres.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "PATCHMILL_DATABASE_URL is not a URL; it looks like postgresql+psycopg://user:password@host/database"
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"PATCHMILL_DATABASE_URL begins with {parsed.drivername}://, and Patchmill needs PostgreSQL: "
            "postgresql+psycopg://user:password@host/database"
        )
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        pool_use_lifo=True,
        hide_parameters=True,  # they may be submitted text
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _prepare_session)
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", partial(_ping_if_rested, engine, ping_after_s))
    return engine


@contextmanager
def one_by_one(engine: Engine) -> Iterator[Connection]:
    """Give a connection on which each statement is a transaction of its own, committed in the same trip."""
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def ask(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> Any:
    """Give the one value that a statement answers, by the driver's own cursor.

    For statements that are run with every call: contexts and results of SQLAlchemy take longer than all else
    that the client does for them. Transactions, listeners and errors are those of SQLAlchemy all the same.
    """
    if not connection.in_transaction():
        connection.begin()  # as every statement does
    driver: Any = connection.connection.driver_connection
    cursor = None
    try:
        cursor = driver.cursor()
        for listener in connection.dispatch.before_cursor_execute:
            listener(connection, cursor, statement, parameters, None, False)  # noqa: FBT003 - as it is told
        [value] = cursor.execute(statement, parameters).fetchone()
    except (psycopg.Error, KeyboardInterrupt, SystemExit) as error:
        # It gives up a connection that is dead, and all of its pool, and always raises.
        connection._handle_dbapi_exception(error, statement, None, cursor, None)  # noqa: SLF001
    return value


# A clock that runs is only stopped, never moved: it begins anew after the zero.
_ALLOW_LONG = text(
    "SELECT set_config(name, '0', true), set_config(name, :limit, true) FROM pg_settings "
    "WHERE name IN ('statement_timeout', 'transaction_timeout')"
)


def allow_long(connection: Connection) -> None:
    """Give this transaction a minute, for what belongs together and may be large, such as a run's jobs."""
    be_patient(connection, LONG_TRANSACTION_LIMIT_S)
    connection.execute(_ALLOW_LONG, {"limit": f"{LONG_TRANSACTION_LIMIT_S}s"})


def be_patient(connection: Connection, limit_s: float) -> None:
    """Wait for statements that Postgres gives so many seconds, until the connection is given back."""
    driver_connection = connection.connection.dbapi_connection
    if isinstance(driver_connection, _Patient):
        driver_connection.patience_s = limit_s + SILENCE_S


def _connect(_dialect: object, _record: object, arguments: Any, named: Any) -> _Patient:
    return _Patient.connect(*arguments, **named)


def _prepare_session(connection: Any, _record: object) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
        asked_at = time.monotonic()
        [told] = cursor.execute("SELECT clock_timestamp()").fetchone()
        shared_time.hear(told, asked_at=asked_at, heard_at=time.monotonic())
    connection.autocommit = False


def _note_rest(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_RESTS_SINCE] = time.monotonic()
    if connection is not None:  # else it was found broken
        connection.patience_s = _Patient.patience_s


def _ping_if_rested(
    engine: Engine, after_s: float, connection: Any, record: ConnectionPoolEntry, _proxy: object
) -> None:
    rests_since = record.info.get(_RESTS_SINCE)  # not there yet when it was only just made
    if rests_since is None:
        return
    try:
        if time.monotonic() - rests_since >= after_s or _has_something_to_say(connection):
            engine.dialect.do_ping(connection)
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _has_something_to_say(connection: Any) -> bool:
    """Look at the socket, without a round trip: nobody was asked anything, so it should be silent."""
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))


# SQLSTATE classes: connection, rolled back, resources, not in this state, operator, system.
_PASSING = {"08", "40", "53", "55", "57", "58"}
_TOO_SLOW = {"25P03", "25P04"}  # a transaction took longer than it may


def passes(error: SQLAlchemyError) -> bool:
    """Tell trouble that passes (connection, deadlock, lock wait, restart) from a statement that is wrong."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    if code in _TOO_SLOW:  # the connection is gone with it
        return True
    if error.connection_invalidated or code is None:
        return isinstance(error, OperationalError | InterfaceError)
    return code[:2] in _PASSING


_NOT_THERE = {"42P01", "42703", "42883"}  # a table, a column, a function
_PREFIX = re.compile(r"^connection failed: ")


def misses_schema(error: SQLAlchemyError) -> bool:
    """Tell the lack of a table, column or function: the database is not at the schema of this version."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _NOT_THERE


def trouble(engine: Engine, error: SQLAlchemyError) -> dict[str, str]:
    """Describe trouble for a line of the log: where Postgres is, and the driver's first words.

    Of a statement that is wrong only the error's type is told: its message may quote what was submitted.
    """
    host = engine.url.host or str(engine.url.query.get("host", "a local socket"))
    where = f"{host}:{engine.url.port}" if engine.url.port else host
    said = type(error).__name__
    if isinstance(error, DBAPIError) and passes(error):
        said = _PREFIX.sub("", (str(error.orig).strip().splitlines() or [said])[0])
    return {"host": where, "error": said}
