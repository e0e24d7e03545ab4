"""How work came out: the exit code that scripts act on, and the words for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from patchmill.cli.exits import Exit
from patchmill.cli.talk import some
from patchmill.cli.work import Standing
from patchmill.client.documents import Skipped
from patchmill.client.http import ENDED

# Failures that are the service's, or the gateway's, and not the model's.
SERVICE_ERRORS = frozenset(
    {
        "gateway_rejected",
        "gateway_unavailable",
        "deadline_exceeded",
        "worker_lost",
        "call_unknown",
        "internal",
    }
)
BUDGET_ERRORS = frozenset({"budget_exhausted", "over_budget"})
# Findings that were passed over on purpose: nobody wanted these mended.
_NOT_WANTED = frozenset({"outside_diff", "duplicate", "suppressed", "generated_file"})


def exit_of_work(work: Standing) -> Exit:
    """Give the exit code: 3 or 4 if something kept the service from working, 1 if anything is left."""
    codes = {job["error"]["code"] for job in work.jobs if job["error"]}
    if codes & SERVICE_ERRORS:
        return Exit.SERVICE
    if codes & BUDGET_ERRORS:
        return Exit.BUDGET
    return Exit.FINDINGS_LEFT if is_left(work) else Exit.DONE


def left(work: Standing) -> str:
    """Say in one line what the exit code 1, 3 or 4 is about: findings, jobs that did not succeed, and why."""
    statuses = [finding["status"] for job in work.jobs for finding in job["findings"]]
    unmade = [each for each in _skipped(work) if each["reason"] not in _NOT_WANTED]
    total, verified = len(statuses) + len(unmade), statuses.count("verified")
    told = [f"{verified} of {some(total, 'finding')} verified, {total - verified} left"] if total else []
    failed = Counter(standing_of_job(job) for job in work.jobs if job["state"] != "succeeded")
    told += [f"{some(count, 'job')} {standing}" for standing, count in failed.most_common()]
    return "; ".join(told)


def is_left(work: Standing) -> bool:
    """Say whether a finding is not verified to be mended, or a job did not succeed."""
    return (
        any(job["state"] != "succeeded" for job in work.jobs)
        or any(finding["status"] != "verified" for job in work.jobs for finding in job["findings"])
        or any(each["reason"] not in _NOT_WANTED for each in _skipped(work))
    )


def _skipped(work: Standing) -> Sequence[Skipped]:
    return [] if work.run is None else work.run.get("skipped", [])


def standing_of_job(job: Mapping[str, Any]) -> str:
    """Say in one or two words how a job stands."""
    if job["state"] == "succeeded":
        return str(job["outcome"])
    if job["state"] == "failed":
        return f"failed ({(job['error'] or {}).get('code')})"
    if job.get("cancel_requested") and job["state"] not in ENDED:
        return f"{job['state']} (asked to stop)"
    return f"{job['state']} ({job['wait_reason']})" if job["wait_reason"] else str(job["state"])


def standing_of_run(run: Mapping[str, Any]) -> str:
    """Say in a few words how a run stands."""
    counts = run["jobs"]
    ended = counts["succeeded"] + counts["failed"] + counts["cancelled"]
    superseded = ", superseded" if run.get("superseded_by") else ""
    if run["state"] == "finished":
        return f"{run['outcome']}{superseded}"
    return f"{run['state']}{superseded}, {ended} of {counts['total']} jobs ended"
