import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.stream import (
    MAX_EVENT_BYTES,
    MAX_LINE_BYTES,
    AnswerBuilder,
    Event,
    MalformedAnswer,
    SseParser,
)
from tests.support.answers import STREAM


def events(*pieces: bytes) -> list[Event]:
    parser = SseParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return found + parser.close()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([b": keep-alive\n\n: again\n\ndata: a\n\n"], [Event("a")], id="S1 comments"),
        pytest.param([b"data: a\r\rdata: b\r\n\r\ndata: c\n\n"], [*map(Event, "abc")], id="S2 CR, LF, CRLF"),
        pytest.param([b"data: a\r", b"\n\r", b"\ndata: b\n\n"], [*map(Event, "ab")], id="S2 CRLF cut"),
        pytest.param([b"data: a\r", b"\r", b"\n"], [Event("a")], id="S2 CR, then CRLF cut"),
        pytest.param([b"\xef\xbb\xbfdata: a\n\n"], [Event("a")], id="S2 byte order mark"),
        pytest.param([b"\xef", b"\xbb", b"\xbfdata: a\n\n"], [Event("a")], id="S2 byte order mark cut"),
        pytest.param([b"data: \xe2", b"\x82", b"\xac\n\n"], [Event("€")], id="S2 character cut"),
        pytest.param(
            ["data: \u2028\u2029\x85\x0b\x0c\x1c\n\n".encode()],
            [Event("\u2028\u2029\x85\x0b\x0c\x1c")],
            id="S3 other line separators are data",
        ),
        pytest.param([b"data:a\n\ndata:  b\n\n"], [Event("a"), Event(" b")], id="S4 space after the colon"),
        pytest.param([b"data: a\ndata: b\n\n"], [Event("a\nb")], id="S4 several data lines"),
        pytest.param([b"id: 7\nretry: 9\nother\ndata: a\n\n"], [Event("a")], id="S4 other fields"),
        pytest.param([b"event: ping\n\nid: 1\n\n\ndata\n\ndata: a\n\n"], [Event("a")], id="S4 no data"),
        pytest.param(
            [b"event: error\ndata: a\n\ndata: b\n\n"], [Event("a", "error"), Event("b")], id="S4 name"
        ),
        pytest.param([b"data:[DONE]\n\n"], [Event("[DONE]")], id="S5 DONE without a space"),
        pytest.param([b"data: [DONE]  \n\n"], [Event("[DONE]")], id="S5 DONE with trailing blanks"),
        pytest.param([b"data: [DONE]\n"], [Event("[DONE]")], id="S5 DONE without a blank line"),
        pytest.param([b"data: [DONE]"], [Event("[DONE]")], id="S5 DONE without a line end"),
        pytest.param([b"data: [DONE]\n\ndata: a\n\n", b"data: b\n\n"], [Event("[DONE]")], id="S5 after DONE"),
        pytest.param(
            [b"data: a\ndata: [DONE]\n"], [*map(Event, ["a", "[DONE]"])], id="S5 DONE ends an event"
        ),
        pytest.param([b"data: a\n\ndata: b\n"], [Event("a")], id="S6 an unfinished event is dropped"),
        pytest.param([b"data: a\n\ndata: [DO"], [Event("a")], id="S6 an unfinished line is dropped"),
    ],
)
def test_bytes_become_events(pieces: list[bytes], expected: list[Event]) -> None:
    assert events(*pieces) == expected


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"data: " + b"x" * MAX_LINE_BYTES, id="S10 line"),
        pytest.param(b"data: " + b"x" * MAX_LINE_BYTES + b"\n", id="S10 ended line"),
        pytest.param((b"data: " + b"x" * 1000 + b"\n") * (MAX_EVENT_BYTES // 1000 + 1), id="S10 event"),
    ],
)
def test_what_is_larger_than_the_caps_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        events(data)


PIECES = st.lists(
    st.sampled_from(
        [
            *(b"\r", b"\n", b"\r\n", b"\n\n", b":", b" ", b"data", b"data: ", b"data:x", b"event: error"),
            *(b"\xef\xbb\xbf", b"\xe2\x82\xac", b"\xe2\x80\xa8", b"\xff", b"[DONE]", b"data: [DONE]\n"),
        ]
    ),
    max_size=30,
).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(data=st.one_of(PIECES, st.just(STREAM)), places=st.lists(st.integers(0, 2000), max_size=20))
def test_the_same_bytes_give_the_same_events_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert events(*cut(data, places)) == events(data)


@given(data=st.one_of(PIECES, st.just(STREAM)))
def test_single_bytes_give_the_same_events(data: bytes) -> None:
    assert events(*(bytes([byte]) for byte in data)) == events(data)


@given(
    st.one_of(
        st.binary(max_size=300),
        PIECES,
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["choices", "delta", "message", "content", "usage", "error", "prompt_tokens", "index"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
        ).map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n"),
    )
)
def test_any_bytes_give_an_answer_or_are_malformed(data: bytes) -> None:
    parser, answer = SseParser(), AnswerBuilder()
    try:
        for event in [*parser.feed(data), *parser.close()]:
            answer.add_event(event)
        answer.add_body(data.removeprefix(b"data: "))
    except MalformedAnswer:
        pass

    answer.text.encode()
    assert answer.usage is None or answer.usage.input_tokens >= 0
