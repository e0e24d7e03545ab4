"""The price list over the API: read, and added to."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from patchmill.client.connection import Connection
from patchmill.client.documents import Price
from patchmill.client.pages import pages

_PATH = "/v1/prices"


class Prices:
    """What tokens cost, for everybody; methods raise as those of `Client` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, model: str | None = None) -> Iterator[Price]:
        """Give the prices of a model, or of all, current ones first."""
        return cast(
            "Iterator[Price]", pages(self._connection, _PATH, {} if model is None else {"model": model})
        )

    def add(self, price: Mapping[str, Any]) -> Price:
        """Add a row, with the fields of `POST /v1/prices`; needs an `admin` key of the project `default`."""
        return cast("Price", self._connection.json("POST", _PATH, json=dict(price), repeatable=False))
