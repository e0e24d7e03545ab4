"""A reader of server-sent events as a browser would be one: frames by the rules, and nothing more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a stream: a comment, a setting, or an event."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: str | None = None
    comment: str | None = None


def frames(lines: Iterator[str]) -> Iterator[Frame]:
    """Read the frames of a stream; one that is cut off is left out."""
    fields: dict[str, Any] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name or "comment"] = value.removeprefix(" ")
        elif fields:
            yield Frame(**fields)
            fields = {}


@contextmanager
def opened(http: httpx.Client, path: str, *, after: str | None = None) -> Iterator[Iterator[Frame]]:
    """Open a stream, after an event if its id is given."""
    headers = {"Accept": "text/event-stream", **({} if after is None else {"Last-Event-ID": after})}
    with http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield frames(response.iter_lines())


def whole(http: httpx.Client, path: str, *, after: str | None = None) -> list[Frame]:
    """Read a stream to its end, without the frame that ends it and without those that tell nothing."""
    with opened(http, path, after=after) as stream:
        read = [frame for frame in stream if frame.event is not None]
    assert read[-1].event == END, "the stream broke off"
    return read[:-1]
