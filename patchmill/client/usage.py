"""What calls used and cost, asked of a server: all rows of an answer, or the CSV that it writes."""

from collections.abc import Sequence
from typing import cast

from patchmill.client.connection import Connection
from patchmill.client.documents import UsageReport

_PATH = "/v1/usage"
_PAGE = 200
_TRIES = 3


def usage_of(connection: Connection, query: dict[str, str]) -> UsageReport:
    """Give all rows and their total.

    Rows only change together with the total. Where it moved from page to page, because calls ended meanwhile,
    the pages are read again, some times; then the total is the last one.
    """
    for _ in range(_TRIES):
        pages = [_page(connection, query, None)]
        while (cursor := pages[-1]["next_cursor"]) is not None:
            pages.append(_page(connection, query, cursor))
        if all(page["total"] == pages[0]["total"] for page in pages):
            break
    rows = [row for page in pages for row in page["data"]]
    return {**pages[-1], "data": rows}


def usage_csv_of(connection: Connection, query: dict[str, str]) -> str:
    """Give all rows of one moment as CSV."""
    answer = connection.send("GET", _PATH, params={**query, "format": "csv"})
    return answer.content.decode("utf-8")


def query_of(
    since: str | None, until: str | None, time_zone: str | None, group_by: Sequence[str]
) -> dict[str, str]:
    """Write a question as the API takes it."""
    given = {"since": since, "until": until, "time_zone": time_zone, "group_by": ",".join(group_by)}
    return {name: value for name, value in given.items() if value}


def _page(connection: Connection, query: dict[str, str], cursor: str | None) -> UsageReport:
    more = {"limit": str(_PAGE), **({} if cursor is None else {"cursor": cursor})}
    return cast("UsageReport", connection.json("GET", _PATH, params={**query, **more}))
