import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest

from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop, CallLoopStopped
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

    died = threading.Event()
    with RawServer([Hold()], [response(b"", status="500 X")]) as server, ThreadPoolExecutor(2) as threads:
        gateway = Gateway(base_url=server.url, api_key=KEY, now=deadly_clock)
        loop = CallLoop(gateway, limit=2, on_death=died.set)
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
    assert died.is_set()


def test_an_error_in_a_call_is_raised_where_it_is_waited_for() -> None:
    with RawServer([response(plain())]) as server, running(server) as loop:
        with pytest.raises(UnicodeEncodeError):
            loop.call(question(stream=False, content="\ud800"), deadline_s=5)

        assert isinstance(loop.call(question(stream=False), deadline_s=5), Answered)


def test_a_slot_is_refused_when_none_comes_free_in_time() -> None:
    with RawServer([response(plain())]) as server, running(server, limit=1) as loop:
        with loop.slot(1) as first, loop.slot(0.05) as second:
            assert first is not None
            assert (second, loop.slots.used) == (None, 1)
        with loop.slot(0) as third:
            assert third is not None


def test_the_end_of_a_call_frees_its_slot_before_its_thread_goes_on() -> None:
    with RawServer([response(plain())]) as server, running(server, limit=1) as loop, loop.slot(1) as slot:
        loop.call(question(stream=False), deadline_s=5, slot=slot)
        assert loop.slots.used == 0
        with loop.slot(0) as second:
            assert second is not None
    assert loop.slots.used == 0


def test_a_call_whose_slot_ran_out_before_it_began_is_not_sent() -> None:
    with RawServer([response(plain())]) as server, running(server, limit=1) as loop, loop.slot(1) as slot:
        loop.slots.set_limit(1, valid_until=time.monotonic())  # the process stands still, or Redis is away
        loop.slots.set_limit(1)
        outcome = loop.call(question(stream=False), deadline_s=5, slot=slot)

        assert isinstance(outcome, Rejected)
        assert outcome.failure.failure is FailureClass.NOT_SENT
        assert (len(server.requests), loop.slots.used) == (0, 0)


def test_a_refusal_for_want_of_a_slot_is_kept_with_the_mark_of_its_time() -> None:
    busy = response(json.dumps({"error": {"code": "concurrency_limit"}}).encode(), status="429 X")
    with RawServer([busy], [busy]) as server, running(server, limit=1) as loop:
        loop.slots.set_limit(1, mark="first")
        with loop.slot(1) as slot:
            loop.slots.set_limit(1, mark="second")
            loop.call(question(stream=False), deadline_s=5, slot=slot)
        assert loop.slots.report().refused is None
        with loop.slot(1) as slot:
            loop.call(question(stream=False), deadline_s=5, slot=slot)
        assert loop.slots.report().refused == "second"
