"""H7 to H9: a 200 whose body is not the answer that was asked for."""

from collections.abc import Callable, Iterable

from patchmill.dev.standin.chat.wire import encode
from patchmill.dev.standin.refusal import error_envelope
from patchmill.dev.standin.wire_cases.case import Billed, Ending, Mode, WireCase
from patchmill.dev.standin.wire_cases.reply import (
    EVENT_STREAM,
    HTML,
    Pause,
    Reply,
    Step,
    Write,
    chunked,
    head,
    sized,
    streamed,
)

_PAGE = b"<!doctype html><title>Sign in</title><h1>Sign in to the network</h1>"
_BLANKS = 3
_BLANK_PAUSE = Pause(40)


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    usage: Billed = Billed.WHOLE,
    mode: Mode = Mode.ANY,
) -> WireCase:
    answers = usage is not Billed.NOTHING
    return WireCase(name=name, summary=summary, steps=steps, usage=usage, mode=mode, answers=answers)


def _blank_lines(reply: Reply) -> Iterable[Step]:
    waiting: list[Step] = [Write(b"\n"), _BLANK_PAUSE] * _BLANKS
    answer = Write(encode(reply.document()), reply.content)
    return chunked(reply, [*waiting, answer], content_type="application/json")


def _blank_lines_in_stream(reply: Reply) -> Iterable[Step]:
    waiting: list[Step] = [Write(b"\n"), _BLANK_PAUSE] * _BLANKS
    return streamed(reply, *waiting, *reply.whole())


def _cut_json(reply: Reply) -> list[Step]:
    body = encode(reply.document())
    return sized(reply, body[: len(body) // 2])


def _no_type(reply: Reply) -> Iterable[Step]:
    if reply.stream:
        return chunked(reply, reply.whole(), content_type=None)
    return sized(reply, encode(reply.document()), content_type=None, text=reply.content)


def _wrong_type(reply: Reply) -> Iterable[Step]:
    if reply.stream:
        return chunked(reply, reply.whole(), content_type="application/json")
    return sized(reply, encode(reply.document()), content_type="text/plain", text=reply.content)


def _bare(reply: Reply) -> Iterable[Step]:
    bare = Reply(
        request_id=reply.request_id,
        created=reply.created,
        model=reply.model,
        content=reply.content,
        reasoning=reply.reasoning,
        finish=reply.finish,
        usage=reply.usage,
        max_tokens=reply.max_tokens,
        stream=reply.stream,
        headers=(),
    )
    if reply.stream:
        return streamed(bare, *bare.whole())
    return sized(bare, encode(bare.document()), text=reply.content)


def _for_ever(reply: Reply) -> Iterable[Step]:
    content_type = EVENT_STREAM if reply.stream else "application/json"
    yield Write(head(reply, 200, content_type, [("Transfer-Encoding", "chunked")]))
    while True:
        yield Write(b"1\r\n\n\r\n")
        yield Pause(20)


_ERROR = error_envelope(500, "internal_error", "The answer broke off.")

HTTP_BODIES = (
    _case(
        "H7_html_before_gateway",
        "Answers 200 with a page in HTML, from a box in front of the gateway, which was never asked.",
        lambda reply: sized(reply, _PAGE, content_type=HTML),
        Billed.NOTHING,
    ),
    _case(
        "H7_html_for_answer",
        "Answers 200 with a page in HTML in the place of an answer that was made.",
        lambda reply: sized(reply, _PAGE, content_type=HTML),
    ),
    _case(
        "H7_html_as_stream",
        "Answers 200 with a page in HTML that is called an event stream.",
        lambda reply: sized(reply, _PAGE, content_type=EVENT_STREAM),
        Billed.NOTHING,
    ),
    _case(
        "H7_text",
        "Answers 200 with a line of text.",
        lambda reply: sized(reply, b"upstream connect error", content_type="text/plain"),
        Billed.NOTHING,
    ),
    _case(
        "H7_empty_body",
        "Answers 200 with a body of no bytes, after an answer was made.",
        lambda reply: sized(reply, b"", content_type=EVENT_STREAM if reply.stream else "application/json"),
    ),
    _case("H7_blank_body", "Answers 200 with blank lines only.", lambda reply: sized(reply, b"\n" * 10)),
    _case("H7_null_body", "Answers 200 with the JSON value null.", lambda reply: sized(reply, b"null")),
    _case("H7_cut_json", "Answers 200 with half a JSON document, complete by its length.", _cut_json),
    _case("H7_no_content_type", "Answers well, without a Content-Type.", _no_type),
    _case("H7_wrong_content_type", "Answers well, under another Content-Type.", _wrong_type),
    _case("H7_no_quota_headers", "Answers well, without any header of the gateway's own.", _bare),
    _case(
        "H7_plain_for_stream",
        "Answers a request for a stream with the plain document.",
        lambda reply: sized(reply, encode(reply.document()), text=reply.content),
        mode=Mode.STREAM,
    ),
    _case(
        "H7_stream_for_plain",
        "Answers a request for a plain document with a stream.",
        lambda reply: streamed(reply, *reply.whole()),
        mode=Mode.PLAIN,
    ),
    _case(
        "H8_blank_lines_before_json",
        "Keeps the connection alive with blank lines, then sends the plain document.",
        _blank_lines,
        mode=Mode.PLAIN,
    ),
    _case(
        "H8_blank_lines_before_events",
        "Keeps the connection alive with blank lines, then sends the stream.",
        _blank_lines_in_stream,
        mode=Mode.STREAM,
    ),
    WireCase(
        name="H8_blank_lines_forever",
        summary="Sends a blank line every 20 ms for as long as the client stays, and never an answer.",
        steps=_for_ever,
        usage=Billed.PRODUCED,
        ending=Ending.STALL,
        mode=Mode.ANY,
    ),
    _case(
        "H9_error_in_200",
        "Answers 200 with an error in the envelope.",
        lambda reply: sized(reply, encode(_ERROR)),
        Billed.NOTHING,
    ),
    _case(
        "H9_error_as_text_in_200",
        "Answers 200 with an `error` that is a string.",
        lambda reply: sized(reply, encode({"error": "overloaded"})),
        Billed.NOTHING,
    ),
    _case(
        "H9_choices_empty",
        "Answers 200 with usage and empty `choices`.",
        lambda reply: sized(reply, encode(reply.document(choices=[]))),
    ),
    _case(
        "H9_choices_absent",
        "Answers 200 with usage and without `choices`.",
        lambda reply: sized(reply, encode({k: v for k, v in reply.document().items() if k != "choices"})),
    ),
    _case(
        "H9_choices_null",
        "Answers 200 with usage and `choices` null.",
        lambda reply: sized(reply, encode(reply.document(choices=None))),
    ),
)
