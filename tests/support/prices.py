"""The price list changed as nobody may: for tests of what a list holds that was never like that."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text


@contextmanager
def changeable_prices(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that may change prices; afterwards they refuse it again."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE prices DISABLE TRIGGER refuse_price_change"))
        yield connection
        connection.execute(text("ALTER TABLE prices ENABLE TRIGGER refuse_price_change"))
