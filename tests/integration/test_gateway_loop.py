import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest

from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop, CallLoopStopped, Slots
from patchmill.call.reply import Answered, Rejected, Unknown
from patchmill.job.failure import FailureClass
from tests.support.answers import KEY, USAGE, delta, open_gateway, plain, question, sse
from tests.support.raw_server import Hold, Meet, RawServer, Script, chunk, chunked_head, response


@contextmanager
def running(server: RawServer, *, limit: int = 100) -> Iterator[CallLoop]:
    loop = CallLoop(open_gateway(server.url), limit=limit)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


def test_threads_make_their_calls_on_one_loop() -> None:
    with RawServer([Meet(20), response(plain())]) as server, running(server) as loop:
        loop.start()
        with ThreadPoolExecutor(20) as threads:
            calls = [threads.submit(loop.call, question(stream=False), deadline_s=10) for _ in range(20)]
            outcomes = [call.result() for call in calls]

    assert [type(outcome) for outcome in outcomes] == [Answered] * 20


def test_a_stop_ends_what_runs_as_unknown() -> None:
    with RawServer([Hold()]) as server, ThreadPoolExecutor(1) as threads:
        with running(server) as loop:
            call = threads.submit(loop.call, question(stream=False), deadline_s=30)
            server.wait_for(lambda it: len(it.requests) == 1)
        outcome = call.result(5)
        assert server.client_closed.wait(5)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.CANCELLED


def test_a_stop_keeps_what_came_of_an_answer() -> None:
    half: Script = [chunked_head(), chunk(sse(delta("Hel", usage=USAGE))), Hold()]
    told = threading.Event()
    with RawServer(half) as server, ThreadPoolExecutor(1) as threads:
        with running(server) as loop:
            call = threads.submit(loop.call, question(stream=True), deadline_s=30, on_first_token=told.set)
            assert told.wait(5)
        outcome = call.result(5)

    assert isinstance(outcome, Unknown)
    assert outcome.failure.failure is FailureClass.CANCELLED
    assert outcome.partial == "Hel"
    assert outcome.usage is not None


def test_a_call_that_is_given_up_before_it_was_sent_is_not_billed() -> None:
    with RawServer([Hold()]) as server, ThreadPoolExecutor(1) as threads:
        # The server waits for the head of a request, which does not come before the handshake's end.
        loop = CallLoop(open_gateway(server.url.replace("http://", "https://")), limit=1)
        loop.start()
        call = threads.submit(loop.call, question(stream=True), deadline_s=30)
        server.wait_for_connection()
        loop.stop()
        outcome = call.result(5)

    assert isinstance(outcome, Rejected)
    assert outcome.failure.failure is FailureClass.CONNECT


def test_a_stopped_loop_refuses_calls_at_once() -> None:
    with RawServer([response(plain())]) as server:
        with running(server) as loop:
            pass
        loop.stop()
        with pytest.raises(CallLoopStopped) as refused:
            loop.call(question(stream=False), deadline_s=5)
        with pytest.raises(CallLoopStopped):
            loop.start()

    assert not refused.value.may_be_billed


def test_a_loop_that_never_started_refuses_calls_and_stops() -> None:
    loop = CallLoop(open_gateway("http://127.0.0.1:1"), limit=1)
    with pytest.raises(CallLoopStopped):
        loop.call(question(stream=False), deadline_s=5)
    loop.stop()


def test_a_dead_loop_thread_leaves_no_call_waiting() -> None:
    def deadly_clock() -> datetime:
        raise SystemExit

    with RawServer([Hold()], [response(b"", status="500 X")]) as server, ThreadPoolExecutor(2) as threads:
        loop = CallLoop(Gateway(base_url=server.url, api_key=KEY, now=deadly_clock), limit=2)
        loop.start()
        waiting = threads.submit(loop.call, question(stream=False), deadline_s=30)
        server.wait_for(lambda it: len(it.requests) == 1)
        deadly = threads.submit(loop.call, question(stream=False), deadline_s=30)

        outcome = waiting.result(10)
        with pytest.raises(CallLoopStopped) as ended:
            deadly.result(10)
        with pytest.raises(CallLoopStopped):
            loop.call(question(stream=False), deadline_s=30)
        loop.stop()

    assert isinstance(outcome, Unknown)
    assert ended.value.may_be_billed


def test_an_error_in_a_call_is_raised_where_it_is_waited_for() -> None:
    with RawServer([response(plain())]) as server, running(server) as loop:
        with pytest.raises(UnicodeEncodeError):
            loop.call(question(stream=False, content="\ud800"), deadline_s=5)

        assert isinstance(loop.call(question(stream=False), deadline_s=5), Answered)


def test_a_slot_is_refused_when_none_comes_free_in_time() -> None:
    with RawServer([response(plain())]) as server, running(server, limit=1) as loop:
        with loop.slot(1) as first, loop.slot(0.05) as second:
            assert (first, second, loop.slots.used) == (True, False, 1)
        with loop.slot(0) as third:
            assert third


def test_a_raised_limit_admits_who_waits() -> None:
    with RawServer([response(plain())]) as server, running(server, limit=0) as loop:
        threads = ThreadPoolExecutor(1)
        waiting = threads.submit(loop.slots.acquire, 10)
        loop.set_limit(1)
        assert waiting.result(5)
        threads.shutdown()


def test_a_lowered_limit_takes_nothing_and_admits_nobody() -> None:
    slots = Slots(2)
    assert slots.acquire(0)
    assert slots.acquire(0)
    slots.set_limit(1)
    slots.release()

    assert (slots.used, slots.limit) == (1, 1)
    assert not slots.acquire(0.01)


def test_waiters_are_served_in_order_of_arrival() -> None:
    slots = Slots(0)
    order: list[int] = []
    done = threading.Semaphore(0)

    def wait(number: int) -> None:
        assert slots.acquire(10)
        order.append(number)
        done.release()

    for number in range(5):
        threading.Thread(target=wait, args=(number,), daemon=True).start()
        deadline = time.monotonic() + 5
        while slots.waiting <= number:
            assert time.monotonic() < deadline
    for number in range(5):
        slots.set_limit(number + 1)
        assert done.acquire(timeout=5)

    assert order == [0, 1, 2, 3, 4]


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Slots(-1)
