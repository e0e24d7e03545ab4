"""Answers of a chat endpoint as bytes, and a call of a real gateway client to fetch them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import uvloop

from patchmill.call.gateway import Gateway
from patchmill.call.reply import CallOutcome
from patchmill.call.request import ChatRequest
from patchmill.call.stream import AnswerBuilder, SseParser

KEY = "sk-byts-0123456789abcdef"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
USAGE: Mapping[str, Any] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def sse(document: object, *, end: str = "\n\n") -> bytes:
    """Build one event whose data is the document as JSON."""
    return f"data: {json.dumps(document, ensure_ascii=False)}{end}".encode()


def delta(content: object, **more: object) -> dict[str, Any]:
    """Build a chunk with one piece of content; `more` are further fields of the chunk."""
    return {"id": "chat-1", "choices": [{"index": 0, "delta": {"content": content}}], **more}


def finish(reason: str = "stop", **more: object) -> dict[str, Any]:
    """Build the chunk that carries the finish reason."""
    return {"id": "chat-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **more}


def usage_chunk(usage: Mapping[str, Any] = USAGE) -> dict[str, Any]:
    """Build the last chunk of a stream that reports usage: it has no choices."""
    return {"id": "chat-1", "choices": [], "usage": usage}


DONE = b"data: [DONE]\n\n"
STREAM = sse(delta("Hel")) + sse(delta("lo")) + sse(finish()) + sse(usage_chunk()) + DONE


def plain(content: object = "Hello", *, reason: object = "stop", **more: object) -> bytes:
    """Build the body of a plain answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
    return json.dumps({"id": "chat-1", "choices": [choice], "usage": USAGE, **more}).encode()


def built(*pieces: bytes) -> AnswerBuilder:
    """Read a stream from these pieces, to its end."""
    parser, answer = SseParser(), AnswerBuilder()
    for piece in pieces:
        for event in parser.feed(piece):
            answer.add_event(event)
    for event in parser.close():
        answer.add_event(event)
    return answer


def question(*, stream: bool, content: str = "Hi") -> ChatRequest:
    """Build a small request."""
    messages = [{"role": "user", "content": content}]
    return ChatRequest(model="deepseek-v4-flash", messages=messages, max_tokens=64, stream=stream)


def open_gateway(url: str) -> Gateway:
    """Build a client for the server at `url`, whose wall clock stands at `NOW`."""
    return Gateway(base_url=url, api_key=KEY, now=lambda: NOW)


def ask(
    url: str,
    *,
    stream: bool = False,
    content: str = "Hi",
    times: int = 1,
    deadline_s: float = 5.0,
    request: ChatRequest | None = None,
) -> list[CallOutcome]:
    """Call the server `times` times in a row with one client; `request` takes the place of a small one."""
    asked = question(stream=stream, content=content) if request is None else request

    async def calls() -> list[CallOutcome]:
        gateway = open_gateway(url)
        try:
            return [await gateway.chat(asked, deadline_s=deadline_s) for _ in range(times)]
        finally:
            await gateway.aclose()

    return uvloop.run(calls())
