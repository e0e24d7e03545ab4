"""Each row of the table in docs/reliability.md that is about a call: what is killed, and what holds then."""

import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.windows import WindowKind
from patchmill.queue.app import make_celery
from patchmill.queue.dispatch import Broker, Dispatch, MessageTemplate
from patchmill.store import jobs as stored_jobs
from patchmill.store.access import change_policy, ensure_project
from patchmill.store.budgets import add_budget
from patchmill.store.engine import open_engine
from tests.support import faults, invariants
from tests.support.claimed import dispatched, submitted
from tests.support.faults import Told
from tests.support.nursery import Process
from tests.support.own_services import OwnPostgres, OwnValkey, own_postgres, own_valkey
from tests.support.stack import Stack, standing, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(faults.timeout_s(240))]

DEADLINE_S = 100.0
KEPT_S = "6"  # a lease that a busy machine keeps
FLASH_OUTPUT_PICOS = 280_000
AT_ONCE = 10  # jobs at a point: some of them hold a connection there, of which a worker has 16
KILLS = faults.of_scale(1, 3)
CALLS_OF_JOBS = """
    SELECT states, fence, count(*) FROM (
        SELECT array_agg(c.state ORDER BY c.number) AS states, j.fence
        FROM jobs j JOIN calls c ON c.job_id = j.id GROUP BY j.id
    ) each GROUP BY 1, 2
"""


def start_failing(stack: Stack, point: str, how: str = "die", **more: str) -> Process:
    """Start a worker that comes to its end at a point of its first call."""
    folder = {"FAIL_FOLDER": str(stack.data_dir), "FAIL_AT": point, "FAIL_HOW": how}
    return stack.start("tests.support.failing_worker", **folder, **more)


def reached(stack: Stack) -> None:
    until((stack.data_dir / "reached").exists, "the point of failure", DEADLINE_S)


def go_on(stack: Stack) -> None:
    (stack.data_dir / "go").touch()


def all_ended(engine: Engine, stack: Stack, state: str = "succeeded") -> None:
    """Wait until every job has ended so, and hold the ledgers beside each other."""
    ended = "SELECT DISTINCT state FROM jobs"
    until(lambda: invariants.rows(engine, ended) == [(state,)], f"all jobs {state}", DEADLINE_S)
    until(lambda: stack.truth()["in_flight"] == 0, "nothing in flight")
    invariants.check(engine, stack.truth())


def calls(engine: Engine) -> list[str]:
    """Give the states of all calls, in order."""
    return [state for (state,) in invariants.rows(engine, "SELECT state FROM calls ORDER BY sent_at, number")]


def hold_the_first(stack: Stack) -> None:
    """Have the first request held until it is released, which no deadline ends meanwhile."""
    stack.settings |= {
        "PATCHMILL_CALL_DEADLINE_S": "100",
        "PATCHMILL_FIRST_DATA_TIMEOUT_S": "90",
        "PATCHMILL_LEASE_TTL_S": KEPT_S,
    }
    stack.behave(faults=[{"fault": "hold", "times": 1}])


def on_the_wire(stack: Stack) -> None:
    until(lambda: stack.truth()["in_flight"] == 1, "a call on the wire", DEADLINE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What is there of each job when its worker was killed at a point, and another has done it."""

    words: str
    states: tuple[str, ...] = ("settled",)  # of its calls
    requests: int = 1
    fence: int = 2
    threads: int = AT_ONCE


POINTS = {
    "dispatched": Point(words="before it pushes the message of what it dispatched", fence=1, threads=1),
    "taken": Point(words="with the message, before the claim", fence=1),
    "claimed": Point(words="after the claim"),
    "before the hold": Point(words="before the hold"),
    "held": Point(words="after the hold, before it sends", states=("uncertain", "settled")),
    "answered": Point(words="with the answer", states=("uncertain", "settled"), requests=2),
    "settled": Point(words="after the settlement"),
    "verified": Point(words="before the job's end is written"),
    "ended": Point(words="after the job's end", fence=1),
}


@pytest.mark.parametrize("name", POINTS)
def test_a_worker_killed_at_a_point_of_its_call_loses_no_money_and_no_job(
    stack: Stack, engine: Engine, name: str
) -> None:
    point = POINTS[name]
    for kill in range(KILLS):
        for number in range(AT_ONCE):
            submitted(engine, kill * AT_ONCE + number)
        victim = start_failing(stack, name, FAIL_THREADS=str(point.threads))
        assert victim.wait(DEADLINE_S) == -signal.SIGKILL

        heir = stack.start("worker", PATCHMILL_CALL_DEADLINE_S="60")  # a busy machine ends no call
        all_ended(engine, stack)
        heir.send_signal(signal.SIGKILL)
        heir.wait()

    jobs = KILLS * AT_ONCE
    seen = invariants.rows(engine, CALLS_OF_JOBS)
    assert [tuple(row) for row in seen] == [(list(point.states), point.fence, jobs)]
    assert stack.truth()["requests"] == point.requests * jobs
    faults.tell(
        Told(
            broke=f"a worker is killed at one of {len(POINTS)} points of a job",
            often=f"{KILLS} kills at each, with {AT_ONCE} jobs at the point",
            jobs=jobs,
            bar="requests, calls and claims of each job as in the table of what breaks during a call",
            measured=f"{point.words}: {jobs} of {jobs}",
        )
    )


def test_a_worker_killed_in_the_middle_of_an_answer_keeps_its_hold_and_accepts_no_part(
    stack: Stack, engine: Engine
) -> None:
    stack.behave(chunk_delay_ms=400)
    submitted(engine)
    victim = stack.start("worker", PATCHMILL_CALL_DEADLINE_S="10")
    begun = "SELECT 1 FROM events WHERE data->>'phase' = 'first_token'"
    until(lambda: invariants.rows(engine, begun), "the first token", DEADLINE_S)

    victim.send_signal(signal.SIGKILL)
    stack.behave()
    stack.start("worker", PATCHMILL_CALL_DEADLINE_S="60")

    all_ended(engine, stack)
    assert calls(engine) == ["uncertain", "settled"]
    assert invariants.rows(engine, "SELECT reply FROM calls WHERE state = 'uncertain'") == [(None,)]


def test_what_follows_the_loss_of_a_worker_in_a_call_is_up_to_the_project(
    stack: Stack, engine: Engine
) -> None:
    submitted(engine, project="patient")
    submitted(engine, 1, project="strict")
    with engine.begin() as connection:
        strict = ensure_project(connection, "strict")
        change_policy(connection, strict, {"unknown": "fail"})
    victim = start_failing(stack, "answered", FAIL_THREADS="2")
    assert victim.wait(DEADLINE_S) == -signal.SIGKILL

    stack.start("worker", PATCHMILL_CALL_DEADLINE_S="60")

    ended = """
        SELECT p.name, j.state, j.error->>'code' FROM jobs j JOIN projects p ON p.id = j.project_id ORDER BY 1
    """
    wanted = [("patient", "succeeded", None), ("strict", "failed", "call_unknown")]
    until(lambda: invariants.rows(engine, ended) == wanted, "both ends", DEADLINE_S)
    until(lambda: stack.truth()["in_flight"] == 0, "nothing in flight")
    invariants.check(engine, stack.truth())
    assert sorted(calls(engine)) == ["settled", "uncertain", "uncertain"]


def test_a_message_that_comes_again_after_the_end_does_nothing(stack: Stack, engine: Engine) -> None:
    job_id = submitted(engine)
    victim = start_failing(stack, "ended")
    assert victim.wait(DEADLINE_S) == -signal.SIGKILL
    push(stack, [(job_id, 1)] * 2)

    worker = stack.start("worker")

    until(lambda: queued_messages(stack) == 0, "the messages taken", DEADLINE_S)
    worker.terminate()
    worker.wait(DEADLINE_S)
    all_ended(engine, stack)
    assert calls(engine) == ["settled"]
    assert invariants.rows(engine, "SELECT fence FROM jobs") == [(1,)]


def push(stack: Stack, messages: list[tuple[uuid.UUID, int]]) -> None:
    """Push messages for jobs, as a dispatcher does."""
    template = MessageTemplate(make_celery(stack.redis_url, concurrency=1))
    broker = Broker(stack.redis_url)
    filled = [template.fill(Dispatch(job_id=job, dispatch_no=no, queue="bulk")) for job, no in messages]
    broker.push([("bulk", message) for message in filled])
    broker.close()


def queued_messages(stack: Stack) -> int:
    broker = Broker(stack.redis_url)
    try:
        return int(str(broker._redis.llen("bulk")))  # it offers no look at a queue
    finally:
        broker.close()


def test_two_workers_with_the_same_message_make_one_call(stack: Stack, engine: Engine) -> None:
    ids = [submitted(engine, number) for number in range(6)]
    numbers = {job_id: number for job_id, number, _ in dispatched(engine)}
    push(stack, [(job_id, numbers[job_id]) for job_id in ids for _ in range(4)])
    stack.settings["PATCHMILL_LEASE_TTL_S"] = KEPT_S

    for _ in range(2):
        stack.start("worker")

    all_ended(engine, stack)
    assert calls(engine) == ["settled"] * 6
    assert invariants.rows(engine, "SELECT DISTINCT fence FROM jobs") == [(1,)]


def test_a_worker_that_wakes_with_an_answer_after_it_was_given_up_settles_what_was_uncertain(
    stack: Stack, engine: Engine
) -> None:
    submitted(engine)
    sleeper = start_failing(stack, "answered", "wait")
    reached(stack)
    sleeper.send_signal(signal.SIGSTOP)
    stack.start("worker", PATCHMILL_CALL_DEADLINE_S="60")
    until(lambda: calls(engine) == ["uncertain", "settled"], "the job done by another worker", DEADLINE_S)

    go_on(stack)
    sleeper.send_signal(signal.SIGCONT)

    until(lambda: calls(engine) == ["settled", "settled"], "the late answer settled", DEADLINE_S)
    all_ended(engine, stack)
    assert stack.truth()["requests"] == 2


def test_a_job_cancelled_during_its_call_settles_what_the_call_cost(stack: Stack, engine: Engine) -> None:
    hold_the_first(stack)
    job_id = submitted(engine)
    stack.start("worker")
    on_the_wire(stack)

    with engine.begin() as connection:
        stored_jobs.cancel(connection, ensure_project(connection, "default"), job_id)
    stack.release()

    all_ended(engine, stack, "cancelled")
    assert calls(engine) == ["settled"]


def test_a_call_settles_in_the_window_that_it_was_held_in(stack: Stack, engine: Engine) -> None:
    hourly_limit(engine)
    hold_the_first(stack)
    submitted(engine)
    stack.start("worker")
    on_the_wire(stack)

    an_hour_passes(engine)
    stack.release()
    all_ended(engine, stack)
    submitted(engine, 1)

    all_ended(engine, stack)
    windows = (
        "SELECT settled_picos > 0 AS spent, held_picos + uncertain_picos FROM windows ORDER BY starts_at"
    )
    assert invariants.rows(engine, windows) == [(True, 0), (True, 0)]
    seen = "SELECT count(DISTINCT window_id) FROM call_windows"
    assert invariants.rows(engine, seen) == [(2,)]


def hourly_limit(engine: Engine) -> None:
    with engine.begin() as connection:
        add_budget(
            connection,
            name="hourly",
            scope="installation",
            project_id=None,
            key_id=None,
            window=WindowKind.HOUR,
            time_zone="UTC",
            limit_picos=10**12,
            limit_tokens=None,
            at_limit="wait",
        )


def an_hour_passes(engine: Engine) -> None:
    """Make what the windows hold an hour older."""
    older = "UPDATE windows SET starts_at = starts_at - :span, resets_at = resets_at - :span"
    with engine.begin() as connection:
        connection.execute(text(older), {"span": timedelta(hours=1)})


def test_a_call_costs_what_its_tokens_cost_when_it_was_held(stack: Stack, engine: Engine) -> None:
    hold_the_first(stack)
    submitted(engine)
    stack.start("worker")
    on_the_wire(stack)

    dearer = """
        INSERT INTO prices (model, input_picos, cached_picos, output_picos, valid_from, source)
        SELECT model, 9 * input_picos, 9 * cached_picos, 9 * output_picos, now(), 'test' FROM prices
    """
    with engine.begin() as connection:
        connection.execute(text(dearer))
    stack.release()

    all_ended(engine, stack)  # and at the stand-in's prices, which are those of before
    assert invariants.rows(engine, "SELECT output_picos FROM calls") == [(FLASH_OUTPUT_PICOS,)]


@pytest.fixture
def valkey_of_ones_own() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


def test_redis_killed_during_calls_changes_no_money(
    stack: Stack, engine: Engine, valkey_of_ones_own: OwnValkey
) -> None:
    stack.redis_url = valkey_of_ones_own.url
    hold_the_first(stack)
    for number in range(4):
        submitted(engine, number)
    stack.start("worker")
    until(lambda: stack.truth()["in_flight"] >= 1, "a call on the wire", DEADLINE_S)

    valkey_of_ones_own.kill()
    stack.release()
    valkey_of_ones_own.start()

    all_ended(engine, stack)
    assert calls(engine) == ["settled"] * 4


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def own_stack(server: OwnPostgres, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """As `stack`, on a Postgres that the test may kill."""
    with server.database("crash") as url, standing(url, redis_url, tmp_path) as made:
        yield made


@pytest.fixture
def own_engine(own_stack: Stack) -> Iterator[Engine]:
    engine = open_engine(own_stack.database_url, pool_size=2)
    yield engine
    engine.dispose()


def test_postgres_killed_before_a_hold_lets_no_call_be_made(
    own_stack: Stack, own_engine: Engine, server: OwnPostgres
) -> None:
    submitted(own_engine)
    start_failing(own_stack, "before the hold", "wait")
    reached(own_stack)
    own_engine.dispose()

    server.kill()
    go_on(own_stack)
    until(lambda: "postgres is away" in own_stack.logs(), "the worker told of it", DEADLINE_S)
    assert own_stack.truth()["requests"] == 0
    server.start()

    all_ended(own_engine, own_stack)
    assert calls(own_engine) == ["settled"]


def test_postgres_killed_during_a_call_settles_it_on_return(
    own_stack: Stack, own_engine: Engine, server: OwnPostgres
) -> None:
    hold_the_first(own_stack)
    submitted(own_engine)
    own_stack.start("worker")
    on_the_wire(own_stack)
    own_engine.dispose()

    server.kill()
    own_stack.release()
    until(lambda: own_stack.truth()["in_flight"] == 0, "the answer given while Postgres is away", DEADLINE_S)
    server.start()

    all_ended(own_engine, own_stack)
    assert calls(own_engine) == ["settled"]
    assert own_stack.truth()["requests"] == 1
