"""Every message comes three times, out of order and late: no job is done twice, and no call is made twice."""

import heapq
import threading
import time
from typing import Any

import pytest
import redis
from sqlalchemy import Engine

from patchmill.queue.app import QUEUES
from tests.support import faults, invariants
from tests.support.faults import Told
from tests.support.load import Load, declining
from tests.support.repeating_worker import HELD
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(180)),
]

TIMES = 3
JOBS = faults.of_scale(60, 1_500)
PER_S = 12
LATE_S = faults.of_scale(4, 60)  # far beyond the lease, so that what was sent is given up and sent anew
AT_ONCE = 0.3  # of the copies come so
# A call is void that was not sent, since on a busy machine the lease had run out by then.
MADE = """
    SELECT made, count(*) FROM (
        SELECT count(*) FILTER (WHERE state <> 'void') AS made FROM calls GROUP BY job_id
    ) each GROUP BY 1
"""


class Postman:
    """Takes each message aside and delivers it three times, at times of its own, from a thread."""

    def __init__(self, redis_url: str) -> None:
        self._rng = faults.chance("messages")
        self._redis = redis.Redis.from_url(redis_url)
        self._due: list[tuple[float, float, str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman")
        self.taken = 0
        self.delivered = 0
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether everything that was taken was delivered three times."""
        return self.delivered == TIMES * self.taken

    def stop(self) -> None:
        """Deliver no more."""
        self._stop.set()
        self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            for queue in QUEUES:
                self._take(queue)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, queue, message = heapq.heappop(self._due)
                self._redis.lpush(queue, message)
                self.delivered += 1

    def _take(self, queue: str) -> None:
        messages = self._redis.rpop(HELD + queue, 100)
        for message in messages if isinstance(messages, list) else []:
            self.taken += 1
            for _ in range(TIMES):
                late = self._rng.random() >= AT_ONCE
                at = time.monotonic() + (self._rng.uniform(0, LATE_S) if late else 0)
                heapq.heappush(self._due, (at, self._rng.random(), queue, message))


def test_messages_that_come_thrice_out_of_order_and_late_make_no_call_more(
    stack: Stack, engine: Engine
) -> None:
    stack.behave(latency_ms=200, script=declining())
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "30"  # a busy machine ends no call
    stack.start_api()
    workers = [stack.start("tests.support.repeating_worker") for _ in range(2)]
    postman = Postman(stack.redis_url)
    try:
        with Load(stack, per_s=PER_S) as load:
            until(lambda: len(load.accepted) >= JOBS, f"{JOBS} jobs accepted", faults.timeout_s(120))
        until(
            lambda: postman.done and invariants.open_jobs(engine) == 0,
            "all ended and every copy delivered",
            faults.timeout_s(120),
        )
        with redis.Redis.from_url(stack.redis_url) as client:
            until(lambda: not any(client.llen(queue) for queue in QUEUES), "the last copies taken")
    finally:
        postman.stop()
    for worker in workers:
        worker.terminate()
        worker.wait(60)

    jobs = len(load.accepted)
    truth = stack.truth()
    invariants.check(engine, truth, load.accepted)
    assert truth["requests"] == jobs
    assert invariants.rows(engine, MADE) == [(1, jobs)]
    claims = invariants.rows(engine, "SELECT count(*) FROM attempts")[0][0]
    assert postman.delivered >= TIMES * jobs
    faults.tell(
        Told(
            broke="every message comes three times, out of order and late",
            often=f"{postman.delivered:,} messages, most of them up to {LATE_S} s late",
            jobs=jobs,
            bar="no call more than without that, and no claim that is won twice",
            measured=f"{truth['requests']:,} calls, {claims:,} claims",
        )
    )
