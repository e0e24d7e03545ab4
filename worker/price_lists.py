"""The price lists of this process, read when they are needed first; the ledger says when one has changed."""

from sqlalchemy import Engine

from patchmill.store.engine import one_by_one
from patchmill.store.prices import PriceList, price_list_of


class PriceLists:
    """What each model costs, as last read; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, PriceList] = {}

    def known(self, model: str) -> PriceList | None:
        """Give the list of a model as it was last read, or None."""
        return self._known.get(model)

    def read(self, model: str) -> PriceList:
        """Give the list of a model as it is now."""
        with one_by_one(self._engine) as connection:
            found = price_list_of(connection, model)
        self._known[model] = found
        return found
