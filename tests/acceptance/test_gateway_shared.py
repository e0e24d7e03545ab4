"""What one job runs into at the gateway hurts no other."""

from typing import Any

import pytest
from sqlalchemy import text

from patchmill.job.circuit import SERVER_FAILURES_TO_OPEN, Condition, Trip, Why
from patchmill.job.retry import MAX_SERVER_ERRORS_IN_A_ROW
from patchmill.store import circuits
from patchmill.store.engine import open_engine
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = pytest.mark.slow

FLASH = "deepseek-v4-flash"


@pytest.fixture
def working(stack: Stack) -> Stack:
    stack.start_api()
    stack.start("worker")
    return stack


def run_at_once(stack: Stack, count: int, **options: Any) -> list[dict[str, Any]]:
    with stack.http() as http:
        answers = [
            http.post("/v1/jobs", json=mutable_default(number) | {"options": options})
            for number in range(count)
        ]
    return [stack.ended(answer.json()["id"]) for answer in answers]


def test_jobs_in_a_hurry_stop_nobody_elses_calls(working: Stack) -> None:
    working.run(mutable_default(8))  # from here on the worker is there, and loses no time
    working.behave(latency_ms=5_000)

    def enough() -> bool:
        """Give up eight jobs; on a busy machine some of them before their call."""
        assert [job["state"] for job in run_at_once(working, 8, deadline_s=3)] == ["failed"] * 8
        return bool(working.truth()["requests"] > 1 + SERVER_FAILURES_TO_OPEN)

    until(enough, "more calls given up than would open a circuit")
    working.behave()

    with working.http() as http:
        models = http.get("/v1/gateway").json()["models"]

    assert [each["state"] for each in models if each["model"] == FLASH] in ([], ["ok"])
    assert working.run(mutable_default(9))["outcome"] == "verified"


def test_a_job_that_probes_a_model_in_vain_goes_on_waiting(stack: Stack) -> None:
    engine = open_engine(stack.database_url, pool_size=1)
    with engine.begin() as connection:
        down = Trip(name=FLASH, state=Condition.DOWN, why=Why.FAILING, message="")
        circuits.trip(connection, down, probe_after_s=0.0)
    stack.behave(faults=[{"fault": "503", "times": 1_000}])
    stack.start_api()
    stack.start("worker")
    with stack.http() as http:
        body = mutable_default(1) | {"options": {"model": FLASH}}
        job_id = http.post("/v1/jobs", json=body).json()["id"]

    def tried(times: int) -> bool:
        with engine.begin() as connection:
            connection.execute(text("UPDATE circuits SET probe_at = now() WHERE state <> 'ok'"))
        return bool(stack.truth()["requests"] >= times)

    until(lambda: tried(MAX_SERVER_ERRORS_IN_A_ROW + 2), "more probes than a job may have server errors")
    stack.behave()
    until(lambda: tried(MAX_SERVER_ERRORS_IN_A_ROW + 3), "a probe that is answered")
    engine.dispose()

    job = stack.ended(job_id)
    assert (job["state"], job["outcome"]) == ("succeeded", "verified")
