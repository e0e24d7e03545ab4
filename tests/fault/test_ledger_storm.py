"""The stand-in's ledger equals ours to the token, whatever strikes and although a worker dies."""

import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.support import invariants, ledger_audit, storm
from tests.support.stack import Stack

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 20261128
CALLS = 8  # of each class
KILL_AFTER = 120  # calls


def submitting(http: httpx.Client) -> Callable[[dict[str, Any]], None]:
    def submit(job: dict[str, Any]) -> None:
        http.post("/v1/jobs", json=job).raise_for_status()

    return submit


def test_every_request_is_one_call_and_every_token_is_settled_or_uncertain(
    stack: Stack, engine: Engine
) -> None:
    stack.settings |= storm.settings()
    stack.behave(**storm.behaviour(SEED))
    stack.start_api()
    workers = [stack.start("worker") for _ in range(2)]

    def kill_one(calls: int) -> None:
        if calls >= KILL_AFTER and len(workers) == 2:
            workers[0].send_signal(signal.SIGKILL)
            workers.append(stack.start("worker"))

    with stack.http() as http:
        storm.blow(engine, submitting(http), calls=CALLS, deadline_s=180, each_look=kill_one)

    found = ledger_audit.audit(engine, storm.settled_down(stack.truth), group=storm.class_of)
    assert len(workers) == 3
    assert found.differences == []
    assert set(found.accounts) == {*storm.CLASSES, storm.MIXED}
    assert set(found.total.states) == {"settled", "void", "uncertain"}
    invariants.check_ledger(engine)
