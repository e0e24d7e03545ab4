import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchmill.call.reply import Answered, Rejected, Unknown
from patchmill.call.request import JsonObject, request_body
from patchmill.job.failure import FailureClass
from tests.support.answers import (
    DONE,
    KEY,
    NOW,
    STREAM,
    USAGE,
    ask,
    delta,
    finish,
    plain,
    question,
    sse,
    usage_chunk,
)
from tests.support.raw_server import Cut, Hold, RawServer, Reset, Script, chunk, chunked_head, response

END = chunk(b"")
SPLIT = [chunk(STREAM[place : place + 7]) for place in range(0, len(STREAM), 7)]
CONTENT = sse(delta("Hello"))
FINISH = sse(finish())
TOLD = sse(usage_chunk())


def test_a_plain_answer_arrives_whole() -> None:
    body = plain(model="deepseek-v4-flash-0901", system_fingerprint="fp_1")
    with RawServer([response(body, more="X-Request-Id: req-7\r\n")]) as server:
        [outcome] = ask(server.url)

    assert isinstance(outcome, Answered)
    assert (outcome.text, outcome.finish_reason) == ("Hello", "stop")
    assert outcome.usage is not None
    assert outcome.usage.raw == USAGE
    assert outcome.returned_model == "deepseek-v4-flash-0901"
    assert outcome.gateway_request_id == "req-7"
    assert not outcome.stand_in
    assert outcome.timings.first_token_ms is None
    assert 0 <= outcome.timings.total_ms < 5000


def test_the_stand_in_is_known_by_its_fingerprint() -> None:
    with RawServer([response(plain(system_fingerprint="stand-in"))]) as server:
        [outcome] = ask(server.url)

    assert isinstance(outcome, Answered)
    assert outcome.stand_in
    assert outcome.gateway_request_id == "chat-1"


def test_the_request_is_sent_to_the_letter() -> None:
    with RawServer([chunked_head(), chunk(STREAM), END]) as server:
        ask(server.url, stream=True, content="é\u2028")
        [received] = server.requests

    head = received.head.lower()
    assert head.startswith("post /v1/chat/completions http/1.1\r\n")
    assert f"\r\nauthorization: bearer {KEY}\r\n" in head
    assert "\r\ncontent-type: application/json\r\n" in head
    assert "cookie" not in head
    assert (
        received.body
        == (
            '{"model":"deepseek-v4-flash","messages":[{"role":"user","content":"é\u2028"}],'
            '"max_tokens":64,"stream":true,"stream_options":{"include_usage":true}}'
        ).encode()
    )


ACCEPTED: dict[str, Script] = {
    "S2 many chunks of seven bytes": [chunked_head(), *SPLIT, END],
    "S5 DONE and a socket left open": [chunked_head(), chunk(STREAM), Hold()],
    "S5 DONE and a dropped connection": [chunked_head(), chunk(STREAM), Reset()],
    "S6 no DONE, ended well": [chunked_head(), chunk(CONTENT + FINISH + TOLD), END],
    "S6 no DONE, ended ill": [chunked_head(), chunk(CONTENT + FINISH + TOLD), Cut()],
    "S1 comments before and between": [
        chunked_head(),
        *(chunk(b": keep-alive\n\n") for _ in range(3)),
        chunk(CONTENT + b": PROCESSING\n\n" + FINISH + TOLD + DONE),
        END,
    ],
    "H7 a stream without a content type": [response(STREAM, content_type=None)],
    "H8 blank lines before the body": [response(b"\n\n\n" + plain())],
    "H11 gzip": [
        response(gzip.compress(STREAM), content_type="text/event-stream", more="Content-Encoding: gzip\r\n")
    ],
    "a plain answer where a stream was asked for": [response(plain())],
    "a body that ends with its connection": [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + STREAM,
        Cut(),
    ],
    "an interim response": [b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(plain())],
}


@pytest.mark.parametrize("script", ACCEPTED.values(), ids=ACCEPTED)
def test_an_answer_is_complete_whatever_the_wire_did(script: Script) -> None:
    with RawServer(script) as server:
        [outcome] = ask(server.url, stream=True)

    assert isinstance(outcome, Answered)
    assert (outcome.text, outcome.finish_reason) == ("Hello", "stop")
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 20


def test_the_first_token_is_timed() -> None:
    with RawServer([chunked_head(), chunk(STREAM), END]) as server:
        [outcome] = ask(server.url, stream=True)

    assert outcome.timings.first_token_ms is not None
    assert 0 <= outcome.timings.first_token_ms <= outcome.timings.total_ms


def test_c2_an_answer_without_usage_says_so() -> None:
    with RawServer([chunked_head(), chunk(CONTENT + FINISH + DONE), END]) as server:
        [outcome] = ask(server.url, stream=True)

    assert isinstance(outcome, Answered)
    assert outcome.usage is None


BROKEN_STREAMS: dict[str, tuple[Script, str]] = {
    "S6 cut in order": ([chunked_head(), chunk(CONTENT), END], "Hello"),
    "S6 cut after the finish reason": ([chunked_head(), chunk(CONTENT + FINISH), END], "Hello"),
    "S6 cut within a chunk": ([chunked_head(), chunk(CONTENT)[:-9], Cut()], ""),
    "S6 connection reset": ([chunked_head(), chunk(CONTENT), Reset()], "Hello"),
    "S8 plain text as data": ([chunked_head(), chunk(CONTENT + b"data: oops\n\n" + DONE), END], "Hello"),
    "S8 plain text lines": ([chunked_head(), chunk(b"upstream connect error\n"), END], ""),
    "S10 an endless line": ([chunked_head(), *[chunk(b"x" * 65536)] * 20, END], ""),
    "S10 an endless answer": ([chunked_head(), *[chunk(b": " + b"x" * 65536 + b"\n")] * 70, END], ""),
    "H7 HTML": ([response(b"<html>", content_type="text/html")], ""),
    "H11 gzip that is none": (
        [response(STREAM, content_type="text/event-stream", more="Content-Encoding: gzip\r\n")],
        "",
    ),
    "H10 cut before the status": ([Cut()], ""),
    "H10 reset before the status": ([Reset()], ""),
    "H10 cut in the head": ([b"HTTP/1.1 200 OK\r\nContent-", Cut()], ""),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Cut()], ""),
    "an error that more follows": (
        [chunked_head(), chunk(CONTENT + sse({"error": {"code": "x"}}) + FINISH + TOLD + DONE), END],
        "Hello",
    ),
    "an error cut off": ([chunked_head(), chunk(CONTENT + sse({"error": {"code": "x"}})), Reset()], "Hello"),
}


@pytest.mark.parametrize(("script", "partial"), BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
def test_a_broken_stream_is_unknown_and_keeps_what_came(script: Script, partial: str) -> None:
    with RawServer(script) as server:
        [outcome] = ask(server.url, stream=True)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.BROKEN
    assert outcome.partial == partial


def test_h11_a_body_framed_wrongly_is_unknown_by_its_deadline_at_the_latest() -> None:
    # The HTTP library reports this at once only if it came in one read with the head.
    with RawServer([chunked_head(), b"zz\r\n", Cut()]) as server:
        [outcome] = ask(server.url, stream=True, deadline_s=0.5)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure in {FailureClass.BROKEN, FailureClass.DEADLINE}


def test_usage_seen_before_a_break_is_kept() -> None:
    with RawServer([chunked_head(), chunk(sse(delta("Hello", usage=USAGE))), Reset()]) as server:
        [outcome] = ask(server.url, stream=True)

    assert isinstance(outcome, Unknown)
    assert outcome.usage is not None


BROKEN_BODIES: dict[str, Script] = {
    "H7 HTML": [response(b"<html><body>ok</body></html>", content_type="text/html")],
    "H7 text": [response(b"ok", content_type="text/plain")],
    "H7 empty": [response(b"")],
    "H7 blank": [response(b"  \n")],
    "H7 null": [response(b"null")],
    "H7 truncated JSON": [response(plain()[:-5])],
    "H7 no content type": [response(b"ok", content_type=None)],
    "H7 no content": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "H9 error": [response(json.dumps({"error": {"code": "invalid_param", "message": "no"}}).encode())],
    "H9 error as text": [response(b'{"error": "no"}')],
    "H9 choices empty": [response(b'{"choices": []}')],
    "H9 choices absent": [response(b"{}")],
    "H11 body ends early": [response(plain() + b" " * 9)[:-9], Cut()],
    "larger than four MiB": [response(plain("x" * 4_200_000))],
}


@pytest.mark.parametrize("script", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_a_plain_200_that_is_no_answer_is_unknown(script: Script) -> None:
    with RawServer(script) as server:
        [outcome] = ask(server.url)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.BROKEN
    assert len(outcome.failure.message) <= 300


ERROR_FRAME = sse({"error": {"code": "concurrency_limit", "message": f"busy {KEY}"}})


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(ERROR_FRAME, FailureClass.CONCURRENCY, id="S7 before any content"),
        pytest.param(CONTENT + ERROR_FRAME, FailureClass.CONCURRENCY, id="S7 after content"),
        pytest.param(CONTENT + ERROR_FRAME + DONE, FailureClass.CONCURRENCY, id="S7 before DONE"),
        pytest.param(CONTENT + sse({"error": "overloaded"}), FailureClass.SERVER, id="S7 a string"),
        pytest.param(b"event: error\ndata: x\n\n", FailureClass.SERVER, id="S7 an event named error"),
    ],
)
def test_an_error_that_ends_a_stream_is_not_billed(frames: bytes, expected: FailureClass) -> None:
    with RawServer([chunked_head(), chunk(frames), END]) as server:
        [outcome] = ask(server.url, stream=True)

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is expected
    assert KEY not in outcome.failure.message


def refusal(status: str, code: str | None, more: str = "") -> bytes:
    body = {"error": {"type": "invalid_request_error", "code": code, "message": "said so"}}
    return response(json.dumps(body).encode(), status=status, more=more)


REFUSED: dict[str, tuple[Script, FailureClass, float | None]] = {
    "H1 400": ([refusal("400 Bad Request", "context_length_exceeded")], FailureClass.CONTEXT_TOO_LONG, None),
    "H1 401": ([refusal("401 Unauthorized", "invalid_api_key")], FailureClass.ACCOUNT, None),
    "H1 403": ([refusal("403 Forbidden", "model_not_in_group")], FailureClass.MODEL, None),
    "H2 concurrency": (
        [refusal("429 X", "concurrency_limit", "Retry-After: 2\r\n")],
        FailureClass.CONCURRENCY,
        2.0,
    ),
    "H2 spend cap": (
        [refusal("429 X", "rate_limit_error", f"X-RateLimit-Reset: {NOW.timestamp() + 90:.0f}\r\n")],
        FailureClass.SPEND_CAP,
        90.0,
    ),
    "H3 HTML": ([response(b"<html>", status="502 X", content_type="text/html")], FailureClass.SERVER, None),
    "H3 with a wait": ([refusal("503 X", None, "Retry-After: 1\r\n")], FailureClass.SERVER, 1.0),
    "H3 body cut": ([response(b"x" * 99, status="500 X")[:-9], Reset()], FailureClass.SERVER, None),
    "H3 endless body": ([response(b"x" * 999_999, status="500 X")], FailureClass.SERVER, None),
    "H11 redirect": (
        [response(b"", status="307 X", more="Location: http://127.0.0.1:1/\r\n")],
        FailureClass.SERVER,
        None,
    ),
}


@pytest.mark.parametrize(("script", "expected", "wait_s"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_refusal_is_not_billed(
    script: Script, expected: FailureClass, wait_s: float | None, *, stream: bool
) -> None:
    with RawServer(script) as server:
        [outcome] = ask(server.url, stream=stream)
        assert len(server.requests) == 1

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is expected
    assert outcome.failure.retry_after_s == wait_s
    assert outcome.status is not None


def test_h4_a_408_may_hide_a_billed_call() -> None:
    with RawServer([response(b"", status="408 Request Timeout")]) as server:
        [outcome] = ask(server.url)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.BROKEN


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(response),
        st.binary(max_size=200).map(lambda body: chunked_head() + body),
        st.integers(0, len(STREAM) - len(TOLD + DONE)).map(lambda n: chunked_head() + chunk(STREAM[:n])),
        st.integers(100, 599).map(lambda status: f"HTTP/1.1 {status} X\r\n\r\n".encode()),
    ),
    stream=st.booleans(),
)
def test_any_bytes_end_in_an_outcome_that_is_no_answer(data: bytes, *, stream: bool) -> None:
    with RawServer([data, Cut()]) as server:
        [outcome] = ask(server.url, stream=stream, deadline_s=0.5)

    assert isinstance(outcome, Rejected | Unknown)


def test_the_request_holds_a_response_format_when_one_is_asked_for() -> None:
    asked = replace(question(stream=False), response_format=JsonObject())

    assert json.loads(request_body(asked))["response_format"] == {"type": "json_object"}
    assert "response_format" not in json.loads(request_body(question(stream=False)))
