import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.call.body import MAX_ANSWER_BYTES, BodyReader
from patchmill.call.stream import MalformedAnswer
from patchmill.call.tool_calls import BadToolCall
from tests.support.answers import DONE, STREAM, delta, finish, plain, sse, usage_chunk


def call_chunk(arguments: str, **more: object) -> dict[str, Any]:
    call = {"index": 0, "function": {"arguments": arguments}, **more}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}


def thought(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": None, "reasoning_content": text}}]}


# Reasoning, content and a tool call, with line ends of every kind and characters of several bytes.
RICH = (
    b"\xef\xbb\xbf: hello\r\n\r\n"
    + sse(thought("Hm, ü"))
    + sse(delta("Grüße "), end="\r\n\r\n")
    + sse(thought(" €."))
    + sse(call_chunk("", id="c1", function={"name": "look", "arguments": '{"pl'}))
    + sse(call_chunk('ace": "Zür'), end="\r\r")
    + sse(call_chunk('ich"}'))
    + sse(finish("tool_calls"))
    + sse(usage_chunk())
)
PLAIN = b"\n\n " + plain(
    "Grüße", model="m", more="\u2028" * 3, system_fingerprint="fp", reason="stop"
).replace(b"\\u00fc", "ü".encode())


def read(*pieces: bytes) -> BodyReader:
    reader = BodyReader()
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    return reader


def said(reader: BodyReader) -> tuple[Any, ...]:
    answer = reader.answer
    calls = [(call.id, call.name, dict(call.arguments)) for call in answer.tool_calls.built()]
    return answer.text, answer.reasoning, calls, answer.finish_reason, answer.usage, answer.complete


def cut(data: bytes, places: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(places), len(data)])]


WHOLE = {"rich": RICH + DONE, "stream": STREAM, "plain": PLAIN}


def test_a_stream_may_hold_reasoning_content_and_calls() -> None:
    text, reasoning, calls, reason, usage, complete = said(read(RICH + DONE))

    assert (text, reasoning, reason) == ("Grüße ", "Hm, ü €.", "tool_calls")
    assert calls == [("c1", "look", {"place": "Zürich"})]
    assert usage is not None
    assert complete


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_bytes_that_come_one_by_one_say_the_same(data: bytes) -> None:
    assert said(read(*cut(data, list(range(1, len(data)))))) == said(read(data))


@given(name=st.sampled_from(sorted(WHOLE)), places=st.lists(st.integers(0, 2000), max_size=12))
def test_any_chunking_says_the_same(name: str, places: list[int]) -> None:
    data = WHOLE[name]

    assert said(read(*cut(data, [min(place, len(data)) for place in places]))) == said(read(data))


# An end mark counts from its last byte on, and a stream without one from the usage after the finish reason.
@given(st.integers(0, len(RICH) - 1 - len(b"\n")))
def test_no_truncated_stream_is_ever_complete(length: int) -> None:
    reader = BodyReader()
    reader.feed(RICH[:length])
    try:
        reader.close()
    except MalformedAnswer:
        return
    assert not reader.answer.complete


@given(st.integers(0, len(PLAIN) - 1))
def test_no_truncated_body_is_ever_an_answer(length: int) -> None:
    with pytest.raises(MalformedAnswer):
        read(PLAIN[:length])


@given(st.integers(0, len(RICH) - 1), st.binary(min_size=1, max_size=8))
def test_a_stream_with_noise_in_it_is_read_or_refused(place: int, noise: bytes) -> None:
    try:
        said(read(RICH[:place] + noise + RICH[place:] + DONE))
    except (MalformedAnswer, BadToolCall):
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON,
        "reasoning_content": JSON,
        "tool_calls": st.lists(
            st.fixed_dictionaries({}, optional={"id": JSON, "index": JSON, "function": JSON}), max_size=2
        ),
    },
)
CHOICES = st.fixed_dictionaries(
    {}, optional={"index": JSON, "delta": PARTS | JSON, "message": PARTS | JSON, "finish_reason": JSON}
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "model": JSON,
        "choices": st.lists(CHOICES, max_size=2) | JSON,
        "usage": JSON,
        "error": st.none() | JSON,
    },
)


@given(st.lists(CHUNKS, max_size=4), st.booleans())
def test_any_chunks_are_read_or_refused(chunks: list[Any], streamed: bool) -> None:  # noqa: FBT001 - drawn
    frames = [json.dumps(chunk).encode() for chunk in chunks]
    data = b"".join(b"data: " + frame + b"\n\n" for frame in frames) + DONE if streamed else b"".join(frames)
    try:
        said(read(data))
    except (MalformedAnswer, BadToolCall):
        return


@pytest.mark.parametrize(
    ("data", "streamed"),
    [
        pytest.param(b'  \n{"choices": []', False, id="an object"),
        pytest.param(b"\xef\xbb\xbf\n[", False, id="a list, after a byte order mark"),
        pytest.param(b"data: {", True, id="an event"),
        pytest.param(b": keep-alive", True, id="a comment"),
        pytest.param(b"<html>", True, id="a page, which has no event"),
        pytest.param(b"\xef\xbb", None, id="half a byte order mark"),
        pytest.param(b"\n\r\n ", None, id="blanks"),
    ],
)
def test_the_beginning_tells_a_stream_from_a_document(data: bytes, *, streamed: bool | None) -> None:
    reader = BodyReader()
    reader.feed(data)

    assert reader.streamed is streamed


def test_signs_of_life_are_no_data() -> None:
    reader = BodyReader()

    fed = [b"\n", b": keep-alive\n\n", b"event: ping\n\n", b"data: ", b'{"choices": []}', b"\n\n", b": x\n"]
    assert [reader.feed(piece) for piece in fed] == [False, False, False, False, False, True, False]


def test_an_answer_that_is_too_large_is_refused() -> None:
    reader = BodyReader()
    reader.feed(b": x\n" * (MAX_ANSWER_BYTES // 4))

    with pytest.raises(MalformedAnswer):
        reader.feed(b"\n")
