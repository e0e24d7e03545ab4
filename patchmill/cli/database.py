"""A command's way to the database: an engine for a moment, and its errors as sentences."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from patchmill.cli.local_settings import with_local_database
from patchmill.cli.masking import masked_url
from patchmill.errors import ConfigurationError, Unavailable
from patchmill.settings import Settings
from patchmill.store.engine import open_engine

_NO_TABLE = "42P01"
_PREFIX = re.compile(r"^connection failed: ")


def database_url(settings: Settings) -> str:
    """Give the database's address: the one that is set, or else that of a running `patchmill up`.

    Raises:
        ConfigurationError: it is not set, and none runs.
    """
    url = known_database(settings)
    if url is None:
        raise ConfigurationError(
            "PATCHMILL_DATABASE_URL must be set: this command works on a Postgres that runs already; "
            "`patchmill up` starts one, which is found by PATCHMILL_DATA_DIR"
        )
    return url


def known_database(settings: Settings) -> str | None:
    """Give the same, or None where the command has to go to the server with a key instead."""
    url = with_local_database(settings).database_url
    return (url.get_secret_value() or None) if url is not None else None


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    """Give an engine, closed at the end of the block.

    Raises:
        ConfigurationError: the address is none, or the database has no schema.
        Unavailable: Postgres does not answer.
    """
    engine = open_engine(url, pool_size=1)
    try:
        yield engine
    except OperationalError as error:
        said = str(error.orig).strip().splitlines() or ["no answer"]
        raise Unavailable(
            f"cannot reach Postgres at {masked_url(url)}: {_PREFIX.sub('', said[0])}"
        ) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_TABLE:
            raise
        raise ConfigurationError("the database has no schema yet; run `patchmill migrate`") from error
    finally:
        engine.dispose()


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """Give a connection in a transaction that commits at the end of the block; raises as `connected`."""
    with connected(url) as engine, engine.begin() as connection:
        yield connection
