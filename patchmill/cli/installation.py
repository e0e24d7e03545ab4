"""What every installation starts with: schema, project `default`, key pepper and price list."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alembic.util.exc import CommandError
from sqlalchemy import Engine

from patchmill.budget.prices import Price, Rates
from patchmill.cli.talk import say
from patchmill.errors import ConfigurationError
from patchmill.store import schema
from patchmill.store.access import INSTALLATION, ensure_project, find_project
from patchmill.store.key_secret import load_pepper
from patchmill.store.prices import add_prices_if_none

PRICE_SOURCE = "docs.bytespike.ai, 2026-11-22 (rates are live)"
PRICES_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def _price(model: str, *, input_picos: int, cached_picos: int, output_picos: int) -> Price:
    rates = Rates(input_picos=input_picos, cached_picos=cached_picos, output_picos=output_picos)
    return Price(model=model, rates=rates, valid_from=PRICES_SINCE)


# Pico-dollars a token: 0.14 USD per million tokens is 140,000.
PRICES = (
    _price("deepseek-v4-flash", input_picos=140_000, cached_picos=3_000, output_picos=280_000),
    _price("deepseek-v4-pro", input_picos=435_000, cached_picos=4_000, output_picos=870_000),
    # The gateway's pages print none for this one: this is the maker's own list price of V3.2.
    _price("deepseek-v3-2", input_picos=280_000, cached_picos=28_000, output_picos=420_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was not there before; `pepper` is the file's place."""

    schema: bool
    project: bool
    prices: bool
    pepper_made: bool
    pepper: Path


def install(engine: Engine, *, data_dir: Path, pepper_file: Path | None) -> Installed:
    """Bring the database to this version and add what is missing; repeating it, or two at once, is safe.

    Raises:
        ConfigurationError: the schema is a newer version's, or the pepper cannot be used.
    """
    upgraded = _upgrade(engine)
    pepper = pepper_file or data_dir / "key-pepper"
    had_pepper = pepper.exists()
    load_pepper(pepper_file, data_dir)
    with engine.begin() as connection:
        had_project = find_project(connection, INSTALLATION) is not None
        # First: a second migration waits here until this one has committed its prices, too.
        ensure_project(connection, INSTALLATION)
        prices = add_prices_if_none(connection, PRICES, PRICE_SOURCE)
    return Installed(
        schema=upgraded,
        project=not had_project,
        prices=prices,
        pepper_made=not had_pepper,
        pepper=pepper,
    )


def report(done: Installed) -> list[str]:
    """Say what was done, and what was there already."""
    return [
        "schema: brought to this version" if done.schema else "schema: this version's already",
        f"project `{INSTALLATION}`: {'created' if done.project else 'there already'}",
        f"key pepper {done.pepper}: {'created' if done.pepper_made else 'there already'}",
        f"prices: added for {_listed([price.model for price in PRICES])}; check them, rates are live"
        if done.prices
        else "prices: there already",
    ]


def _upgrade(engine: Engine) -> bool:
    if schema.is_current(engine):
        return False
    try:
        schema.upgrade(engine, tell=say)
    except CommandError as error:
        raise ConfigurationError(
            f"this version does not know the database's schema ({error}); "
            "it was made by a newer Patchmill, so install that one"
        ) from error
    return True


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
