import random
import signal
import threading
import time

import pytest
from sqlalchemy import Engine

from tests.fault.test_recovery import states, submit
from tests.support import invariants
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 20261122
JOBS = 60
FAULTS = ["503", "truncate", "429_concurrency", "stream_error", "html_200"]


def test_kills_and_faults_at_random_lose_nothing_and_buy_nothing_twice(stack: Stack, engine: Engine) -> None:
    rng = random.Random(SEED)
    stack.start_api()
    workers = [stack.start("worker") for _ in range(2)]
    stack.behave(latency_ms=300, faults=[{"fault": fault, "times": 4} for fault in FAULTS])
    submit(stack, JOBS)

    pause = threading.Event()
    end = time.monotonic() + 18
    while time.monotonic() < end:
        pause.wait(rng.uniform(3.0, 5.0))
        victim = rng.randrange(2)
        workers[victim].send_signal(signal.SIGKILL)
        workers[victim] = stack.start("worker")

    until(
        lambda: sum(states(engine).get(each, 0) for each in ("succeeded", "failed")) == JOBS, "all ended", 90
    )
    invariants.check(engine, stack.truth())
    codes = invariants.rows(engine, "SELECT DISTINCT error->>'code' FROM jobs WHERE state = 'failed'")
    assert {code for (code,) in codes} <= {"worker_lost"}
