import asyncio
import time

import pytest
import uvloop

from patchmill.call.gateway import Gateway
from patchmill.call.reply import Answered, CallOutcome, Rejected, Unknown
from patchmill.errors import ConfigurationError
from patchmill.job.failure import FailureClass
from tests.support.answers import NOW, STREAM, ask, delta, open_gateway, plain, question, sse
from tests.support.raw_server import Cut, Hold, Meet, RawServer, Reset, Script, chunk, chunked_head, response

SOON_S = 3.0  # in which also a machine that stands still for a moment has sent a request


def test_a_kept_connection_serves_the_next_call() -> None:
    with RawServer([response(plain())], [chunked_head(), chunk(STREAM), chunk(b"")]) as server:
        outcomes = [*ask(server.url, times=2, stream=True), *ask(server.url, stream=True)]
        assert (len(server.requests), server.connections) == (3, 2)

    assert all(isinstance(outcome, Answered) for outcome in outcomes)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("ending", [Cut(), Reset()], ids=["closed", "reset"])
def test_no_request_is_sent_twice_when_a_kept_connection_drops(ending: Cut | Reset, *, stream: bool) -> None:
    with RawServer([response(plain())], [ending], [response(plain())]) as server:
        answered, dropped = ask(server.url, times=2, stream=stream)
        assert len(server.requests) == 2

    assert isinstance(answered, Answered)
    assert isinstance(dropped, Unknown)
    assert dropped.failure.failure is FailureClass.BROKEN


def test_a_kept_connection_found_closed_ends_in_no_second_request() -> None:
    with RawServer([response(plain()), Cut()]) as server:
        _, outcome = ask(server.url, times=2)
        seen = len(server.requests)

    # Whether the closing was noticed before the write is a race that the server cannot steer: either nothing
    # was sent, or it may have been, or a new connection was used. Never two of them.
    match outcome:
        case Rejected():
            assert outcome.failure.failure is FailureClass.CONNECT
            assert seen == 1
        case Unknown():
            assert outcome.failure.failure is FailureClass.BROKEN
            assert seen == 1
        case Answered():
            assert seen == 2


def test_h10_a_refused_connection_sent_nothing() -> None:
    with RawServer([Cut()]) as server:
        url = server.url
    [outcome] = ask(url)

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.CONNECT
    assert outcome.status is None


def test_h10_a_failed_tls_handshake_sent_nothing() -> None:
    with RawServer([Cut()]) as server:
        # The server waits for the end of a request's head, which a handshake never has.
        [outcome] = ask(server.url.replace("http://", "https://"), deadline_s=SOON_S)
        assert server.requests == []

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.CONNECT


STALLED: dict[str, tuple[Script, str]] = {
    "S9 before the status": ([Hold()], ""),
    "S9 after the head": ([chunked_head(), Hold()], ""),
    "S9 in the middle": ([chunked_head(), chunk(sse(delta("Hel"))), Hold()], "Hel"),
    "S1 after comments": ([chunked_head(), chunk(b": keep-alive\n\n"), Hold()], ""),
}


@pytest.mark.parametrize(("script", "partial"), STALLED.values(), ids=STALLED)
def test_a_stalled_call_ends_at_its_deadline(script: Script, partial: str) -> None:
    with RawServer(script) as server:
        started_at = time.monotonic()
        [outcome] = ask(server.url, stream=True, deadline_s=SOON_S)
        took_s = time.monotonic() - started_at
        assert server.client_closed.wait(5)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.DEADLINE
    assert outcome.partial == partial
    assert 1000 * SOON_S - 10 <= outcome.timings.total_ms < 10_000
    assert took_s < 10


def test_an_answer_that_is_complete_at_the_deadline_counts() -> None:
    whole = STREAM.removesuffix(b"data: [DONE]\n\n")
    with RawServer([chunked_head(), chunk(whole), Hold()]) as server:
        [outcome] = ask(server.url, stream=True, deadline_s=SOON_S)

    assert isinstance(outcome, Answered)


def test_a_deadline_holds_while_the_request_is_still_leaving() -> None:
    with RawServer([Hold()], read_bodies=False) as server:
        started_at = time.monotonic()
        [outcome] = ask(server.url, content="x" * 1_000_000, deadline_s=SOON_S)
        took_s = time.monotonic() - started_at

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.DEADLINE
    assert took_s < 10


def test_an_early_refusal_counts_though_the_request_was_never_read() -> None:
    with RawServer([response(b"", status="413 Too Large"), Hold()], read_bodies=False) as server:
        started_at = time.monotonic()
        [outcome] = ask(server.url, content="x" * 1_000_000, deadline_s=20)
        took_s = time.monotonic() - started_at

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.REQUEST
    assert took_s < 15


def test_a_cancelled_call_closes_its_connection() -> None:
    async def cancel(server: RawServer) -> None:
        gateway = open_gateway(server.url)
        call = asyncio.create_task(gateway.chat(question(stream=True), deadline_s=20))
        await asyncio.to_thread(server.wait_for, lambda it: len(it.requests) == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        closed = await asyncio.to_thread(server.client_closed.wait, 5)
        await gateway.aclose()
        assert closed

    with RawServer([chunked_head(), chunk(sse(delta("Hel"))), Hold()]) as server:
        uvloop.run(cancel(server))


def test_a_hundred_calls_are_in_flight_at_once() -> None:
    async def together(server: RawServer) -> list[CallOutcome]:
        gateway = open_gateway(server.url)
        try:
            calls = (gateway.chat(question(stream=False), deadline_s=10) for _ in range(100))
            return await asyncio.gather(*calls)
        finally:
            await gateway.aclose()

    # No call is answered before all of them have arrived.
    with RawServer([Meet(100), response(plain())]) as server:
        outcomes = uvloop.run(together(server))
        assert len(server.requests) == 100

    assert [type(outcome) for outcome in outcomes] == [Answered] * 100


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("llm.example/v1", "sk-x"),
        ("http:///v1", "sk-x"),
        ("http://host:port/v1", "sk-x"),
        ("http://127.0.0.1", ""),
        ("http://127.0.0.1", "sk\r\nX: y"),
    ],
    ids=["no scheme", "no host", "no URL", "no key", "a key that would end its header"],
)
def test_what_cannot_work_is_refused_at_the_start(url: str, key: str) -> None:
    with pytest.raises(ConfigurationError):
        Gateway(base_url=url, api_key=key, now=lambda: NOW)
