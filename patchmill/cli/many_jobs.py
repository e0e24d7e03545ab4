"""Many jobs at once on the command line: counted, confirmed by their number, done with progress told."""

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from patchmill.cli.exits import Exit
from patchmill.cli.listing import label_filters
from patchmill.cli.talk import say, some
from patchmill.client.http import Client
from patchmill.client.operating import Act, Bulk
from patchmill.client.problem import ApiError
from patchmill.errors import ConfigurationError, Unavailable

CHUNK = 1_000  # jobs of one request, after which progress is told
_AGO = re.compile(r"([1-9]\d{0,5})([mhdw])")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LABEL = "label."
_DONE = {"retry": "queued again", "cancel": "cancelled, or asked to stop"}


def beginning(text: str) -> str:
    """Write a span until now as the time at which it began, and a date as its midnight of UTC.

    What is neither is for the server to judge.
    """
    if _DATE.fullmatch(text):
        return f"{text}T00:00:00Z"
    ago = _AGO.fullmatch(text)
    if ago is None:
        return text
    try:
        return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    except OverflowError:
        raise ConfigurationError(f"--since {text} is before the calendar begins") from None


def filters_of(
    given: Mapping[str, str | None], labels: list[str] | None, since: str | None
) -> dict[str, Any]:
    """Give the filters that were given, as the API's body has them."""
    filters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    named = {name.removeprefix(_LABEL): value for name, value in label_filters(labels).items()}
    if named:
        filters["labels"] = named
    if since is not None:
        filters["created_after"] = beginning(since)
    return filters


def refuse_filters(filters: Mapping[str, Any], expect: int | None) -> None:
    """Refuse filters beside an id: it names the one job.

    Raises:
        ConfigurationError: there are some.
    """
    if filters or expect is not None:
        raise ConfigurationError("name one job by its id, or many by filters, not both")


def act_on_many(
    client: Client, act: Act, filters: Mapping[str, Any], *, expect: int | None, as_json: bool
) -> int:
    """Count the jobs, have the number confirmed, and do it.

    Raises:
        ConfigurationError: no filter is given, or the number is not confirmed.
        ApiError: the server refuses a filter, or the number is another by now.
    """
    if not filters:
        raise ConfigurationError("name a job by its id, or many by a filter such as --state failed")
    counted = _call(client, act, filters, as_of=None)
    _tell(counted)
    _confirm(act, counted["matched"], expect)
    done = _do(client, act, filters, counted)
    if as_json:
        print(json.dumps({**counted, "done": done, "left": counted["matched"] - done}, indent=2))
    say(f"{some(done, 'job')} {_DONE[act]}")
    return Exit.DONE


def _tell(counted: Bulk) -> None:
    say(f"{some(counted['matched'], 'job')} match{'es' if counted['matched'] == 1 else ''}")
    for sort in counted["sorts"]:
        what = sort["error"] or sort["outcome"]
        say(f"  {sort['jobs']:>6,}  {sort['state']}{f': {what}' if what else ''}")


def _confirm(act: Act, matched: int, expect: int | None) -> None:
    if expect is None and matched and sys.stdin.isatty():
        print(f"type {matched} to {act} them: ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
        if answer != str(matched):
            raise ConfigurationError("nothing was done; the number was not confirmed")
    elif expect is None and matched:
        raise ConfigurationError(f"nothing was done; --expect {matched} confirms the number")
    elif expect is not None and expect != matched:
        raise ConfigurationError(f"nothing was done; {some(matched, 'job')} match, not {expect}")


def _do(client: Client, act: Act, filters: Mapping[str, Any], counted: Bulk) -> int:
    """Do it to so many jobs at a time: what comes to match meanwhile is left alone."""
    done, left = 0, counted["matched"]
    while left:
        try:
            answer = _call(client, act, filters, as_of=counted["as_of"], expect=left)
        except (ApiError, Unavailable):
            if done:
                say(f"{some(done, 'job')} {_DONE[act]} before that")
            raise
        done, left = done + answer["done"], answer["left"]
        if not answer["done"]:
            break
        if left:
            say(f"  {done:,} of {counted['matched']:,}")
    return done


def _call(
    client: Client, act: Act, filters: Mapping[str, Any], *, as_of: str | None, expect: int | None = None
) -> Bulk:
    calls = {"retry": client.retry_all, "cancel": client.cancel_all}
    limit = None if expect is None else CHUNK
    return calls[act](filters, expect=expect, as_of=as_of, limit=limit)
