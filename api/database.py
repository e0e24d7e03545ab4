"""The one place of this door that knows the database driver: transactions, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from patchmill.errors import Conflict, Unavailable
from patchmill.store import schema
from patchmill.store.engine import misses_schema, passes, trouble
from patchmill.telemetry import get_logger

__all__ = ["Connection", "Database"]

_log = get_logger("api")


class Database:
    """Postgres, one transaction at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction that commits when the block ends.

        Raises:
            Unavailable: Postgres does not answer, or not in time, or lacks a table or column.
            Conflict: a concurrent request stored the same thing first.
        """
        with _translated(), self._engine.begin() as connection:
            yield connection

    def schema_standing(self) -> schema.Standing:
        """Say how the schema stands to this version's; raises Unavailable without an answer."""
        with _translated():
            return schema.standing(self._engine)

    def tell_at_start(self) -> None:
        """Write to the log, once, why requests cannot be served, or that the schema is a newer version's."""
        try:
            standing = self.schema_standing()
            if standing is schema.Standing.OLDER:
                _log.error("not_ready", reason=schema.WRONG)
            elif standing is schema.Standing.NEWER:
                _log.warning("schema_newer", consequence="this process serves beside the newer version's")
        except Unavailable as error:
            _log.error("not_ready", reason=str(error), **self.told(error))

    def told(self, error: Unavailable) -> dict[str, str]:
        """Describe what made Postgres unavailable, for a line of the log."""
        cause = error.__cause__
        return trouble(self._engine, cause) if isinstance(cause, SQLAlchemyError) else {}

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("another request stored the same thing first; read it and try again") from error
    except SQLAlchemyError as error:
        if misses_schema(error):
            raise Unavailable(schema.WRONG) from error
        if not passes(error):
            raise
        raise Unavailable("the database does not answer in time; try again in a moment") from error
