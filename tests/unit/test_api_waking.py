import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from api.waking import PAUSE_S, Waker
from patchmill.queue.dispatch import Broker

REQUESTS = 12


class Silent(Broker):
    """A broker that counts who asks it, and does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1")
        self.asked = 0
        self.answers = False
        self._lock = threading.Lock()

    def wake(self) -> None:
        with self._lock:
            self.asked += 1
        if not self.answers:
            raise redis.TimeoutError


def test_of_the_requests_that_come_while_redis_is_silent_one_a_second_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    broker = Silent()
    waker = Waker(broker)

    def many() -> int:
        before = broker.asked
        with ThreadPoolExecutor(REQUESTS) as threads:
            list(threads.map(lambda _: waker.wake(), range(REQUESTS)))
        return broker.asked - before

    waker.wake()
    assert (broker.asked, many()) == (1, 0)
    now += PAUSE_S
    assert many() == 1
    now += PAUSE_S
    broker.answers = True
    waker.wake()
    assert many() == REQUESTS
    broker.close()
