"""A chat endpoint that costs as little as can be: it answers every request with the same bytes.

`python -m benchmarks.token_server` prints its port. A stream gets one event for each token, in an HTTP chunk
and at a moment of its own, as from a model.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

TOKENS = 110
TOKEN_S = 0.002
USAGE = {
    "prompt_tokens": 800,
    "completion_tokens": TOKENS,
    "total_tokens": 800 + TOKENS,
    "prompt_cache_hit_tokens": 640,
    "prompt_cache_miss_tokens": 160,
}


def _document(kind: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    document = {
        "id": "chatcmpl-0123456789abcdef",
        "object": kind,
        "created": 1_795_000_000,
        "model": "deepseek-v4-flash",
        "system_fingerprint": "fp_bench",
        "choices": choices,
        **more,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _event(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event(_document("chat.completion.chunk", [choice]))


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nX-RateLimit-Remaining: 49.9\r\n%b\r\n\r\n"
_TOKENS = [_chunk({"content": f" tok{number}"}) for number in range(TOKENS)]
_FIRST = _HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked") + _chunk({"role": "assistant"})
_LAST = (
    _chunk({}, "stop")
    + _event(_document("chat.completion.chunk", [], usage=USAGE))
    + _event(b"[DONE]")
    + b"0\r\n\r\n"
)
_MESSAGE = {"role": "assistant", "content": " tok" * TOKENS}
_BODY = _document(
    "chat.completion", [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}], usage=USAGE
)
_PLAIN = _HEAD % (b"application/json", b"Content-Length: %d" % len(_BODY)) + _BODY


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b'"stream":true' not in body:
                writer.write(_PLAIN)
                continue
            writer.write(_FIRST)
            for token in _TOKENS:
                await asyncio.sleep(TOKEN_S)
                writer.write(token)
            writer.write(_LAST)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
