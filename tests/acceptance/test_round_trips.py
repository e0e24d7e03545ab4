"""What a job costs in round trips to Postgres, counted on the wire between a real worker and the database."""

import json
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruff import find_ruff_bin

from patchmill.store.ids import from_edge
from tests.support.counting_proxy import Counted, Transaction, counting
from tests.support.requests import SOURCE, mutable_default, unique
from tests.support.stack import Stack, until

pytestmark = pytest.mark.timeout(400)

AT_MOST = 5
JOBS = 20
WARM_UP_JOBS = 8  # until connections are made and know the statements
LEASE_TTL_S = 10
STEPS = {  # what names a step of a job in the table, by words of its statements
    "claim": "coming",
    "hold": "hold_call(",
    "first token": "tell_first_token(",
    "settlement": "end_call(",
    "end": "end_job(",
}
TOLD_IF_SLOW = "first token"  # nothing is told of an answer that is there as a whole already
DISPATCH = "pg_try_advisory_xact_lock"  # of a batch of jobs, by the clock


@contextmanager
def counted_worker(stack: Stack) -> Iterator[Counted]:
    """Run API and worker, the latter behind a proxy that counts."""
    stack.behave(chunk_delay_ms=20)  # so that there is time to tell of the first token
    stack.start_api()
    with counting(stack.database_url) as (behind, counted):
        settings = {"PATCHMILL_DATABASE_URL": behind, "PATCHMILL_LEASE_TTL_S": str(LEASE_TTL_S)}
        worker = stack.start("worker", **settings)
        yield counted
        worker.kill()
        worker.wait()


def unexplained(counted: Counted, begin: float, end: float, known: set[uuid.UUID]) -> list[Transaction]:
    """Give what was done while jobs ran, names none of them, and is not what the clock does without any.

    The clock is given time to do again, with nothing to do for jobs, what it did meanwhile.
    """

    def left() -> list[Transaction]:
        done = counted.transactions()
        idle = {each.shape for each in done if not begin <= each.ended_at <= end}
        return [
            each
            for each in done
            if begin <= each.ended_at <= end
            and each.shape not in idle
            and DISPATCH not in " ".join(each.shape)
            and not any(map(each.names, known))
        ]

    until(lambda: not left() or time.monotonic() > end + 3 * LEASE_TTL_S, "the clock's whole round")
    return left()


def step_of(transaction: Transaction) -> str:
    asked = " ".join(transaction.shape)
    return next((step for step, word in STEPS.items() if word in asked), asked[:100])


def of_job(counted: Counted, job_id: uuid.UUID) -> list[Transaction]:
    """Give the transactions that name a job, but for the clock's that dispatches it."""
    mine = [each for each in counted.transactions() if each.names(job_id)]
    return [each for each in mine if DISPATCH not in " ".join(each.shape)]


def table(counted: Counted, jobs: list[uuid.UUID], strange: list[Transaction]) -> list[str]:
    """Give a line for each step: how many round trips it takes for a job."""
    found = [each for job_id in jobs for each in of_job(counted, job_id)]
    trips: Counter[str] = Counter()
    for each in found:
        trips[step_of(each)] += len(each.trips) - each.preparations
    lines = [f"{number / len(jobs):6.2f}  {step}" for step, number in trips.items()]
    lines += [f"{each.preparations:6}  prepared in: {step_of(each)}" for each in found if each.preparations]
    lines += [f"{len(each.trips):6}  nobody's: {step_of(each)}" for each in strange]
    return lines


def check(counted: Counted, jobs: list[uuid.UUID], begin: float) -> None:
    """Hold each job to its five, with what nobody else can have asked for; show the table."""
    end = time.monotonic()
    strange = unexplained(counted, begin, end, set(jobs))
    shown = table(counted, jobs, strange)
    print("round trips of a job to Postgres", *shown, sep="\n")  # noqa: T201 - pytest shows it on demand
    each = [sum(len(one.trips) - one.preparations for one in of_job(counted, job_id)) for job_id in jobs]

    assert max(each) <= AT_MOST, shown
    assert sum(each) + sum(len(one.trips) for one in strange) <= AT_MOST * len(jobs), shown
    steps = {step_of(one) for job_id in jobs for one in of_job(counted, job_id)}
    assert set(STEPS) - {TOLD_IF_SLOW} <= steps <= set(STEPS), shown


def job_uuid(job: dict[str, Any]) -> uuid.UUID:
    found = from_edge("job", job["id"])
    assert found is not None
    return found


def run_jobs(stack: Stack, number: int) -> list[uuid.UUID]:
    """Run jobs one after the other, each verified by the first answer of a model."""
    jobs = [stack.run(mutable_default(unique())) for _ in range(number)]
    assert {(job["outcome"], job["attempt"], job["usage"]["calls"]) for job in jobs} == {("verified", 1, 1)}
    return [job_uuid(job) for job in jobs]


def test_a_verified_job_costs_at_most_five_round_trips(stack: Stack) -> None:
    with counted_worker(stack) as counted:
        run_jobs(stack, WARM_UP_JOBS)
        begin = time.monotonic()

        check(counted, run_jobs(stack, JOBS), begin)


def request(folder: Path, number: int) -> dict[str, Any]:
    """Give a run of so many files with a finding each."""
    for each in range(number):
        (folder / f"module_{each}.py").write_text(SOURCE.format(number=unique()), encoding="utf-8")
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--select", "B006"]
    done = subprocess.run(
        [*command, "--output-format", "json", "."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert len(json.loads(done.stdout)) == number, done.stderr
    return {
        "kind": "fix",
        "reports": [{"format": "ruff", "content": done.stdout}],
        "files": [
            {"path": path.name, "content": path.read_text(encoding="utf-8")}
            for path in sorted(folder.glob("*.py"))
        ],
    }


def test_a_job_of_a_run_that_is_begun_counted_and_ended_costs_no_more(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    with counted_worker(stack) as counted, stack.http() as http:
        run_jobs(stack, WARM_UP_JOBS)
        begin = time.monotonic()

        run = http.post("/v1/runs", json=request(folder, 3)).json()["id"]
        until(lambda: http.get(f"/v1/runs/{run}").json()["finished_at"], "the run ended")
        jobs = http.get("/v1/jobs", params={"run": run}).json()["data"]
        assert [(job["outcome"], job["attempt"]) for job in jobs] == [("verified", 1)] * 3

        check(counted, [job_uuid(job) for job in jobs], begin)
