"""A run whose worker and API are killed in its middle ends once, and its stream tells all of it."""

import json
import signal
from typing import Any

import pytest
from sqlalchemy import Engine

from patchmill.client.http import Client
from tests.support import invariants
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

JOBS = 20


def run_request() -> dict[str, Any]:
    """Ask for as many jobs as there are files, each of which needs the model."""
    files = [mutable_default(number)["file"] for number in range(JOBS)]
    place = {"location": {"row": 4, "column": 24}, "end_location": {"row": 4, "column": 26}}
    found = [
        {"code": "B006", "message": "m", "filename": file["path"], "fix": None, **place} for file in files
    ]
    reports = [{"format": "ruff", "content": json.dumps(found)}]
    return {"kind": "fix", "reports": reports, "files": files}


def test_a_run_ends_once_however_many_processes_are_killed(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    victim = stack.start("worker")
    stack.behave(latency_ms=700)
    with stack.http() as http:
        answer = http.post("/v1/runs", json=run_request())
    assert answer.status_code == 202, answer.text
    identity = answer.json()["id"]
    ended = "SELECT count(*) FROM jobs WHERE state = 'succeeded'"
    until(lambda: invariants.rows(engine, ended)[0][0] >= 2, "some jobs ended")

    victim.send_signal(signal.SIGKILL)
    stack.processes[0].send_signal(signal.SIGKILL)
    stack.start_api()
    stack.start("worker")
    stack.behave(latency_ms=0)

    with Client(stack.api_url, stack.key) as client:
        run = client.wait_run(identity, timeout_s=90)
        told = list(client.run_events(identity))
    assert (run["state"], run["outcome"]) == ("finished", "verified")
    assert run["jobs"]["succeeded"] == run["findings"]["verified"] == JOBS
    ends = [event for event in told if event.type == "run.state" and event.data["to"] == "finished"]
    assert len(ends) == 1
    stored = invariants.rows(engine, "SELECT id FROM events WHERE run_id IS NOT NULL ORDER BY id")
    assert [int(event.id) for event in told] == [number for (number,) in stored]
    invariants.check(engine, stack.truth())
