"""A model's prices with their mark: a hold made with them says it, and is refused once it is another."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Text, bindparam, func, select

from patchmill.budget.prices import Price
from patchmill.store.budgets import prices_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """Every price row of a model, and the mark of just these."""

    rows: Sequence[Price]
    mark: str


_MARK = select(func.price_mark(bindparam("of_model", type_=Text), type_=Text))


def price_list_of(connection: Connection, model: str) -> PriceList:
    """Read a model's prices; the mark first, so that it is never newer than they are."""
    mark = connection.scalars(_MARK, {"of_model": model}).one()
    return PriceList(rows=prices_of(connection, model), mark=mark)
