"""Jobs that do harm: one kills whatever process runs it, some are very large, some get endless answers."""

import time
from typing import Any

import pytest
from sqlalchemy import Engine

from patchmill.settings import MIB
from tests.support import faults, invariants
from tests.support.faults import Told
from tests.support.jobs import all_ended, named, post, states
from tests.support.nursery import Process
from tests.support.poisoned_worker import POISON
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(300)),
]

SLOTS = 2
NEIGHBOURS = 12
LOSSES = 3
# Beside poison, in the long form: no more jobs a second than two cores bear while a worker starts as well,
# and so many that those which three workers had in hand are less than a twentieth.
PER_S = 5.0
PACED = faults.of_scale(400, 400)
SLOWER = 1.2  # at most, times what the 95th percentile is without poison
TOOK = "SELECT extract(epoch FROM finished_at - created_at)::float8 FROM jobs WHERE path LIKE '{folder}/%'"
TRIES = 2
# A call is void that was not sent, since on a busy machine the lease had run out by then.
GIVEN_UP = """
    SELECT count(*) FROM calls c JOIN jobs j ON j.id = c.job_id
    WHERE j.state = 'failed' AND c.state <> 'void' GROUP BY j.id
"""
SIZES = (MIB // 8, MIB)


class Fleet:
    """Workers that are started again when they have died, as by any supervisor."""

    def __init__(self, stack: Stack, number: int, *, slots: int = SLOTS) -> None:
        self._stack = stack
        self._slots = slots
        self._workers = [self._hire() for _ in range(number)]
        self.died = 0

    def _hire(self) -> Process:
        settings = {"PATCHMILL_GATEWAY_CONCURRENCY": str(self._slots)}
        return self._stack.start("tests.support.poisoned_worker", **settings)

    def look(self) -> None:
        """Replace who has died."""
        for number, worker in enumerate(self._workers):
            if worker.poll() is not None:
                self.died += 1
                self._workers[number] = self._hire()

    def dismiss(self) -> None:
        """Let all go."""
        for worker in self._workers:
            worker.kill()
            worker.wait()


def in_folder(folder: str, number: int, **more: Any) -> dict[str, Any]:
    """Give a fix request for a file in a folder, which its prompt names."""
    return named(f"{folder}/module_{number}.py", number, **more)


def filled(size: int) -> dict[str, Any]:
    """Give a fix request for a file of so many bytes."""
    body = in_folder("large", size)
    content = body["file"]["content"]
    line = "VALUES = [" + "1, " * 30 + "]\n"
    content += line * ((size - len(content)) // len(line))
    content += "#" * (size - len(content) - 1) + "\n"
    assert len(content) == size
    return body | {"file": {**body["file"], "content": content}}


def document(stack: Stack, job_id: str) -> dict[str, Any]:
    with stack.http() as http:
        job: dict[str, Any] = http.get(f"/v1/jobs/{job_id}").json()
    return job


def test_a_job_that_kills_its_worker_ends_after_three_losses_and_takes_no_neighbour_with_it(
    stack: Stack, engine: Engine
) -> None:
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "6"
    # Longer than what lost jobs wait more or less than each other: some run when the poison comes again.
    stack.behave(latency_ms={"min_ms": 1_200, "max_ms": 1_800})
    stack.start_api()
    fleet = Fleet(stack, 1)
    for number in range(NEIGHBOURS):
        post(stack, in_folder("near", number))
        if number == NEIGHBOURS // 2:
            [poison] = post(stack, in_folder(POISON, NEIGHBOURS))

    def over() -> bool:
        fleet.look()
        return all_ended(engine, NEIGHBOURS + 1)

    until(over, "all ended", 200)

    job = document(stack, poison)
    assert (job["state"], job["error"]["code"]) == ("failed", "worker_lost")
    assert fleet.died == LOSSES
    assert states(engine) == {"succeeded": NEIGHBOURS, "failed": 1}
    invariants.check(engine, stack.truth())
    lost_twice = invariants.rows(engine, f"SELECT count(*) FROM jobs WHERE losses = {LOSSES - 1}")[0][0]

    assert lost_twice > 0  # else nobody was in danger

    fleet.dismiss()
    stack.start("worker")  # as after a mend
    with stack.http() as http:
        assert http.post(f"/v1/jobs/{poison}/retry").status_code == 202
    assert stack.ended(poison)["outcome"] == "verified"
    invariants.check(engine, stack.truth())
    faults.tell(
        Told(
            broke="a job kills each worker that runs it",
            often=f"1 job, {fleet.died} workers",
            jobs=NEIGHBOURS + 1,
            bar=f"failed (`worker_lost`) after {LOSSES} losses, and a retry works; no neighbour fails",
            measured=f"{fleet.died} losses; {lost_twice} neighbours were lost twice with it, none failed; "
            "retried and verified",
        )
    )


@pytest.mark.skipif(not faults.LONG, reason="measures times, which takes an idle machine and minutes")
def test_jobs_beside_one_that_kills_workers_are_hardly_slower(stack: Stack, engine: Engine) -> None:
    stack.behave(latency_ms={"min_ms": 300, "max_ms": 900})
    stack.start_api()
    fleet = Fleet(stack, 2, slots=12)

    def p95_of(folder: str, *, first: int, poisoned_at: int | None = None) -> float:
        began, before = time.monotonic(), sum(states(engine).values())
        for number in range(PACED):
            post(stack, in_folder(folder, first + number))
            if number == poisoned_at:
                post(stack, in_folder(POISON, first + PACED))
            faults.wait_while(began + number / PER_S - time.monotonic(), fleet.look, every_s=0.02)
        expected = before + PACED + (poisoned_at is not None)

        def over() -> bool:
            fleet.look()
            return all_ended(engine, expected)

        until(over, "all ended", 120)
        return faults.percentile(
            [took for (took,) in invariants.rows(engine, TOOK.format(folder=folder))], 0.95
        )

    alone = p95_of("alone", first=0)
    beside = p95_of("beside", first=PACED, poisoned_at=PACED // 4)

    assert fleet.died == LOSSES
    assert beside <= SLOWER * alone
    invariants.check(engine, stack.truth())
    faults.tell(
        Told(
            broke="a job kills each worker that runs it, beside a steady load on two workers",
            often=f"1 job, {fleet.died} workers",
            jobs=2 * PACED + 1,
            bar="p95 of the others' time to an end less than 20 % longer than without it",
            measured=f"p95 {beside:.2f} s beside it, {alone:.2f} s without",
        )
    )


def test_the_largest_file_and_answers_without_end_leave_their_neighbours_alone(
    stack: Stack, engine: Engine
) -> None:
    stack.settings |= {"PATCHMILL_PROGRESS_TIMEOUT_S": "1", "PATCHMILL_CALL_DEADLINE_S": "8"}
    endless = ["S10_long_line", "S9_stall_with_comments"]
    stack.behave(
        latency_ms=300,
        faults=[{"wire_case": case, "times": TRIES, "match": case} for case in endless],
    )
    stack.start_api()
    worker = stack.start("worker")
    post(stack, *(in_folder("near", number) for number in range(NEIGHBOURS)))
    once_more = {"options": {"max_calls": TRIES}}
    never_ending = [in_folder(case, NEIGHBOURS + at, **once_more) for at, case in enumerate(endless)]
    bad = post(stack, *never_ending, *map(filled, SIZES))

    until(lambda: all_ended(engine, NEIGHBOURS + len(bad)), "all ended", 120)

    documents = [document(stack, job) for job in bad]
    assert [job["error"]["code"] for job in documents[: len(endless)]] == ["attempts_spent"] * len(endless)
    assert invariants.rows(engine, GIVEN_UP) == [(TRIES,)] * len(endless)
    assert {job["state"] for job in documents[len(endless) :]} == {"succeeded"}
    near = "SELECT DISTINCT outcome FROM jobs WHERE path LIKE 'near/%'"
    assert invariants.rows(engine, near) == [("verified",)]
    assert worker.poll() is None
    invariants.check(engine, stack.truth())
    faults.tell(
        Told(
            broke="answers without end (a line of 64 MiB, comments for ever), and files of 128 KiB and 1 MiB",
            often=f"{len(endless) * TRIES} answers, {len(SIZES)} files",
            jobs=NEIGHBOURS + len(bad),
            bar="each such call ends at a bound and its money stays uncertain; the neighbours are verified",
            measured=f"{len(endless) * TRIES} calls given up, none read on; {NEIGHBOURS} neighbours verified",
        )
    )
