"""The price list: rows that are added and never changed, and a model's as calls are admitted by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, func, insert, select

from patchmill.budget.price_rows import PriceRow, document_of
from patchmill.budget.prices import Calendar, Price, Rates
from patchmill.store import auditing, budget_waiters
from patchmill.store.tables import prices


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Every price row of a model, and the mark of just these: a hold made with others is refused."""

    rows: Sequence[Price]
    mark: str


_OF_MODEL = select(prices).where(prices.c.model == bindparam("of_model")).order_by(prices.c.id)
_MARK = select(func.price_mark(bindparam("of_model", type_=Text), type_=Text))


def prices_of(connection: Connection, model: str) -> list[Price]:
    """Give every price row of a model, in the order in which they were added."""
    return [_price(row) for row in connection.execute(_OF_MODEL, {"of_model": model})]


def price_list_of(connection: Connection, model: str) -> PriceList:
    """Read a model's prices; the mark first, so that it is never newer than they are."""
    mark = connection.scalars(_MARK, {"of_model": model}).one()
    return PriceList(rows=prices_of(connection, model), mark=mark)


def list_prices(connection: Connection, model: str | None = None) -> list[PriceRow]:
    """Give every row, of one model or of all, in the order in which they were added."""
    statement = select(prices).order_by(prices.c.id)
    if model is not None:
        statement = statement.where(prices.c.model == model)
    return [
        PriceRow(id=row.id, price=_price(row), source=row.source) for row in connection.execute(statement)
    ]


def add_prices(connection: Connection, rows: Sequence[tuple[Price, str]], *, actor: str) -> list[PriceRow]:
    """Add rows, each with its source, and write down who did so; nothing that was settled changes.

    Jobs that wait for a budget look again: a call may hold less now.
    """
    added = []
    for price, source in rows:
        identity = connection.scalars(
            insert(prices).values(_values(price, source)).returning(prices.c.id)
        ).one()
        row = PriceRow(id=identity, price=price, source=source)
        document: Mapping[str, Any] = document_of(row, "")
        details = {name: value for name, value in document.items() if name not in {"id", "status"}}
        auditing.record(
            connection, actor=actor, action="price.add", subject=str(document["id"]), details=details
        )
        added.append(row)
    budget_waiters.wake_all(connection)
    return added


def add_prices_if_none(connection: Connection, rows: Sequence[Price], source: str) -> bool:
    """Fill an empty price list; an operator's own list is left alone."""
    if connection.scalar(select(func.count()).select_from(prices)):
        return False
    connection.execute(insert(prices), [_values(price, source) for price in rows])
    return True


def _price(row: Row[Any]) -> Price:
    return Price(
        model=row.model,
        rates=Rates(
            input_picos=row.input_picos, cached_picos=row.cached_picos, output_picos=row.output_picos
        ),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        calendar=None if row.calendar is None else _calendar(row.calendar),
        id=row.id,
    )


def _calendar(row: Mapping[str, Any]) -> Calendar:
    return Calendar(time_zone=row["time_zone"], hours=tuple((start, end) for start, end in row["hours"]))


def _values(price: Price, source: str) -> dict[str, Any]:
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
        "source": source,
    }
