"""The push that tells a dispatcher about a new job: a hint, never a condition of the answer."""

import threading
import time

import redis

from patchmill.queue.dispatch import Broker
from patchmill.telemetry import get_logger

PAUSE_S = 1.0  # dispatchers look by themselves each second, so a broken Redis is not asked more often
LOG_EVERY_S = 60.0

_log = get_logger(__name__)


class Waker:
    """Wakes dispatchers through Redis; without Redis it stays quiet, and says so once a minute.

    While Redis does not answer, one request a second finds that out, and no other waits for it.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._fails = False
        self._silent_until = 0.0
        self._log_again_at = 0.0

    def wake(self) -> None:
        """Wake one dispatcher if Redis answers; never raises for a Redis that does not."""
        if self._fails and not self._is_my_turn(time.monotonic()):
            return
        try:
            self._broker.wake()
        except redis.RedisError:
            self._note_failure(time.monotonic())
        else:
            self._fails = False

    def _is_my_turn(self, now: float) -> bool:
        with self._lock:
            if now < self._silent_until:
                return False
            self._silent_until = now + PAUSE_S
            return True

    def _note_failure(self, now: float) -> None:
        with self._lock:
            self._fails = True
            self._silent_until = now + PAUSE_S
            due = now >= self._log_again_at
            if due:
                self._log_again_at = now + LOG_EVERY_S
        if due:
            _log.warning("redis_unavailable", consequence="jobs start up to a second later", exc_info=True)
