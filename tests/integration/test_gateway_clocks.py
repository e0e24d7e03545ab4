import asyncio
import threading

import pytest
import uvloop

from patchmill.call.clocks import Clocks
from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.call.reply import Answered, CallOutcome, Rejected, Unknown
from patchmill.job.failure import FailureClass
from tests.support.answers import DONE, KEY, NOW, STREAM, USAGE, ask, delta, finish, plain, question, sse
from tests.support.raw_server import (
    Cut,
    Hold,
    Meet,
    Pause,
    RawServer,
    Script,
    chunk,
    chunked_head,
    response,
)

IN_FLIGHT = 200
LATE_MS = 4000  # what a busy machine may need for all of them; no other clock here ends so early
LIMIT_MS = 2000
# Connecting 200 times takes a busy machine a while, and is bounded in a test of its own.
SHORT = Clocks(connect_s=60.0, first_data_s=2.0, progress_s=2.0)
HEL = chunk(sse(delta("Hel")))
COMMENT = chunk(b": keep-alive\n\n")
END = chunk(b"")
ROLE = chunk(sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}))


def ask_often(
    url: str, times: int, *, clocks: Clocks, deadline_s: float = 60.0, stream: bool = True
) -> list[CallOutcome]:
    """Make so many calls at once with one client."""

    async def calls() -> list[CallOutcome]:
        gateway = Gateway(base_url=url, api_key=KEY, now=lambda: NOW, clocks=clocks)
        try:
            request = question(stream=stream)
            return await asyncio.gather(*(gateway.chat(request, deadline_s=deadline_s) for _ in range(times)))
        finally:
            await gateway.aclose()

    return uvloop.run(calls())


STALLS: dict[str, tuple[Script, str]] = {
    "first data: nothing": ([Hold()], ""),
    "first data: the head alone": ([chunked_head(), Hold()], ""),
    "first data: comments": ([chunked_head(), COMMENT, Hold()], ""),
    "progress: half an answer": ([chunked_head(), HEL, Hold()], "Hel"),
    "progress: comments do not count": ([chunked_head(), HEL, COMMENT, Hold()], "Hel"),
}


@pytest.mark.parametrize(("script", "partial"), STALLS.values(), ids=STALLS)
def test_s9_two_hundred_calls_that_stand_still_end_by_their_clock(script: Script, partial: str) -> None:
    with RawServer(script) as server:
        outcomes = ask_often(server.url, IN_FLIGHT, clocks=SHORT)
        server.wait_for(lambda it: len(it.requests) == it.connections == IN_FLIGHT)

    for outcome in outcomes:
        assert isinstance(outcome, Unknown)
        assert outcome.failure.failure is FailureClass.STALLED
        assert outcome.partial == partial
        # Each clock is counted from where it begins: the first data, or else the request's leaving.
        began_ms = outcome.timings.first_token_ms or outcome.timings.queue_ms
        assert LIMIT_MS - 10 <= outcome.timings.total_ms - began_ms < LIMIT_MS + LATE_MS


def test_two_hundred_calls_end_at_their_deadline() -> None:
    with RawServer([chunked_head(), HEL, Hold()]) as server:
        outcomes = ask_often(server.url, IN_FLIGHT, clocks=Clocks(), deadline_s=4.0)

    assert {type(outcome) for outcome in outcomes} == {Unknown}
    for outcome in outcomes:
        assert isinstance(outcome, Unknown)
        assert outcome.failure.failure is FailureClass.DEADLINE
        assert 4000 - 10 <= outcome.timings.total_ms < 4000 + LATE_MS


def test_two_hundred_connections_that_never_come_about_sent_nothing() -> None:
    with RawServer([Cut()]) as server:
        # A server that waits for the head of a request is never heard in a TLS handshake.
        url = server.url.replace("http://", "https://")
        outcomes = ask_often(url, IN_FLIGHT, clocks=Clocks(connect_s=2.0))

    for outcome in outcomes:
        assert isinstance(outcome, Rejected)
        assert outcome.failure.failure is FailureClass.CONNECT
        assert LIMIT_MS - 10 <= outcome.timings.total_ms < LIMIT_MS + LATE_MS
        assert outcome.timings.queue_ms == outcome.timings.total_ms


def test_the_wait_for_a_plain_answer_is_bounded_by_the_deadline_alone() -> None:
    with RawServer([Hold()]) as server:
        [outcome] = ask_often(server.url, 1, clocks=SHORT, deadline_s=3.0, stream=False)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.DEADLINE


def test_a_plain_answer_that_began_may_not_stand_still() -> None:
    head = response(plain())
    with RawServer([head[:-20], Hold()]) as server:
        [outcome] = ask_often(server.url, 1, clocks=SHORT, stream=False)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.STALLED


def test_s6_an_answer_that_lacks_only_its_end_mark_is_not_waited_for_long() -> None:
    whole = STREAM.removesuffix(DONE)
    with RawServer([chunked_head(), chunk(whole), Hold()]) as server:
        [outcome] = ask_often(server.url, 1, clocks=Clocks())

    assert isinstance(outcome, Answered)
    assert outcome.anomalies == ("no_done",)
    assert outcome.timings.total_ms < 10_000


def test_a_refusal_whose_body_stands_still_is_a_refusal_soon() -> None:
    with RawServer([response(b"x" * 99, status="500 X")[:-9], Hold()]) as server:
        [outcome] = ask_often(server.url, 1, clocks=Clocks())

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.SERVER
    assert outcome.timings.total_ms < 10_000


def test_progress_is_counted_from_the_last_event() -> None:
    async def slow_answer(server: RawServer) -> CallOutcome:
        gateway = Gateway(base_url=server.url, api_key=KEY, now=lambda: NOW, clocks=SHORT)
        try:
            return await gateway.chat(question(stream=True), deadline_s=20)
        finally:
            await gateway.aclose()

    pieces: Script = [chunk(sse(delta("x"))), Pause(0.3)] * 5
    with RawServer([chunked_head(), *pieces, chunk(STREAM), chunk(b"")]) as server:
        outcome = uvloop.run(slow_answer(server))

    assert isinstance(outcome, Answered)
    assert outcome.timings.total_ms > 1400


def test_the_first_token_is_told_once_where_the_call_is_waited_for_and_before_its_end() -> None:
    told: list[str] = []
    meeting = Meet(2)
    script: Script = [
        chunked_head(),
        ROLE,
        COMMENT,
        HEL,
        meeting,
        chunk(sse(finish(usage=USAGE)) + DONE),
        END,
    ]
    with RawServer(script) as server:
        loop = CallLoop(Gateway(base_url=server.url, api_key=KEY, now=lambda: NOW), limit=1)
        loop.start()

        def note() -> None:
            told.append(threading.current_thread().name)
            server.arrive(meeting)

        try:
            # The rest of the answer is sent only once the first token was told.
            outcome = loop.call(question(stream=True), deadline_s=10, on_first_token=note)
        finally:
            loop.stop()

    assert isinstance(outcome, Answered)
    assert told == [threading.current_thread().name]


def test_a_failing_note_of_the_first_token_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("no room for notes")

    async def call(server: RawServer) -> CallOutcome:
        gateway = Gateway(base_url=server.url, api_key=KEY, now=lambda: NOW)
        try:
            return await gateway.chat(question(stream=True), deadline_s=10, on_first_token=fail)
        finally:
            await gateway.aclose()

    with RawServer([chunked_head(), chunk(STREAM), END]) as server:
        outcome = uvloop.run(call(server))

    assert isinstance(outcome, Answered)
    assert "no room for notes" in caplog.text


def test_queue_time_ends_when_the_request_leaves() -> None:
    with RawServer([response(plain())]) as server:
        first, second = ask(server.url, times=2)

    for outcome in (first, second):
        assert 0 <= outcome.timings.queue_ms <= outcome.timings.total_ms
