"""The stand-in's ledger equals ours to the token, whatever strikes and whatever goes away meanwhile."""

import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import Engine

from tests.support import faults, invariants, ledger_audit, storm
from tests.support.services import cut_off
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(faults.timeout_s(450))]

SEED = 20261128
CALLS = faults.of_scale(4, 6)  # of each class; `make bench-storm` makes 2,000
ANSWERED_MEANWHILE = 5  # requests, while Postgres is away
REDIS_AWAY_MS = 2_000
STORM_S = faults.timeout_s(330)  # at most


def submitting(http: httpx.Client) -> Callable[[dict[str, Any]], None]:
    def submit(job: dict[str, Any]) -> None:
        http.post("/v1/jobs", json=job).raise_for_status()

    return submit


class Breaks:
    """Breaks one thing after the other as the calls go on."""

    def __init__(self, stack: Stack, postgres_url: str) -> None:
        self._stack = stack
        self._postgres_url = postgres_url
        self._victim = stack.start("worker")
        stack.start("worker")
        self.left = [(40, self._kill), (70, self._cut_postgres), (100, self._silence_redis)]

    def look(self, calls: int) -> None:
        """Break what is next, once so many calls were made."""
        if self.left and calls >= self.left[0][0]:
            self.left.pop(0)[1]()

    def _kill(self) -> None:
        self._victim.send_signal(signal.SIGKILL)
        self._stack.start("worker")

    def _cut_postgres(self) -> None:
        """Cut it off while calls are on the wire, until some of them have ended."""
        before = len(self._stack.truth()["rows"])
        with cut_off(self._postgres_url, self._stack.database_url):
            until(self._nothing_or_enough_since(before), "calls ended while Postgres is away")

    def _nothing_or_enough_since(self, before: int) -> Callable[[], bool]:
        def ended() -> bool:
            truth = self._stack.truth()
            return truth["in_flight"] == 0 or len(truth["rows"]) >= before + ANSWERED_MEANWHILE

        return ended

    def _silence_redis(self) -> None:
        with redis.Redis.from_url(self._stack.redis_url) as client:
            client.client_pause(REDIS_AWAY_MS)


def test_every_request_is_one_call_and_every_token_is_settled_or_uncertain(
    stack: Stack, engine: Engine, postgres_url: str
) -> None:
    stack.settings |= storm.settings()
    stack.behave(**storm.behaviour(SEED))
    stack.start_api()
    breaks = Breaks(stack, postgres_url)

    with stack.http() as http:
        storm.blow(engine, submitting(http), calls=CALLS, deadline_s=STORM_S, each_look=breaks.look)

    truth = storm.settled_down(stack.truth)
    found = ledger_audit.audit(engine, truth, group=storm.class_of)
    assert breaks.left == []
    assert found.differences == []
    assert set(found.accounts) == {*storm.CLASSES, storm.MIXED}
    assert set(found.total.states) == {"settled", "void", "uncertain"}
    invariants.check(engine, truth)
