"""S1 to S5: a stream that is whole, spelt in every way that event streams allow, and some more."""

from collections.abc import Callable, Iterable, Iterator

from patchmill.dev.standin.chat.wire import encode
from patchmill.dev.standin.wire_cases.case import Billed, Ending, WireCase
from patchmill.dev.standin.wire_cases.reply import (
    APART,
    DONE,
    Pause,
    Reply,
    Step,
    Write,
    broken_off,
    chunked,
    event,
    framed,
    head,
    streamed,
)

_COMMENT = Write(b": keep-alive\n\n")
_BOM = "\ufeff".encode()
# The line separators of Unicode that are no line ends in an event stream.
_SEPARATORS = "\u2028\u2029\u0085"


def _case(
    name: str,
    summary: str,
    steps: Callable[[Reply], Iterable[Step]],
    usage: Billed = Billed.WHOLE,
    ending: Ending = Ending.END,
) -> WireCase:
    return WireCase(name=name, summary=summary, steps=steps, usage=usage, ending=ending)


def _each(reply: Reply, spell: Callable[[bytes], bytes]) -> Iterator[Step]:
    return streamed(reply, *(Write(spell(write.data), write.text) for write in reply.whole()))


def _ends(line_end: bytes) -> Callable[[Reply], Iterator[Step]]:
    return lambda reply: _each(reply, lambda data: data.replace(b"\n", line_end))


def _between(reply: Reply, *between: Step) -> Iterator[Step]:
    return streamed(reply, *(step for write in reply.whole() for step in (*between, write)))


def _comments_for_ever(reply: Reply) -> Iterator[Step]:
    yield Write(head(reply, 200, headers=[("Transfer-Encoding", "chunked")]))
    while True:
        yield Write(framed(_COMMENT.data))
        yield Pause(20)


def _split_crlf(reply: Reply) -> Iterator[Step]:
    steps: list[Step] = []
    for write in reply.whole():
        data = write.data.replace(b"\n", b"\r\n")
        steps += [Write(data[:-3]), APART, Write(data[-3:-1]), APART, Write(data[-1:], write.text)]
    return streamed(reply, *steps)


def _split_characters(reply: Reply) -> Iterator[Step]:
    """A character of four bytes in the fingerprint, with a pause between its bytes."""
    steps: list[Step] = []
    for piece in reply.pieces:
        data = event(reply.chunk({"content": piece}, system_fingerprint="stand-in \U0001f9f5")).data
        middle = data.index("\U0001f9f5".encode()) + 2
        steps += [Write(data[:middle]), APART, Write(data[middle:], piece)]
    return streamed(reply, reply.opening(), *steps, reply.finished(), reply.used(), DONE)


def _one_byte_each(reply: Reply) -> Iterator[Step]:
    steps: list[Step] = []
    for write in reply.whole():
        last = len(write.data) - 1
        steps += [
            Write(write.data[place : place + 1], write.text if place == last else "")
            for place in range(len(write.data))
        ]
    return streamed(reply, *steps)


def _one_segment(reply: Reply) -> Iterator[Step]:
    return iter(
        [
            Write(
                b"".join(step.data for step in streamed(reply, *reply.whole()) if isinstance(step, Write)),
                reply.content,
            )
        ]
    )


def _several_data_lines(reply: Reply) -> Iterator[Step]:
    def spell(data: bytes) -> bytes:
        # A line break is allowed between two members of a JSON object.
        return data.replace(b',"object":', b',\ndata: "object":', 1)

    return _each(reply, spell)


def _separators(reply: Reply) -> Iterator[Step]:
    mark = f"stand-in{_SEPARATORS}"
    spoken = reply.spoken(system_fingerprint=mark)
    return streamed(reply, reply.opening(), *spoken, reply.finished(), reply.used(), DONE)


def _control_characters(reply: Reply) -> Iterator[Step]:
    """Vertical tab and form feed, raw inside a string, which JSON forbids."""
    broken = Write(encode(reply.chunk({"content": ""})).replace(b"stand-in", b"stand\x0b\x0cin"))
    return streamed(
        reply, *reply.half(), Write(b"data: " + broken.data + b"\n\n"), reply.finished(), reply.used(), DONE
    )


def _after_done(reply: Reply) -> Iterator[Step]:
    late = event(reply.chunk({"content": "This comes after the end mark."}))
    return streamed(reply, *reply.whole(), late, DONE)


def _with_done(done: bytes) -> Callable[[Reply], Iterator[Step]]:
    return lambda reply: streamed(reply, *reply.told(), reply.used(), Write(done))


SSE_EVENTS = (
    _case(
        "S1_comment_first",
        "Sends comments before the first event.",
        lambda reply: streamed(reply, _COMMENT, Write(b": PROCESSING\n\n"), Write(b":\n"), *reply.whole()),
    ),
    _case(
        "S1_comments_between", "Sends a comment before each event.", lambda reply: _between(reply, _COMMENT)
    ),
    _case(
        "S1_comment_in_event",
        "Sends a comment line inside an event.",
        lambda reply: _each(reply, lambda data: b": busy\n" + data),
    ),
    _case(
        "S1_comments_forever",
        "Sends a comment every 20 ms for as long as the client stays, never an event.",
        _comments_for_ever,
        Billed.PRODUCED,
        Ending.STALL,
    ),
    _case("S2_lf", "Ends lines with LF.", _ends(b"\n")),
    _case("S2_crlf", "Ends lines with CR LF.", _ends(b"\r\n")),
    _case("S2_cr", "Ends lines with CR.", _ends(b"\r")),
    _case("S2_crlf_split", "Ends lines with CR LF, with a pause between the two.", _split_crlf),
    _case(
        "S2_bom", "Begins with a byte order mark.", lambda reply: streamed(reply, Write(_BOM), *reply.whole())
    ),
    _case("S2_character_split", "Pauses inside a character of four bytes.", _split_characters),
    _case("S2_byte_by_byte", "Sends each byte alone, in an HTTP chunk of its own.", _one_byte_each),
    _case("S2_one_segment", "Sends head, events and end at once.", _one_segment),
    _case(
        "S2_events_in_one_chunk",
        "Sends all events in one HTTP chunk.",
        lambda reply: chunked(reply, [Write(b"".join(write.data for write in reply.whole()), reply.content)]),
    ),
    _case(
        "S3_unicode_separators", "Has U+2028, U+2029 and U+0085 unescaped inside JSON strings.", _separators
    ),
    _case("S3_control_characters", "Has raw control characters inside a JSON string.", _control_characters),
    _case(
        "S4_no_space",
        "Writes `data:` without a space.",
        lambda reply: _each(reply, lambda data: data.replace(b"data: ", b"data:", 1)),
    ),
    _case("S4_several_data_lines", "Spreads each JSON document over two `data` lines.", _several_data_lines),
    _case(
        "S4_other_fields",
        "Gives events `event`, `id`, `retry` and a field that nobody knows.",
        lambda reply: _each(reply, lambda data: b"event: message\nid: 7\nretry: 100\nwhatever: x\n" + data),
    ),
    _case(
        "S4_event_without_data",
        "Sends `event: ping` without data between events.",
        lambda reply: _between(reply, Write(b"event: ping\n\n")),
    ),
    _case(
        "S4_empty_data",
        "Sends events whose data is empty.",
        lambda reply: _between(reply, Write(b"data:\n\n"), Write(b"data\n\n")),
    ),
    _case(
        "S4_extra_blank_lines",
        "Sends an id, and more blank lines than needed, between events.",
        lambda reply: _between(reply, Write(b"id: 1\n\n\n\n")),
    ),
    _case("S5_done_without_space", "Ends with `data:[DONE]`.", _with_done(b"data:[DONE]\n\n")),
    _case("S5_done_with_blanks", "Ends with blanks after `[DONE]`.", _with_done(b"data: [DONE]  \n\n")),
    _case("S5_done_without_blank_line", "Ends after the line of `[DONE]`.", _with_done(b"data: [DONE]\n")),
    _case("S5_done_without_line_end", "Ends with the bytes of `[DONE]`.", _with_done(b"data: [DONE]")),
    _case("S5_data_after_done", "Sends more content after `[DONE]`, which is not billed.", _after_done),
    _case(
        "S5_open_after_done",
        "Sends `[DONE]` and keeps the connection open.",
        lambda reply: broken_off(reply, *reply.whole()),
        ending=Ending.STALL,
    ),
)
