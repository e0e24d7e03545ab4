"""Lists of the API, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from patchmill.client.connection import Connection

_PAGE = 200


def pages(connection: Connection, path: str, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Give what a list holds, its pages fetched as they are needed."""
    query = {"limit": str(_PAGE), **filters}
    while True:
        page = connection.json("GET", path, params=query)
        yield from page["data"]
        if not page.get("next_cursor"):
            return
        query["cursor"] = str(page["next_cursor"])
