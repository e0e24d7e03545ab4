from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from patchmill.cli.job_text import print_job
from patchmill.client.documents import Job

RESETS_AT = "2026-11-30T23:00:00Z"


def failed(code: str, *, retryable: bool = True, **details: str | None) -> Job:
    usage = {"calls": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "cost_usd": "0"}
    job: dict[str, Any] = {
        "id": "job_1",
        "kind": "fix",
        "state": "failed",
        "outcome": None,
        "wait_reason": None,
        "file": {"path": "a.py"},
        "instruction": None,
        "suggestions": [],
        "findings": [],
        "usage": {**usage, "uncertain_usd": "0"},
        "error": {"code": code, "message": "no", "retryable": retryable, "details": details},
    }
    return cast("Job", job)


def printed(job: Job) -> str:
    console = Console(file=StringIO(), width=200)
    print_job(console, job, None, None, None)
    text = console.file
    assert isinstance(text, StringIO)
    return text.getvalue()


def test_a_job_that_a_budget_stopped_says_what_can_be_done() -> None:
    exhausted = printed(failed("budget_exhausted", budget="bud_1", resets_at=RESETS_AT))
    over = printed(failed("over_budget", budget="bud_1", resets_at=RESETS_AT))

    raised = "raise the limit with `patchmill budgets set bud_1`; then `patchmill jobs retry job_1`\n"
    assert f"\n  wait until 2026-11-30 23:00:00 UTC, or {raised}" in exhausted
    assert f"\n  {raised}" in over


def test_a_job_that_may_end_otherwise_the_next_time_says_how_to_try_it_again() -> None:
    assert "\n  `patchmill jobs retry job_1` tries it again\n" in printed(failed("gateway_unavailable"))


def test_a_job_whose_code_was_erased_says_so() -> None:
    erased = cast("Job", {**failed("internal"), "erased_at": "2026-11-27T09:00:00.5Z"})

    assert "\n  its code was erased at 2026-11-27 09:00:00 UTC\n" in printed(erased)


@pytest.mark.parametrize(
    "job",
    [
        failed("over_budget", budget=None, resets_at=None),
        failed("over_budget", budget="run_1", resets_at=None),
        failed("over_budget"),
        failed("invalid_source", retryable=False),
    ],
)
def test_nothing_is_advised_where_a_retry_would_end_the_same(job: Job) -> None:
    assert "patchmill" not in printed(job)
