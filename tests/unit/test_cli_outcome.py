from typing import Any, cast

import pytest

from patchmill.cli.exits import Exit
from patchmill.cli.job_text import usage_text
from patchmill.cli.outcome import exit_of_work
from patchmill.cli.work import Standing, Work, work_of
from patchmill.errors import ConfigurationError


def job(state: str = "succeeded", *statuses: str, error: str | None = None) -> dict[str, Any]:
    return {
        "state": state,
        "error": None if error is None else {"code": error},
        "findings": [{"status": status} for status in statuses],
    }


def standing(*jobs: dict[str, Any], skipped: str | None = None) -> Standing:
    run = None if skipped is None else {"state": "finished", "skipped": [{"reason": skipped}]}
    return Standing(run=cast("Any", run), jobs=cast("Any", jobs))


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (standing(job("succeeded", "verified")), Exit.DONE),
        (standing(job("succeeded")), Exit.DONE),
        (standing(job("succeeded", "verified", "unchecked")), Exit.FINDINGS_LEFT),
        (standing(job("succeeded", "verified"), job("succeeded", "unresolved")), Exit.FINDINGS_LEFT),
        (standing(job("cancelled", "verified")), Exit.FINDINGS_LEFT),
        (standing(job("failed", error="unverified")), Exit.FINDINGS_LEFT),
        (standing(job("failed", error="gateway_unavailable"), job("succeeded", "verified")), Exit.SERVICE),
        (standing(job("failed", error="budget_exhausted")), Exit.BUDGET),
        (standing(job("failed", error="over_budget"), job("failed", error="internal")), Exit.SERVICE),
        (standing(job("failed", error="a_code_of_next_year")), Exit.FINDINGS_LEFT),
        (standing(skipped="outside_diff"), Exit.DONE),
        (standing(skipped="unsupported_language"), Exit.FINDINGS_LEFT),
        (standing(skipped="a_reason_of_next_year"), Exit.FINDINGS_LEFT),
    ],
)
def test_the_exit_code_tells_what_is_left_or_what_was_in_the_way(work: Standing, code: Exit) -> None:
    assert exit_of_work(work) == code


def test_money_that_may_have_been_charged_is_told_apart() -> None:
    usage = {"calls": 1, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "cost_usd": "0"}

    assert usage_text({**usage, "uncertain_usd": "0.0006"}).endswith(", $0, $0.0006 uncertain")
    assert usage_text({**usage, "uncertain_usd": "0"}).endswith(" output tokens, $0")


def test_an_id_tells_what_it_is_of() -> None:
    assert work_of("run_1") == Work(run="run_1")
    assert work_of("job_1") == Work(jobs=("job_1",))
    with pytest.raises(ConfigurationError, match="`job_` or `run_`"):
        work_of("../keys")
