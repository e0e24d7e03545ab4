from typing import Any

from patchmill.cli.demo_report import total_usage
from patchmill.cli.outcome import standing_of_job


def usage(calls: int, cost_usd: str) -> dict[str, Any]:
    return {
        "calls": calls,
        "input_tokens": 10 * calls,
        "cached_tokens": calls,
        "output_tokens": 2 * calls,
        "cost_usd": cost_usd,
        "uncertain_usd": "0",
    }


def job(state: str, **changes: Any) -> dict[str, Any]:
    return {"state": state, "outcome": None, "error": None, "wait_reason": None, **changes}


def test_usage_adds_up_without_losing_a_pico_dollar() -> None:
    total = total_usage([usage(1, "0.000000000001"), usage(2, "0.1"), usage(0, "0")])

    assert total == {
        "calls": 3,
        "input_tokens": 30,
        "cached_tokens": 3,
        "output_tokens": 6,
        "cost_usd": "0.100000000001",
        "uncertain_usd": "0",
    }


def test_a_job_stands_by_its_outcome_its_error_or_what_it_waits_for() -> None:
    assert standing_of_job(job("succeeded", outcome="partial")) == "partial"
    assert standing_of_job(job("failed", error={"code": "unverified"})) == "failed (unverified)"
    assert standing_of_job(job("queued", wait_reason="gateway_down")) == "queued (gateway_down)"
    assert standing_of_job(job("running", cancel_requested=True)) == "running (asked to stop)"
    assert standing_of_job(job("cancelled", cancel_requested=True)) == "cancelled"
    assert standing_of_job(job("running")) == "running"
