"""The schema's version: bringing a database to it, and telling whether it is there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

import patchmill
from patchmill.errors import ConfigurationError

WRONG = "the database's schema is not that of this version; run `patchmill migrate`"


def configuration(engine: Engine) -> Config:
    """Give Alembic's configuration for this database; the scripts come with the installed package."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to a revision."""
    command.upgrade(configuration(engine), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to a revision; `base` drops everything."""
    command.downgrade(configuration(engine), revision)


def is_current(engine: Engine) -> bool:
    """Say whether the database has exactly the schema of this version."""
    with engine.connect() as connection:
        at = MigrationContext.configure(connection).get_current_heads()
    return set(at) == set(ScriptDirectory.from_config(configuration(engine)).get_heads())


def _scripts() -> Path:
    """Find the scripts beside this package: both in a checkout and where the package is installed."""
    folder = Path(patchmill.__file__).parent.parent / "migrations"
    if not (folder / "env.py").is_file():
        raise ConfigurationError("the migrations are missing from this installation; install patchmill again")
    return folder
