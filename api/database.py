"""The one place of this door that knows the database driver: transactions, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from patchmill.errors import Conflict, Unavailable
from patchmill.store import schema

__all__ = ["Connection", "Database"]

# SQLSTATEs with which Postgres says "not now": a statement or lock took too long, a deadlock was broken.
_NOT_NOW = frozenset({"57014", "55P03", "40P01", "40001", "25P03", "25P04"})


class Database:
    """Postgres, one transaction at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that commits when the block ends.

        Raises:
            Unavailable: Postgres does not answer, or not in time.
            Conflict: a concurrent request stored the same thing first.
        """
        with _translated(), self._engine.begin() as connection:
            yield connection

    def schema_is_current(self) -> bool:
        """Say whether the schema is the one of this version; raises Unavailable without an answer."""
        with _translated():
            return schema.is_current(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise Unavailable("every database connection is in use; try again in a moment") from error
    except IntegrityError as error:
        raise Conflict("another request stored the same thing first; read it and try again") from error
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None)
        lost = isinstance(error, OperationalError) and sqlstate not in _NOT_NOW
        if lost or error.connection_invalidated:
            raise Unavailable("the database does not answer; try again in a moment") from error
        if sqlstate in _NOT_NOW:
            raise Unavailable("the database took too long; try again in a moment") from error
        raise
