"""Budgets over the API: set, listed, read, changed and ended."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from patchmill.client.budget_documents import Budget, BudgetDetail
from patchmill.client.connection import Connection
from patchmill.client.pages import pages

_PATH = "/v1/budgets"


class Budgets:
    """The budgets that bear on the key's project; methods raise as those of `Client` do.

    Those that make or change something need a key with the scope `admin`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Iterator[Budget]:
        """Give the budgets, newest first."""
        return cast("Iterator[Budget]", pages(self._connection, _PATH, {}))

    def read(self, budget_id: str) -> BudgetDetail:
        """Give a budget with how its window was spent."""
        return cast("BudgetDetail", self._connection.json("GET", _budget(budget_id)))

    def create(self, budget: Mapping[str, Any]) -> BudgetDetail:
        """Set a budget; the fields are those of `POST /v1/budgets`."""
        answer = self._connection.json("POST", _PATH, json=dict(budget), repeatable=False)
        return cast("BudgetDetail", answer)

    def change(self, budget_id: str, changes: Mapping[str, Any]) -> BudgetDetail:
        """Change the name, `limit`, `at_limit` or `alert_percent`; what is left out stays."""
        answer = self._connection.json("PATCH", _budget(budget_id), json=dict(changes), repeatable=True)
        return cast("BudgetDetail", answer)

    def end(self, budget_id: str) -> None:
        """End a budget: it limits nothing any more."""
        self._connection.send("DELETE", _budget(budget_id), repeatable=False)


def _budget(identity: str) -> str:
    return f"{_PATH}/{quote(identity, safe='')}"
