"""The account's cap over two worker processes, as the stand-in sees it, while processes die and freeze."""

import math
import signal
import time
from typing import Any

import pytest
from sqlalchemy import Engine

from patchmill.queue.slots import SlotTimes
from tests.support import invariants
from tests.support.jobs import all_succeeded, post, states, submit, succeeded
from tests.support.load import declined, declining
from tests.support.stack import Stack, until
from worker.clock import window_for

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240)]

CAP = 6
JOBS = 120
SETTINGS = {"PATCHMILL_GATEWAY_CONCURRENCY": str(CAP)}


def start(stack: Stack, **settings: str) -> list[Any]:
    """Start two workers on jobs that are all there, however long it takes to submit them."""
    stack.settings |= SETTINGS | settings
    answer_after(stack, 300)
    stack.start_api()
    post(stack, *map(declined, range(JOBS)))
    return [stack.start("worker") for _ in range(2)]


def answer_after(stack: Stack, latency_ms: int) -> None:
    stack.behave(latency_ms=latency_ms, concurrency=CAP, script=declining())


def check_the_cap(truth: dict[str, Any]) -> None:
    assert truth["peak_in_flight"] <= CAP
    refused = sum(row["status"] == 429 for row in truth["rows"])
    assert refused <= len(truth["rows"]) / 100


def test_two_workers_fill_the_cap_and_never_pass_it(stack: Stack, engine: Engine) -> None:
    start(stack)
    until(lambda: all_succeeded(engine, JOBS), "all jobs succeeded")

    truth = stack.truth()
    check_the_cap(truth)
    assert truth["peak_in_flight"] == CAP
    invariants.check(engine, truth)


def test_the_slots_of_a_killed_worker_come_back(stack: Stack, engine: Engine) -> None:
    victim, _ = start(stack)
    until(lambda: succeeded(engine) >= 10, "the first jobs")
    victim.send_signal(signal.SIGKILL)
    victim.wait()

    until(lambda: slots_used(stack) == CAP, "all slots used by the other")
    until(lambda: succeeded(engine) == JOBS, "all jobs succeeded")
    check_the_cap(stack.truth())


def test_a_frozen_worker_starts_nothing_on_slots_that_were_given_away(stack: Stack, engine: Engine) -> None:
    frozen, _ = start(stack, PATCHMILL_LEASE_TTL_S="8", PATCHMILL_CALL_DEADLINE_S="60")
    until(lambda: succeeded(engine) >= 10, "the first jobs")
    answer_after(stack, 1500)  # so that the other has work for longer than a lease
    frozen.send_signal(signal.SIGSTOP)
    until(lambda: slots_used(stack) < CAP, "the frozen one holds slots")
    # What the frozen one has claimed without a call comes back after its lease of 8 s.
    until(lambda: slots_used(stack) == CAP, "all slots used by the other", 90)
    frozen.send_signal(signal.SIGCONT)
    answer_after(stack, 300)

    until(lambda: succeeded(engine) == JOBS, "all jobs succeeded")
    check_the_cap(stack.truth())


def test_after_a_refusal_fewer_calls_are_made_and_fewer_jobs_dispatched(stack: Stack, engine: Engine) -> None:
    stack.settings |= {"PATCHMILL_GATEWAY_CONCURRENCY": "20", "PATCHMILL_CALL_DEADLINE_S": "60"}
    stack.start_api()
    stack.start("worker")
    began = time.monotonic()
    stack.behave(faults=[{"fault": "429_concurrency"}])
    [refused] = submit(stack, 1)
    assert stack.ended(refused)["state"] == "succeeded"
    stack.behave(faults=[{"fault": "hold", "times": 60}])
    submit(stack, 60)

    until(lambda: slots_used(stack) >= 10, "ten calls")
    truth, counted = stack.truth(), states(engine)
    with stack.http() as http:
        limit = http.get("/v1/stats").json()["slots"]["limit"]
    most = 10 + math.ceil((time.monotonic() - began) / SlotTimes().grow_s)  # of twenty
    assert 10 <= limit <= most
    assert truth["in_flight"] <= most
    assert counted.get("dispatched", 0) + counted["running"] <= window_for(most)
    stack.behave()
    stack.release()


def slots_used(stack: Stack) -> int:
    """How many calls the stand-in has in flight."""
    used: int = stack.truth()["in_flight"]
    return used
