"""The price list as rows that are added and never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from patchmill.budget.price_rows import PriceRow, document_of
from patchmill.budget.prices import Price
from patchmill.store import auditing
from patchmill.store.budgets import price_of
from patchmill.store.tables import prices


def list_prices(connection: Connection, model: str | None = None) -> list[PriceRow]:
    """Give every row, of one model or of all, in the order in which they were added."""
    statement = select(prices).order_by(prices.c.id)
    if model is not None:
        statement = statement.where(prices.c.model == model)
    return [
        PriceRow(id=row.id, price=price_of(row), source=row.source) for row in connection.execute(statement)
    ]


def add_prices(connection: Connection, rows: Sequence[tuple[Price, str]], *, actor: str) -> list[PriceRow]:
    """Add rows, each with its source, and write down who did so; nothing that was settled changes."""
    added = []
    for price, source in rows:
        identity = connection.scalars(
            insert(prices).values(**_values(price), source=source).returning(prices.c.id)
        ).one()
        row = PriceRow(id=identity, price=price, source=source)
        document: Mapping[str, Any] = document_of(row, "")
        details = {name: value for name, value in document.items() if name not in {"id", "status"}}
        auditing.record(
            connection, actor=actor, action="price.add", subject=str(document["id"]), details=details
        )
        added.append(row)
    return added


def _values(price: Price) -> dict[str, Any]:
    calendar = price.calendar
    return {
        "model": price.model,
        "input_picos": price.rates.input_picos,
        "cached_picos": price.rates.cached_picos,
        "output_picos": price.rates.output_picos,
        "valid_from": price.valid_from,
        "valid_to": price.valid_to,
        "calendar": None
        if calendar is None
        else {"time_zone": calendar.time_zone, "hours": [list(hours) for hours in calendar.hours]},
    }
