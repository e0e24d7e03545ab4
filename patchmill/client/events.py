"""Live events of a job or a run: read from a stream that may break, and go on where it broke."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from patchmill.client.connection import CALM_ATTEMPTS, PATIENCE_S, Connection, pause
from patchmill.client.problem import ApiError
from patchmill.errors import Unavailable

END = "end"
SILENCE_S = 45.0  # a server that lives writes something each 15 s
MAX_FRAME_BYTES = 4 * 1024 * 1024
_SERVER_ERROR = 500
# Only these end a line of a stream; text may hold others that Python would split at.
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job or a run: `seq` counts from 1 for each of them, `at` is RFC 3339.

    `id` is what `after` takes. A newer server may have types that this version does not know.
    """

    id: str
    type: str
    job: str | None
    run: str | None
    seq: int
    at: str
    data: Mapping[str, Any]


def follow(connection: Connection, path: str, *, after: str | None) -> Iterator[Event]:
    """Give events as they come, each once and in order for each job; ends when the job or the run has ended.

    A stream that breaks is opened again after the last event that came. Once one came, the server may be away
    for a minute.

    Raises:
        ApiError: the server refused it.
        Unavailable: the server has not answered several times in a row; what was followed goes on.
    """
    last, failures, since, patience_s = after, 0, 0.0, 0.0
    seen: dict[str, int] = {}
    while True:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        try:
            with connection.stream(path, headers=headers, silence_s=SILENCE_S) as chunks:
                for kind, identity, text in frames(chunks):
                    failures, patience_s = 0, PATIENCE_S
                    last = identity or last
                    if kind == END:
                        return
                    event = _event(kind, identity, text)
                    if event is not None and _is_new(event, seen):
                        yield event
            problem: Exception | None = None
        except httpx.TransportError as error:
            problem = error
        except ApiError as error:
            if error.status < _SERVER_ERROR:
                raise
            problem = error
        since = since if failures else time.monotonic()
        failures += 1
        if failures >= connection.attempts and time.monotonic() >= since + patience_s:
            raise _lost(connection, problem, last) from problem
        pause(min(failures, CALM_ATTEMPTS))


def _lost(connection: Connection, problem: Exception | None, last: str | None) -> Unavailable:
    error = connection.silent(problem or EOFError("the stream of events breaks off"))
    if last is None:
        return error
    return Unavailable(f"{error}; what was followed goes on there, and can be followed again after={last!r}")


def frames(chunks: Iterable[bytes]) -> Iterator[tuple[str, str, str]]:
    """Read a stream of server-sent events: each one's type, id and data.

    A frame that the stream breaks off in is left out.

    Raises:
        Unavailable: a frame is larger than any that Patchmill sends.
    """
    kind, identity, data = "", "", list[str]()
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data or kind:
                yield kind or "message", identity, "\n".join(data)
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "id":
            identity = value
        elif name == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        done = 0
        for match in _LINE.finditer(buffer):
            if match[2] == b"\r" and match.end() == len(buffer):
                break  # its line feed may be in the next chunk
            yield match[1].decode("utf-8", "replace")
            done = match.end()
        buffer = buffer[done:]
        if len(buffer) > MAX_FRAME_BYTES:
            raise Unavailable("the server sends an event without end; is it Patchmill?")


def _event(kind: str, identity: str, text: str) -> Event | None:
    """Read an event; None for what is none, which a reader ignores."""
    try:
        document = json.loads(text)
        return Event(
            id=identity or str(document["id"]),
            type=str(document.get("type") or kind),
            job=document.get("job"),
            run=document.get("run"),
            seq=int(document["seq"]),
            at=str(document.get("at", "")),
            data=document.get("data") or {},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_new(event: Event, seen: dict[str, int]) -> bool:
    """Whether an event did not come before: after a break, some come twice."""
    of = event.job or event.run or ""
    if event.seq <= seen.get(of, 0):
        return False
    seen[of] = event.seq
    return True
