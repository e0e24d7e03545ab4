"""Uncertain calls over the API: list them, and decide what became of one."""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote

from patchmill.client.connection import Connection
from patchmill.client.documents import UncertainCall
from patchmill.client.pages import pages

_PATH = "/v1/gateway/uncertain"


class Uncertain:
    """The uncertain calls of the key's project; methods raise as those of `Client` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, **parameters: str) -> Iterator[UncertainCall]:
        """Give the calls of which nobody knows whether they were billed, the newest first."""
        return cast("Iterator[UncertainCall]", pages(self._connection, _PATH, parameters))

    def decide_billed(
        self, call_id: str, *, usd: str, input_tokens: int, output_tokens: int, reason: str
    ) -> UncertainCall:
        """Settle a call for what it cost, for good. Needs `admin`."""
        amounts = {"usd": usd, "input_tokens": input_tokens, "output_tokens": output_tokens}
        return self._decide(call_id, {"billed": True, **amounts, "reason": reason})

    def decide_not_billed(self, call_id: str, *, reason: str) -> UncertainCall:
        """Void a call that was not billed, for good. Needs `admin`."""
        return self._decide(call_id, {"billed": False, "reason": reason})

    def _decide(self, call_id: str, body: dict[str, Any]) -> UncertainCall:
        path = f"{_PATH}/{quote(call_id, safe='')}/decision"
        return cast("UncertainCall", self._connection.json("POST", path, json=body, repeatable=False))
