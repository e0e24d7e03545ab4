"""H10 and H11: connections that break, redirects, encodings, and HTTP's framing done wrong."""

import gzip
import zlib
from collections.abc import Callable, Iterable

from patchmill.dev.standin.chat.wire import encode
from patchmill.dev.standin.wire_cases.case import Billed, Ending, Mode, WireCase
from patchmill.dev.standin.wire_cases.reply import (
    APART,
    EVENT_STREAM,
    JSON,
    LAST_CHUNK,
    Reply,
    Step,
    Write,
    broken_off,
    chunked,
    framed,
    head,
    sized,
)


def _body(reply: Reply) -> bytes:
    if reply.stream:
        return b"".join(write.data for write in reply.whole())
    return encode(reply.document())


def _type(reply: Reply) -> str:
    return EVENT_STREAM if reply.stream else JSON


def _nothing(_reply: Reply) -> list[Step]:
    return []


def _redirect(status: int, location: str) -> Callable[[Reply], list[Step]]:
    return lambda reply: sized(reply, b"", status=status, content_type=None, headers=[("Location", location)])


def _encoded(name: str, encoder: Callable[[bytes], bytes]) -> Callable[[Reply], list[Step]]:
    return lambda reply: sized(
        reply,
        encoder(_body(reply)),
        content_type=_type(reply),
        headers=[("Content-Encoding", name)],
        text=reply.content,
    )


def _gzip_by_event(reply: Reply) -> Iterable[Step]:
    packer = zlib.compressobj(wbits=31)
    steps: list[Step] = [
        Write(packer.compress(write.data) + packer.flush(zlib.Z_SYNC_FLUSH), write.text)
        for write in reply.whole()
    ]
    steps.append(Write(packer.flush()))
    return chunked(reply, steps, headers=[("Content-Encoding", "gzip")])


def _gzip_cut(reply: Reply) -> list[Step]:
    packed = gzip.compress(_body(reply))
    return sized(
        reply,
        packed[: len(packed) // 2],
        content_type=_type(reply),
        headers=[("Content-Encoding", "gzip")],
    )


def _half_with_length(reply: Reply) -> list[Step]:
    body = _body(reply)
    lengths = [("Content-Length", str(len(body)))]
    return [Write(head(reply, 200, _type(reply), lengths) + body[: len(body) // 2])]


def _until_close(reply: Reply) -> list[Step]:
    return [Write(head(reply, 200, _type(reply)) + _body(reply), reply.content)]


def _bad_chunk_size(reply: Reply) -> list[Step]:
    opening = head(reply, 200, _type(reply), [("Transfer-Encoding", "chunked")])
    first, second = _halves(_body(reply))
    return [Write(opening + framed(first) + b"zz\r\n" + second + b"\r\n" + LAST_CHUNK)]


def _short_chunk(reply: Reply) -> list[Step]:
    opening = head(reply, 200, _type(reply), [("Transfer-Encoding", "chunked")])
    first, second = _halves(_body(reply))
    return [Write(opening + framed(first) + b"%x\r\n%b" % (len(second) + 10, second))]


def _long_body(reply: Reply) -> list[Step]:
    body = _body(reply)
    lengths = [("Content-Length", str(len(body)))]
    return [Write(head(reply, 200, _type(reply), lengths) + body + b"and more than that", reply.content)]


def _informed_first(reply: Reply) -> list[Step]:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\n"
    return [Write(hints), APART, *sized(reply, _body(reply), content_type=_type(reply), text=reply.content)]


def _odd_chunks(reply: Reply) -> Iterable[Step]:
    """Chunks with extensions, cut without regard to events, and a trailer at the end."""
    yield Write(head(reply, 200, _type(reply), [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]))
    body = _body(reply)
    for start in range(0, len(body), 7):
        part = body[start : start + 7]
        yield Write(b"%X;part=%d\r\n%b\r\n" % (len(part), start, part))
    yield Write(b"0\r\nX-Sum: none\r\n\r\n", reply.content)


def _halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    usage: Billed = Billed.WHOLE,
    *,
    ending: Ending = Ending.END,
    mode: Mode = Mode.ANY,
) -> WireCase:
    return WireCase(
        name=name,
        summary=summary,
        steps=steps,
        usage=usage,
        ending=ending,
        mode=mode,
        answers=usage is not Billed.NOTHING,
    )


def _redirected(name: str, summary: str, status: int, location: str) -> WireCase:
    return WireCase(
        name=name,
        summary=summary,
        steps=_redirect(status, location),
        usage=Billed.NOTHING,
        mode=Mode.ANY,
        status=status,
        answers=False,
    )


HTTP_TRANSPORT = (
    _case(
        "H10_closed_before_answer",
        "Closes the connection without a byte; no model was asked.",
        _nothing,
        Billed.NOTHING,
        ending=Ending.CUT,
    ),
    _case(
        "H10_reset_before_answer",
        "Resets the connection without a byte; no model was asked.",
        _nothing,
        Billed.NOTHING,
        ending=Ending.RESET,
    ),
    _case(
        "H10_reset_after_answer",
        "Resets the connection without a byte, after an answer was made.",
        _nothing,
        ending=Ending.RESET,
    ),
    _case(
        "H10_cut_in_headers",
        "Closes the connection in the middle of the headers.",
        lambda reply: [Write(head(reply)[:40])],
        ending=Ending.CUT,
    ),
    _redirected(
        "H11_redirect_same_host", "Redirects with 308 to another path.", 308, "/v1/elsewhere/completions"
    ),
    _redirected(
        "H11_redirect_other_host",
        "Redirects with 307 to another host, which must not be given the key.",
        307,
        "http://elsewhere.invalid/v1/chat/completions",
    ),
    _case("H11_gzip", "Answers well, compressed with gzip.", _encoded("gzip", gzip.compress)),
    _case("H11_deflate", "Answers well, compressed with deflate.", _encoded("deflate", zlib.compress)),
    _case(
        "H11_gzip_by_event",
        "Streams well, compressed with gzip and flushed after each event.",
        _gzip_by_event,
        mode=Mode.STREAM,
    ),
    _case("H11_gzip_cut", "Sends half of a gzip body, complete by its length.", _gzip_cut),
    _case(
        "H11_not_gzip",
        "Says that the body is gzip, and it is not.",
        _encoded("gzip", lambda body: body),
    ),
    _case(
        "H11_reset_after_headers",
        "Resets the connection after the headers.",
        lambda reply: [Write(head(reply, 200, _type(reply), [("Transfer-Encoding", "chunked")])), APART],
        Billed.PRODUCED,
        ending=Ending.RESET,
    ),
    _case(
        "H11_reset_in_stream",
        "Resets the connection in the middle of the stream.",
        lambda reply: [*broken_off(reply, *reply.half()), APART],
        Billed.PRODUCED,
        ending=Ending.RESET,
        mode=Mode.STREAM,
    ),
    _case(
        "H11_length_not_reached", "Closes before the promised length.", _half_with_length, ending=Ending.CUT
    ),
    _case("H11_more_than_length", "Sends more than the promised length.", _long_body),
    _case(
        "H11_no_framing",
        "Answers well with neither length nor chunks: the body ends with the connection.",
        _until_close,
    ),
    _case(
        "H11_no_last_chunk",
        "Sends the whole stream to its end mark and closes without the last HTTP chunk.",
        lambda reply: broken_off(reply, *reply.whole()),
        ending=Ending.CUT,
        mode=Mode.STREAM,
    ),
    _case("H11_bad_chunk_size", "Gives an HTTP chunk a size that is no number.", _bad_chunk_size),
    _case("H11_short_chunk", "Closes inside an HTTP chunk.", _short_chunk, ending=Ending.CUT),
    _case("H11_odd_chunks", "Answers well, in tiny HTTP chunks with extensions and a trailer.", _odd_chunks),
    _case("H11_early_hints", "Sends a 103 first, then answers well.", _informed_first),
)
