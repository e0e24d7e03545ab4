"""The schema's version: bringing a database to it while others use it, and telling how it stands."""

import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

import patchmill
from patchmill.errors import ConfigurationError, Unavailable

WRONG = "the database's schema is not that of this version; run `patchmill migrate`"
MIGRATION_LOCK = 0x7061746368  # two migrations at once would trip over each other
PATIENCE_S = 300.0
PAUSES_S = (0.5, 1.5)  # in which those who queued up behind a migration come to their turn
_HELD = {"55P03", "40P01"}  # a lock was not to be had in time, or only against another
_OLDEST = text(
    """
    SELECT pid, coalesce(nullif(application_name, ''), usename) AS name,
        CAST(extract(epoch FROM now() - xact_start) AS bigint) AS age_s
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY xact_start LIMIT 1
    """
)


class Standing(StrEnum):
    """How the schema of a database stands to the one of this version."""

    CURRENT = "current"
    OLDER = "older"  # or there is none: this version cannot work with it
    NEWER = "newer"  # of a later version, beside which this one goes on working while it is rolled out


def configuration(engine: Engine) -> Config:
    """Give Alembic's configuration for this database; the scripts come with the installed package."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def upgrade(
    engine: Engine,
    revision: str = "head",
    *,
    patience_s: float = PATIENCE_S,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Bring the schema up to a revision; `tell` is given the sentence that it takes longer, and why.

    A migration waits only for a moment for what others hold, since everybody who comes after it would wait
    behind it. It is then begun anew, again and again; those that were done stay so.

    Raises:
        Unavailable: something was held all the while.
    """
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            command.upgrade(configuration(engine), revision)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _HELD:
                raise
            holder = _oldest_transaction(engine)
            if time.monotonic() >= give_up_at:
                raise Unavailable(
                    f"what a migration must lock is in use all the time{holder}; wait for it or end it, "
                    "then run `patchmill migrate` again: it goes on with what is not done"
                ) from error
        else:
            return
        if tell is not None:
            tell(f"what a migration must lock is in use{holder}; it is tried again and again")
            tell = None
        threading.Event().wait(random.uniform(*PAUSES_S))  # noqa: S311 - not for a secret


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to a revision; `base` drops everything."""
    command.downgrade(configuration(engine), revision)


def standing(engine: Engine) -> Standing:
    """Say how the database's schema stands to that of this version; revisions are numbers that grow."""
    with engine.connect() as connection:
        at = set(MigrationContext.configure(connection).get_current_heads())
    head = newest()
    if at == {head}:
        return Standing.CURRENT
    is_newer = bool(at) and all(each.isdecimal() and each > head for each in at)
    return Standing.NEWER if is_newer else Standing.OLDER


def is_current(engine: Engine) -> bool:
    """Say whether the database has exactly the schema of this version."""
    return standing(engine) is Standing.CURRENT


def newest() -> str:
    """Give the revision of this version's schema."""
    return _head(_scripts())


@cache
def _head(scripts: Path) -> str:
    head = ScriptDirectory(str(scripts)).get_current_head()
    if head is None:
        raise ConfigurationError("the migrations are missing from this installation; install patchmill again")
    return head


def _oldest_transaction(engine: Engine) -> str:
    """Name whoever has been at work for longest, as the end of a clause; nothing if nobody is any more."""
    with engine.connect() as connection:
        oldest = connection.execute(_OLDEST).one_or_none()
    if oldest is None:
        return ""
    return (
        f"; the oldest transaction is that of process {oldest.pid} ({oldest.name}), open for {oldest.age_s} s"
    )


def _scripts() -> Path:
    """Find the scripts beside this package: both in a checkout and where the package is installed."""
    folder = Path(patchmill.__file__).parent.parent / "migrations"
    if not (folder / "env.py").is_file():
        raise ConfigurationError("the migrations are missing from this installation; install patchmill again")
    return folder
