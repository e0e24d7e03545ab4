"""What an installation knows of its models before a trial, and where it keeps what one found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from patchmill.budget.models import ModelCapability, capability_of, with_learned
from patchmill.budget.prices import Price, Rates, highest_rates
from patchmill.cli.database import connected, transaction
from patchmill.cli.installation import PRICES
from patchmill.errors import PatchmillError
from patchmill.job.circuit import GATEWAY
from patchmill.settings import Settings
from patchmill.store import auditing, models
from patchmill.store.prices import prices_of
from patchmill.store.schema import Standing, standing

PRICES_HOLD = timedelta(minutes=5)  # longer than a trial lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Prices and capabilities of some models; `database` is where they come from, None for the documents."""

    rates: Mapping[str, Rates]
    capabilities: Mapping[str, ModelCapability]
    database: str | None


def known_of(settings: Settings, names: Sequence[str]) -> Known:
    """Read what is known of these models: from the database if there is one, else what comes along."""
    url = None if settings.database_url is None else settings.database_url.get_secret_value()
    if url:
        try:
            with connected(url) as engine:
                if standing(engine) is not Standing.OLDER:
                    with engine.begin() as connection:
                        return _stored(connection, url, names)
        except PatchmillError:
            pass  # the line about Postgres says why
    return Known(
        rates=_rates({name: [each for each in PRICES if each.model == name] for name in names}),
        capabilities={name: capability_of(name) for name in names},
        database=None,
    )


def keep(url: str, capabilities: Mapping[str, Mapping[str, Any]], details: Mapping[str, Any]) -> None:
    """Store what a trial found, and write down that it was made.

    Raises:
        PatchmillError: the database does not take it.
    """
    with transaction(url) as connection:
        for name, capability in capabilities.items():
            models.store_capability(connection, name, capability)
        auditing.record(connection, actor="host", action="gateway.trial", subject=GATEWAY, details=details)


def _stored(connection: Connection, url: str, names: Sequence[str]) -> Known:
    learned = models.learned(connection)
    capabilities = {}
    for name in names:
        row = learned.get(name)
        documented = capability_of(name)
        capabilities[name] = (
            documented if row is None else with_learned(documented, row.capability, row.dropped)
        )
    prices = {name: prices_of(connection, name) for name in names}
    return Known(rates=_rates(prices), capabilities=capabilities, database=url)


def _rates(prices: Mapping[str, Sequence[Price]]) -> dict[str, Rates]:
    now = datetime.now(UTC)
    found = {name: highest_rates(rows, now, now + PRICES_HOLD) for name, rows in prices.items()}
    return {name: rates for name, rates in found.items() if rates is not None}
