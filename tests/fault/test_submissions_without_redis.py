"""Redis is killed, and frozen: each submission is answered all the same, however many come at once."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support import invariants, plain_http
from tests.support.jobs import all_succeeded
from tests.support.own_services import OwnValkey, own_valkey
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240)]

AT_ONCE = 24  # more than the API has threads
ONE_BY_ONE = 4
LATEST_S = 10.0  # on a machine that does much else; alone it takes less than one


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


def job(number: int) -> dict[str, Any]:
    """Ask for a job that the model declines."""
    asked = mutable_default(number)
    return {**asked, "findings": [], "instruction": "do what has been done"}


def run(number: int) -> dict[str, Any]:
    """Ask for a run of one job, whose only fix needs the model."""
    file = mutable_default(number)["file"]
    place = {"location": {"row": 4, "column": 24}, "end_location": {"row": 4, "column": 26}}
    found = [{"code": "B006", "message": "m", "filename": file["path"], "fix": None, **place}]
    return {"kind": "fix", "reports": [{"format": "ruff", "content": json.dumps(found)}], "files": [file]}


class Crowd:
    """Submits jobs and runs, one by one and then all at once, and keeps how long each answer took."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._number = 0
        self.took_s: list[float] = []

    def submit(self) -> None:
        """Submit; each must be accepted."""
        together = threading.Barrier(AT_ONCE)
        for _ in range(ONE_BY_ONE):
            self._one(self._next())
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(
                threads.map(
                    lambda number: self._one(number, together), [self._next() for _ in range(AT_ONCE)]
                )
            )

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _one(self, number: int, together: threading.Barrier | None = None) -> None:
        path, body = ("/v1/runs", run(number)) if number % 4 == 0 else ("/v1/jobs", job(number))
        with self._stack.http() as http:
            if together is not None:
                together.wait()
            began = time.monotonic()
            answer = http.post(path, json=body)
            self.took_s.append(time.monotonic() - began)
        assert answer.status_code == 202, answer.text


def readiness(stack: Stack) -> tuple[int, str, str]:
    answer = plain_http.get(f"{stack.api_url}/readyz")
    return answer.status_code, answer.json()["status"], answer.json()["checks"]["redis"]


def test_each_submission_is_answered_while_redis_is_dead_or_silent_and_is_then_done(
    stack: Stack, engine: Engine, own: OwnValkey
) -> None:
    stack.redis_url = own.url
    stack.settings["PATCHMILL_LEASE_TTL_S"] = "6"
    declines = {"match": "do what has been done", "content": "NO CHANGE: it is done", "times": 1_000_000}
    stack.behave(script=[declines])
    stack.start_api()
    stack.start("worker")
    crowd = Crowd(stack)
    until(lambda: readiness(stack) == (200, "ready", "ok"), "all in order")
    crowd.submit()
    with_redis, crowd.took_s = crowd.took_s, []

    own.kill()
    assert readiness(stack) == (200, "degraded", "unreachable")
    crowd.submit()
    dead, crowd.took_s = crowd.took_s, []
    own.start()
    until(lambda: readiness(stack) == (200, "ready", "ok"), "Redis in use again")
    own.freeze()
    assert readiness(stack) == (200, "degraded", "unreachable")
    crowd.submit()
    number = 3 * (AT_ONCE + ONE_BY_ONE)
    until(lambda: all_succeeded(engine, number), f"{number} jobs done while Redis is silent")
    own.thaw()

    for what, took in (("there", with_redis), ("dead", dead), ("silent", crowd.took_s)):
        print(f"Redis is {what}: the slowest of {len(took)} in {max(took):.2f} s")  # noqa: T201 - for -rP
        assert max(took) < LATEST_S
    until(lambda: readiness(stack) == (200, "ready", "ok"), "all in order again")
    invariants.check(engine, stack.truth())
