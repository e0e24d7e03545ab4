"""Workers stand still for longer than their lease, each at a point of its call, and wake when all is done."""

import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.support import faults, invariants
from tests.support.faults import Told
from tests.support.jobs import all_succeeded, let_deadlines_pass, submit
from tests.support.nursery import Process
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(faults.timeout_s(300))]

STILL_S = faults.of_scale(0, 180)  # at least
# What a call came to is written whenever it is known, since it is money: with it, what its job has cost.
# Once it is awake a process also beats, and takes its part in dispatching, as any that lives.
OF_CALLS = {"calls", "ledger_entries", "call_windows", "circuits"}
OF_THE_LIVING = {"workers", "turns"}
COSTS = [
    "cost_picos",
    "uncertain_picos",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
]
BUT_COSTS = {
    "jobs": f"to_jsonb(t) - ARRAY{[*COSTS, 'event_seq']}",
    "events": "CASE WHEN t.type <> 'job.call' THEN to_jsonb(t) END",
}


def frozen_at(stack: Stack, point: str) -> Process:
    """Start a worker that stops itself at a point of its first call."""
    folder = stack.data_dir / point
    folder.mkdir()
    return stack.start(
        "tests.support.failing_worker", FAIL_FOLDER=str(folder), FAIL_AT=point, FAIL_HOW="stop"
    )


def stopped(process: Process) -> bool:
    status = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]
    return status.split()[0] == "T"


def written(engine: Engine) -> dict[str, list[str]]:
    """Give every row of every table, but what calls came to."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with engine.connect() as connection:
        names = sorted(set(connection.scalars(text(tables))) - OF_CALLS - OF_THE_LIVING)
        wanted = {
            name: f"SELECT ({BUT_COSTS.get(name, 'to_jsonb(t)')})::text AS row FROM {name} t ORDER BY 1"
            for name in names
        }
        return {
            name: [row for row in connection.scalars(text(query)) if row is not None]
            for name, query in wanted.items()
        }


def states_of_calls(engine: Engine) -> list[list[str]]:
    """Give the states of each job's calls, job by job in the order of submission."""
    calls = "SELECT array_agg(state ORDER BY number) FROM calls GROUP BY job_id ORDER BY job_id"
    return [states for (states,) in invariants.rows(engine, calls)]


def test_workers_that_wake_after_their_lease_write_nothing_and_send_no_call_twice(
    stack: Stack, engine: Engine
) -> None:
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "240"  # so that nothing is given up before all stand still
    stack.start_api()
    held = frozen_at(stack, "held")
    submit(stack, 1)
    until(lambda: stopped(held), "a worker stopped with a hold, before its call")
    sending = frozen_at(stack, "sending")
    submit(stack, 1, first=1)
    until(lambda: stopped(sending), "a worker stopped in the moment of sending")
    stack.behave(faults=[{"fault": "hold", "times": 1}])
    waiting = stack.start("worker")
    submit(stack, 1, first=2)
    until(lambda: stack.truth()["in_flight"] == 1, "a call on the wire")
    waiting.send_signal(signal.SIGSTOP)
    sleepers = [held, sending, waiting]

    let_deadlines_pass(engine)
    awake = stack.start("worker")
    until(lambda: all_succeeded(engine, 3), "three jobs done by another worker")
    awake.terminate()
    awake.wait(60)
    faults.wait_while(STILL_S)
    before, sent = written(engine), stack.truth()["requests"]
    stack.release()
    for sleeper in sleepers:
        sleeper.send_signal(signal.SIGCONT)
    until(lambda: stack.logs().count("claim lost; nothing is written") == 3, "all of them awake")
    for sleeper in sleepers:
        sleeper.terminate()
    assert [sleeper.wait(60) for sleeper in sleepers] == [0, 0, 0]

    until(lambda: stack.truth()["in_flight"] == 0, "nothing in flight")
    assert written(engine) == before
    truth = stack.truth()
    assert (sent, truth["requests"]) == (4, 5)  # only the one whose bytes were on their way is still sent
    before_it_was_sent, *later = states_of_calls(engine)
    assert before_it_was_sent == ["void", "settled"]
    assert [states[1] for states in later] == ["settled", "settled"]
    assert {states[0] for states in later} <= {"settled", "uncertain"}  # as the late answer came, or did not
    invariants.check(engine, truth)
    faults.tell(
        Told(
            broke="a worker stands still (SIGSTOP) for longer than its lease, before the call it holds for, "
            "in the moment of sending, and during its call; then it wakes",
            often=f"{len(sleepers)} workers",
            jobs=len(sleepers),
            bar="at most one request for each claim; who wakes writes nothing but what its call came to",
            measured=f"{truth['requests']} requests of {2 * len(sleepers)} claims, none by the one that "
            "stood still before its call; 0 rows written",
        )
    )
