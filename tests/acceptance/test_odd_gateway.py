"""A gateway that does much otherwise: jobs end well, whether or not the doctor came first."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.requests import mutable_default
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

FLASH = "deepseek-v4-flash"


def behave_oddly(stack: Stack) -> None:
    root = stack.gateway_url.removesuffix("/v1")
    httpx.post(f"{root}/standin/scenario", json={"name": "odd"}).raise_for_status()


def doctor(stack: Stack) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("patchmill")), "doctor", "--gateway"],
        env={**stack.environment(), "PATCHMILL_SERVER_URL": stack.api_url, "PATCHMILL_SERVER_KEY": stack.key},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def new_rows(stack: Stack, since: int) -> list[dict[str, Any]]:
    """Give the requests that the gateway got after the first so many."""
    rows: list[dict[str, Any]] = stack.truth()["rows"]
    return rows[since:]


def verified(stack: Stack, number: int) -> dict[str, Any]:
    job = stack.run(mutable_default(number))
    assert (job["state"], job["outcome"]) == ("succeeded", "verified"), job
    return job


def test_after_the_doctor_no_call_is_refused(stack: Stack) -> None:
    behave_oddly(stack)
    stack.start_api()
    said = doctor(stack)
    assert f"kept for {FLASH}" in said
    tried = stack.truth()["requests"]

    stack.start("worker")
    job = verified(stack, 1)

    [row] = new_rows(stack, tried)
    assert (row["status"], row["stream"], row["outcome"]) == (200, False, "billed")
    # Unstreamed, the gateway does tell what an answer costs.
    assert job["usage"]["input_tokens"] == row["input_tokens"]
    assert job["usage"]["uncertain_usd"] == "0"


def test_without_the_doctor_a_refused_field_is_dropped_once_for_all_workers_and_restarts(
    stack: Stack,
) -> None:
    behave_oddly(stack)
    stack.start_api()
    first = stack.start("worker")
    second = stack.start("worker")

    verified(stack, 1)
    assert [(row["status"], row["stream"]) for row in new_rows(stack, 0)] == [(400, False), (200, False)]
    first.kill()
    first.wait()
    verified(stack, 2)
    second.kill()
    second.wait()
    stack.start("worker")
    verified(stack, 3)

    assert [(row["status"], row["stream"]) for row in new_rows(stack, 2)] == [(200, False)] * 2


def test_three_streams_without_usage_and_the_model_is_called_unstreamed(stack: Stack) -> None:
    stack.behave(odd={"streamed_usage": "never"})
    stack.start_api()
    worker = stack.start("worker")

    for number in range(4):
        verified(stack, number)
    worker.kill()
    worker.wait()
    stack.start("worker")
    job = verified(stack, 4)

    assert [row["stream"] for row in new_rows(stack, 0)] == [True, True, True, False, False]
    assert job["usage"]["uncertain_usd"] == "0"
