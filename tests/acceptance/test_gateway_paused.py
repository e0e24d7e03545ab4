"""What the account, an outage or an operator stops: jobs wait, nothing fails, and it goes on by itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from patchmill.store.engine import open_engine
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = pytest.mark.slow

FLASH, PRO, FALLBACK = "deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"


@pytest.fixture
def working(stack: Stack) -> Stack:
    stack.start_api()
    stack.start("worker")
    return stack


def submit(stack: Stack, number: int, **options: Any) -> str:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=mutable_default(number) | {"options": options})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id


def read(stack: Stack, path: str) -> Any:
    with stack.http() as http:
        answer = http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def waits_for(stack: Stack, job_id: str, reason: str) -> None:
    until(lambda: read(stack, f"/v1/jobs/{job_id}")["wait_reason"] == reason, f"{job_id} waits: {reason}")


def make_probes_due(stack: Stack) -> None:
    engine = open_engine(stack.database_url, pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE circuits SET probe_at = now() WHERE probe_at IS NOT NULL"))
    engine.dispose()


def run_command(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("patchmill")), *arguments],
        env=stack.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(("fault", "reason"), [("401", "invalid_api_key"), ("402", "insufficient_balance")])
def test_an_account_that_is_refused_pauses_all_and_a_probe_ends_it(
    working: Stack, fault: str, reason: str
) -> None:
    working.behave(faults=[{"fault": fault, "times": 1000}])
    first = submit(working, 1)
    waits_for(working, first, "gateway_account")
    later = [submit(working, number) for number in (2, 3)]
    for job_id in later:
        waits_for(working, job_id, "gateway_account")

    gateway = read(working, "/v1/gateway")
    assert (gateway["state"], gateway["reason"]) == ("paused", reason)
    assert gateway["message"]
    assert gateway["next_probe_at"]
    assert read(working, "/v1/stats")["gateway"] == {"state": "paused", "reason": reason}
    assert working.truth()["requests"] == 1

    make_probes_due(working)
    until(lambda: working.truth()["requests"] == 2, "a probe")
    assert read(working, "/v1/gateway")["state"] == "paused"
    working.behave()
    make_probes_due(working)

    assert [working.ended(job_id)["outcome"] for job_id in (first, *later)] == ["verified"] * 3
    assert read(working, "/v1/gateway")["state"] == "ok"
    attempts = [read(working, f"/v1/jobs/{job_id}")["attempt"] for job_id in (first, *later)]
    assert max(attempts) >= 2


def test_what_the_headers_say_of_money_is_kept_also_of_a_refusal(working: Stack) -> None:
    assert read(working, "/v1/gateway")["quota"] is None

    working.run(mutable_default(1))

    said = until(lambda: read(working, "/v1/gateway")["quota"], "a quota")
    assert (said["key_remaining_usd"], said["account_remaining_usd"]) == ("500", "1000")
    assert said["resets_at"].endswith("Z")
    working.behave(faults=[{"fault": "402", "times": 1}])
    submit(working, 2)
    until(lambda: read(working, "/v1/gateway")["quota"]["account_remaining_usd"] == "0", "an empty wallet")


def test_an_operator_pauses_and_resumes(stack: Stack) -> None:
    stack.start_api()
    assert "paused" in run_command(stack, "pause", "--reason", "the bill")
    gateway = read(stack, "/v1/gateway")
    assert (gateway["state"], gateway["reason"], gateway["message"]) == ("paused", "operator", "the bill")
    stack.start("worker")
    job_id = submit(stack, 1)
    waits_for(stack, job_id, "paused")
    assert stack.truth()["requests"] == 0

    assert "go on" in run_command(stack, "resume")

    assert stack.ended(job_id)["outcome"] == "verified"
    assert "already" in run_command(stack, "resume")


def test_a_spend_cap_pauses_the_account_once_until_its_reset(working: Stack) -> None:
    working.behave(faults=[{"fault": "429_spend", "times": 1}])
    first = submit(working, 1)
    waits_for(working, first, "rate_limit")
    gateway = read(working, "/v1/gateway")
    others = [submit(working, number) for number in (2, 3, 4)]

    assert (gateway["state"], gateway["reason"]) == ("paused", "spend_cap")
    assert gateway["resumes_at"]
    assert [working.ended(job_id)["outcome"] for job_id in (first, *others)] == ["verified"] * 4
    rows = working.truth()["rows"]
    assert [row["status"] for row in rows].count(429) == 1


def test_a_model_out_of_reach_leaves_the_ladder_and_the_fallback_answers(working: Stack) -> None:
    working.behave(faults=[{"fault": "403", "times": 1}])
    job = working.run(mutable_default(1))
    again = working.run(mutable_default(2))

    assert (job["outcome"], again["outcome"]) == ("verified", "verified")
    calls = read(working, f"/v1/jobs/{again['id']}/calls")["data"]
    assert [(call["model"], call["rung"]) for call in calls] == [(FALLBACK, "fallback")]
    gateway = read(working, "/v1/gateway")
    assert gateway["state"] == "ok"
    [model] = [each for each in gateway["models"] if each["model"] == FLASH]
    assert (model["state"], model["reason"]) == ("off", "model_not_in_group")
    assert "go on" in run_command(working, "resume", "--model", FLASH)


def test_a_project_may_have_its_jobs_fail_when_nobody_knows_whether_a_call_was_billed(working: Stack) -> None:
    project = read(working, "/v1/projects")["data"][0]["id"]
    working.behave(faults=[{"fault": "truncate", "times": 2}])
    with working.http() as http:
        http.patch(f"/v1/projects/{project}", json={"policy": {"unknown": "fail"}}).raise_for_status()

        failed = working.run(mutable_default(1))

        http.patch(f"/v1/projects/{project}", json={"policy": {"unknown": None}}).raise_for_status()
    retried = working.run(mutable_default(2))

    assert (failed["state"], failed["error"]["code"]) == ("failed", "call_unknown")
    assert (failed["usage"]["calls"], retried["usage"]["calls"]) == (1, 2)
    assert retried["outcome"] == "verified"
    assert failed["usage"]["uncertain_usd"] == retried["usage"]["uncertain_usd"] != "0"


def test_a_project_may_do_without_the_fallback(working: Stack) -> None:
    project = read(working, "/v1/projects")["data"][0]["id"]
    with working.http() as http:
        changed = http.patch(f"/v1/projects/{project}", json={"policy": {"fall_back": False}})
        refused = http.patch(f"/v1/projects/{project}", json={"policy": {"model": "no-such-model"}})
    assert changed.json()["policy"]["fall_back"] is False
    assert changed.json()["own_policy"] == {"fall_back": False}
    assert refused.status_code == 422
    working.behave(faults=[{"fault": "403", "times": 1}])

    job = working.run(mutable_default(1))

    assert (job["state"], job["error"]["code"]) == ("failed", "gateway_rejected")
