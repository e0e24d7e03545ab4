"""A paused project and a paused queue beside a real worker: what is on the wire ends, others go on."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = pytest.mark.slow

CALL_S = "90"  # a call is held for as long as commands take to start


@pytest.fixture
def patient(stack: Stack) -> Stack:
    stack.settings |= {"PATCHMILL_CALL_DEADLINE_S": CALL_S, "PATCHMILL_FIRST_DATA_TIMEOUT_S": CALL_S}
    stack.start_api()
    stack.start("worker")
    return stack


def read(stack: Stack, path: str) -> Any:
    with stack.http() as http:
        answer = http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def submit(stack: Stack, number: int, **options: Any) -> str:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=mutable_default(number) | {"options": options})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id


def beat(stack: Stack) -> str:
    """Give when the worker was heard last."""
    heard: str = read(stack, "/v1/workers")["data"][0]["heartbeat_at"]
    return heard


def beaten_since(stack: Stack, heard: str) -> bool:
    return beat(stack) > heard


def run_command(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("patchmill")), *arguments],
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def test_a_paused_project_ends_its_calls_and_begins_nothing_while_others_go_on(patient: Stack) -> None:
    stack = patient
    stack.behave(faults=[{"fault": "hold", "times": 1}])
    on_the_wire = submit(stack, 1)
    until(lambda: stack.truth()["requests"] == 1, "a call on the wire")

    run_command(stack, "pause", "--project", "default", "--reason", "the bill")

    waiting = [submit(stack, number) for number in (2, 3)]
    stack.release()
    assert stack.ended(on_the_wire)["outcome"] == "verified"
    own, stack.key = stack.key, stack.key_of("other")
    assert stack.run(mutable_default(4))["outcome"] == "verified"
    stack.key = own
    for job_id in waiting:
        job = read(stack, f"/v1/jobs/{job_id}")
        assert (job["state"], job["wait_reason"], job["attempt"]) == ("queued", "paused", 0)
        assert (job["paused_by"]["reason"], job["paused_by"]["actor"]) == ("the bill", "host")
    assert stack.truth()["requests"] == 2

    run_command(stack, "resume", "--project", "default")

    assert [stack.ended(job_id)["outcome"] for job_id in waiting] == ["verified"] * 2


def test_a_paused_queue_waits_while_the_other_is_served(stack: Stack) -> None:
    stack.start_api()
    stack.start("worker")
    with stack.http() as http:
        assert http.post("/v1/queues/bulk/pause", json={"reason": "the night"}).status_code == 200
    bulk = submit(stack, 1, priority="bulk")

    assert stack.ended(submit(stack, 2, priority="interactive"))["outcome"] == "verified"

    assert read(stack, f"/v1/jobs/{bulk}")["paused_by"]["name"] == "bulk"
    assert read(stack, "/v1/queues")["queues"][1]["waiting"] == {"paused": 1}
    [worker] = read(stack, "/v1/workers")["data"]
    assert (worker["state"], worker["jobs"]) == ("working", 0)
    assert worker["version"]

    with stack.http() as http:
        assert http.post("/v1/queues/bulk/resume").status_code == 200
    assert stack.ended(bulk)["outcome"] == "verified"


def test_a_job_between_two_calls_waits_and_goes_on_with_what_it_has_paid_for(patient: Stack) -> None:
    stack = patient
    useless = "Nothing.\n\n```python\n<<<<<<< SEARCH\nabsent\n=======\npresent\n>>>>>>> REPLACE\n```\n"
    stack.behave(
        faults=[{"fault": "hold", "times": 1}], script=[{"match": None, "content": useless, "times": 1}]
    )
    job_id = submit(stack, 1)
    until(lambda: stack.truth()["requests"] == 1, "a call on the wire")
    run_command(stack, "pause", "--project", "default")
    # Each worker reads of it four times a second here, and beats as often.
    for _ in range(12):
        until(partial(beaten_since, stack, beat(stack)), "a beat after the pause")

    stack.release()

    until(lambda: read(stack, f"/v1/jobs/{job_id}")["wait_reason"] == "paused", "the job waits")
    assert read(stack, f"/v1/jobs/{job_id}")["usage"]["calls"] == 1
    run_command(stack, "resume", "--project", "default")
    job = stack.ended(job_id)
    assert (job["outcome"], job["usage"]["calls"]) == ("verified", 2)
