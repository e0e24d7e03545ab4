"""The parts that wire cases are put together from: chunks, events, heads, and HTTP's framing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from patchmill.dev.standin.chat.wire import FINGERPRINT, UsageReport, encode
from patchmill.dev.standin.refusal import error_envelope
from patchmill.dev.standin.tokens import pieces

EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
LAST_CHUNK = b"0\r\n\r\n"
_PIECE_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that are sent at once; `text` is the output that the client has been given with them."""

    data: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for so long."""

    ms: int


Step = Write | Pause
# Long enough for what was written before it to be read apart.
APART = Pause(5)
DONE = Write(b"data: [DONE]\n\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one request, whose bytes a case spells out; `headers` are the gateway's own."""

    request_id: str
    created: int
    model: str
    content: str
    reasoning: str
    finish: str
    usage: UsageReport
    max_tokens: int
    stream: bool
    headers: tuple[tuple[str, str], ...]

    def chunk(
        self, delta: dict[str, Any] | None, finish: str | None = None, *, index: int = 0, **more: Any
    ) -> dict[str, Any]:
        """One chunk of a stream; with delta None it has no choices. `more` adds fields or replaces them."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [] if delta is None else [choice], **more}

    def document(self, message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The plain answer; `message` adds to its message, `more` to the document, or replaces."""
        whole: dict[str, Any] = {"role": "assistant", "content": self.content, **(message or {})}
        choice = {"index": 0, "message": whole, "logprobs": None, "finish_reason": self.finish}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self.usage.document(),
            **more,
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.request_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }

    @property
    def pieces(self) -> list[str]:
        """The content as it is streamed, piece by piece; one empty piece when there is none."""
        return list(pieces(self.content, _PIECE_CHARACTERS)) or [""]

    def opening(self) -> Write:
        """The first event, with the role alone."""
        return event(self.chunk({"role": "assistant", "content": ""}))

    def spoken(self, **more: Any) -> list[Write]:
        """An event for each piece of the content."""
        return [event(self.chunk({"content": piece}, **more), piece) for piece in self.pieces]

    def half(self) -> list[Write]:
        """The opening, and the first half of the content."""
        spoken = self.spoken()
        return [self.opening(), *spoken[: (len(spoken) + 1) // 2]]

    def finished(self, finish: str | None = None, **more: Any) -> Write:
        """The event with the finish reason."""
        return event(self.chunk({}, finish or self.finish, **more))

    def used(self, usage: Any = None) -> Write:
        """The event with empty choices that reports usage: the true one, or another."""
        return event(self.chunk(None, usage=self.usage.document() if usage is None else usage))

    def told(self) -> list[Write]:
        """The usual events up to the finish reason."""
        return [self.opening(), *self.spoken(), self.finished()]

    def whole(self) -> list[Write]:
        """The usual events: role, content, finish reason, usage, and the end mark."""
        return [*self.told(), self.used(), DONE]


def event(document: Any, text: str = "", *, field: bytes = b"data: ", end: bytes = b"\n\n") -> Write:
    """One server-sent event with a JSON document."""
    return Write(field + encode(document) + end, text)


def head(
    reply: Reply,
    status: int = 200,
    content_type: str | None = EVENT_STREAM,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A status line and headers: the gateway's own, the content type, the given ones, and a farewell."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    own = {name.lower() for name, _ in headers}
    pairs = [
        *((name, value) for name, value in reply.headers if name.lower() not in own),
        *([] if content_type is None else [("Content-Type", content_type)]),
        *headers,
        ("Connection", "close"),
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1")


def framed(data: bytes) -> bytes:
    """Bytes as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(
    reply: Reply,
    steps: Iterable[Step],
    *,
    content_type: str | None = EVENT_STREAM,
    headers: Iterable[tuple[str, str]] = (),
    last: bytes = LAST_CHUNK,
) -> Iterator[Step]:
    """A response in HTTP chunks, one for each write; `last` ends it."""
    yield Write(head(reply, 200, content_type, [("Transfer-Encoding", "chunked"), *headers]))
    for step in steps:
        yield Write(framed(step.data), step.text) if isinstance(step, Write) else step
    yield Write(last)


def streamed(reply: Reply, *steps: Step) -> Iterator[Step]:
    """A stream of events that is complete by HTTP's framing."""
    return chunked(reply, steps)


def broken_off(reply: Reply, *steps: Step) -> Iterator[Step]:
    """A stream of events whose last HTTP chunk never comes."""
    return chunked(reply, steps, last=b"")


def sized(
    reply: Reply,
    body: bytes,
    *,
    status: int = 200,
    content_type: str | None = JSON,
    headers: Iterable[tuple[str, str]] = (),
    text: str = "",
) -> list[Step]:
    """A whole response with a length."""
    given = [("Content-Length", str(len(body))), *headers]
    return [Write(head(reply, status, content_type, given) + body, text)]


def refused(
    reply: Reply,
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> list[Step]:
    """An error in the usual envelope."""
    body = encode(error_envelope(status, code, message, param))
    return sized(reply, body, status=status, headers=headers)
