"""S6 to S10: streams that end early, report an error, are spoilt on the way, stall, or swell."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from patchmill.dev.standin.refusal import error_envelope
from patchmill.dev.standin.wire_cases.case import Billed, Ending, WireCase
from patchmill.dev.standin.wire_cases.reply import (
    DONE,
    Pause,
    Reply,
    Step,
    Write,
    broken_off,
    event,
    framed,
    head,
    streamed,
)

_ERROR = error_envelope(500, "internal_error", "The answer broke off.")
_LARGE_BYTES = 2 * 1024 * 1024
_SLOW = Pause(120)


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    usage: Billed = Billed.WHOLE,
    ending: Ending = Ending.END,
) -> WireCase:
    return WireCase(name=name, summary=summary, steps=steps, usage=usage, ending=ending)


def _half_event(reply: Reply) -> list[Write]:
    data = reply.finished().data
    return [*reply.half(), Write(data[: len(data) // 2])]


def _failed(*after: Write, error: Any = None) -> Callable[[Reply], Iterator[Step]]:
    document = _ERROR if error is None else {"error": error}
    return lambda reply: streamed(reply, *reply.half(), event(document), *after)


def _with_error_null(reply: Reply) -> Iterator[Step]:
    spoken = reply.spoken(error=None)
    return streamed(reply, reply.opening(), *spoken, reply.finished(error=None), reply.used(), DONE)


def _injected(data: bytes) -> Callable[[Reply], Iterator[Step]]:
    return lambda reply: streamed(
        reply, *reply.half(), Write(data), *reply.told()[len(reply.half()) :], reply.used(), DONE
    )


def _stalled_with_comments(reply: Reply) -> Iterator[Step]:
    yield from broken_off(reply, *reply.half())
    while True:
        yield Pause(20)
        yield Write(framed(b": keep-alive\n\n"))


def _slow(reply: Reply) -> Iterator[Step]:
    return streamed(reply, _SLOW, *(step for write in reply.whole() for step in (write, Pause(10))))


def _large_event(reply: Reply) -> Iterator[Step]:
    padding = event(reply.chunk({"content": ""}, padding="x" * _LARGE_BYTES))
    return streamed(reply, reply.opening(), padding, *reply.told()[1:], reply.used(), DONE)


def _endless_line(reply: Reply) -> Iterator[Step]:
    yield Write(head(reply, headers=[("Transfer-Encoding", "chunked")]))
    yield Write(framed(b'data: {"padding":"'))
    for _ in range(1024):
        yield Write(framed(b"x" * 65_536))
    yield Write(framed(b'"}\n\n'))


SSE_ENDINGS = (
    _case(
        "S6_no_done",
        "Sends finish reason and usage, and ends without `[DONE]`.",
        lambda reply: streamed(reply, *reply.told(), reply.used()),
    ),
    _case(
        "S6_no_done_no_usage",
        "Sends the finish reason, and ends without usage and `[DONE]`.",
        lambda reply: streamed(reply, *reply.told()),
    ),
    _case(
        "S6_no_finish",
        "Ends well-formed after half of the content, with no finish reason.",
        lambda reply: streamed(reply, *reply.half()),
        Billed.PRODUCED,
    ),
    _case(
        "S6_no_finish_but_done",
        "Sends half of the content, then `[DONE]`.",
        lambda reply: streamed(reply, *reply.half(), DONE),
        Billed.PRODUCED,
    ),
    _case(
        "S6_no_finish_but_usage",
        "Sends the content and usage, and no finish reason.",
        lambda reply: streamed(reply, reply.opening(), *reply.spoken(), reply.used(), DONE),
    ),
    _case(
        "S6_ends_in_event",
        "Ends well-formed in the middle of an event.",
        lambda reply: streamed(reply, *_half_event(reply)),
        Billed.PRODUCED,
    ),
    _case(
        "S6_cut_in_event",
        "Closes in the middle of an event.",
        lambda reply: broken_off(reply, *_half_event(reply)),
        Billed.PRODUCED,
        Ending.CUT,
    ),
    _case(
        "S6_cut_between_events",
        "Closes after half of the content.",
        lambda reply: broken_off(reply, *reply.half()),
        Billed.PRODUCED,
        Ending.CUT,
    ),
    _case(
        "S6_cut_after_headers",
        "Closes after the headers.",
        broken_off,
        Billed.PRODUCED,
        Ending.CUT,
    ),
    _case(
        "S6_cut_after_finish",
        "Closes after the finish reason, before usage.",
        lambda reply: broken_off(reply, *reply.told()),
        ending=Ending.CUT,
    ),
    _case("S6_no_events", "Ends well-formed without an event.", streamed, Billed.PRODUCED),
    _case("S6_done_only", "Sends `[DONE]` alone.", lambda reply: streamed(reply, DONE), Billed.PRODUCED),
    _case(
        "S7_error_first",
        "Reports an error before any content.",
        lambda reply: streamed(reply, event(_ERROR)),
        Billed.NOTHING,
    ),
    _case("S7_error_after_content", "Reports an error after half of the content.", _failed(), Billed.NOTHING),
    _case(
        "S7_error_then_done",
        "Reports an error after half of the content, then sends `[DONE]`.",
        _failed(DONE),
        Billed.NOTHING,
    ),
    _case(
        "S7_error_is_text",
        "Reports an error that is a string.",
        _failed(error="upstream overloaded"),
        Billed.NOTHING,
    ),
    _case(
        "S7_error_with_number",
        "Reports an error whose code is a number.",
        _failed(error={"message": "Overloaded", "code": 503}),
        Billed.NOTHING,
    ),
    _case(
        "S7_error_event",
        "Reports an error in an event that is named `error`.",
        lambda reply: streamed(reply, *reply.half(), event(_ERROR, field=b"event: error\ndata: ")),
        Billed.NOTHING,
    ),
    _case(
        "S7_error_with_usage",
        "Reports usage and an error in the last event; nothing is billed.",
        lambda reply: streamed(reply, *reply.half(), event({**_ERROR, "usage": reply.usage.document()})),
        Billed.NOTHING,
    ),
    _case(
        "S7_error_beside_choices",
        "Reports an error in a chunk that also has an empty choice.",
        lambda reply: streamed(reply, *reply.half(), event(reply.chunk({}, "error", **_ERROR)), DONE),
        Billed.NOTHING,
    ),
    _case("S7_error_null", "Has `error` null in every chunk of a good stream.", _with_error_null),
    _case("S8_not_json", "Has an event in the middle that is not JSON.", _injected(b"data: {oops\n\n")),
    _case(
        "S8_plain_text",
        "Has a line of text in the middle that a proxy put in.",
        _injected(b"upstream request timeout\n\n"),
    ),
    _case("S8_html", "Has a page in HTML in the middle.", _injected(b"<html>\n<h1>502</h1>\n</html>\n\n")),
    _case("S8_not_an_object", "Has an event in the middle that is a JSON list.", _injected(b"data: []\n\n")),
    _case(
        "S8_not_utf8",
        "Has an event in the middle that is not UTF-8.",
        _injected(b'data: {"x":"\xff\xfe"}\n\n'),
    ),
    _case(
        "S8_text_then_end",
        "Ends well-formed with a line of text in the place of the rest.",
        lambda reply: streamed(reply, *reply.half(), Write(b"timed out waiting for upstream\n")),
        Billed.PRODUCED,
    ),
    _case(
        "S9_stall_after_headers",
        "Sends the headers, then nothing.",
        broken_off,
        Billed.PRODUCED,
        Ending.STALL,
    ),
    _case(
        "S9_stall_in_stream",
        "Sends half of the content, then nothing.",
        lambda reply: broken_off(reply, *reply.half()),
        Billed.PRODUCED,
        Ending.STALL,
    ),
    _case(
        "S9_stall_with_comments",
        "Sends half of the content, then comments for as long as the client stays.",
        _stalled_with_comments,
        Billed.PRODUCED,
        Ending.STALL,
    ),
    _case(
        "S9_stall_before_done",
        "Sends all but `[DONE]`, then nothing.",
        lambda reply: broken_off(reply, *reply.told(), reply.used()),
        ending=Ending.STALL,
    ),
    _case(
        "S9_stall_before_headers", "Sends nothing at all.", lambda _reply: [], Billed.PRODUCED, Ending.STALL
    ),
    _case("S9_slow", "Takes 120 ms to the first event and 10 ms between events, and ends well.", _slow),
    _case("S10_large_event", "Sends an event of 2 MiB before the content.", _large_event),
    _case(
        "S10_large_comment",
        "Sends a comment of 2 MiB before the content.",
        lambda reply: streamed(reply, Write(b": " + b"x" * _LARGE_BYTES + b"\n\n"), *reply.whole()),
    ),
    _case("S10_long_line", "Sends a line of 64 MiB, in parts.", _endless_line, Billed.PRODUCED),
)
