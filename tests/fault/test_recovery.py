import json
import signal
import uuid

import pytest
import redis
from sqlalchemy import Engine, text

from patchmill.queue.app import make_celery
from patchmill.queue.dispatch import Dispatch, MessageTemplate
from tests.support import invariants
from tests.support.jobs import all_succeeded, let_deadlines_pass, states, submit
from tests.support.processes import runs, started_by
from tests.support.services import cut_off
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

KEPT_S = "6"  # a lease that a busy machine keeps
EXIT_S = 60  # until a process that was told to stop has ended


def hold(stack: Stack, calls: int, *, deadline_s: int) -> None:
    """Let so many calls get no answer before they are released, or reach their deadline."""
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = str(deadline_s)
    stack.behave(faults=[{"fault": "hold", "times": calls}])


def calls_on_the_wire(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM calls WHERE state = 'sent'")) or 0


def test_a_hundred_jobs_submitted_at_once_all_end_verified(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    for _ in range(2):
        stack.start("worker")

    submit(stack, 100)

    until(lambda: all_succeeded(engine, 100), "100 jobs succeeded", 150)
    invariants.check(engine, stack.truth())
    verified = "SELECT count(*) FROM jobs WHERE outcome = 'verified'"
    assert invariants.rows(engine, verified)[0][0] == 100


def test_a_worker_killed_amid_ten_running_jobs_loses_none_and_buys_none_again(
    stack: Stack, engine: Engine
) -> None:
    stack.settings["PATCHMILL_LEASE_TTL_S"] = KEPT_S
    stack.start_api()
    hold(stack, 10, deadline_s=60)
    victim = stack.start("worker")
    submit(stack, 10)
    until(lambda: calls_on_the_wire(engine) == 10, "ten calls on the wire")

    victim.send_signal(signal.SIGKILL)
    stack.release()
    let_deadlines_pass(engine)
    stack.start("worker")

    until(lambda: all_succeeded(engine, 10), "ten jobs succeeded")
    invariants.check(engine, stack.truth())
    fences = invariants.rows(engine, "SELECT fence FROM jobs")
    assert {row.fence for row in fences} == {2}


def test_a_worker_killed_between_answer_and_end_resumes_from_the_stored_reply(
    stack: Stack, engine: Engine
) -> None:
    stack.start_api()
    victim = stack.start("worker")
    useless = "Nothing.\n\n```python\n<<<<<<< SEARCH\nabsent\n=======\npresent\n>>>>>>> REPLACE\n```\n"
    stack.behave(
        script=[{"match": None, "content": useless, "times": 1}],
        faults=[{"fault": "hold", "times": 1, "match": "cannot be used"}],
    )
    submit(stack, 1)
    until(lambda: stack.truth()["requests"] == 2 and calls_on_the_wire(engine) == 1, "a second call")

    victim.send_signal(signal.SIGKILL)
    stack.release()
    stack.start("worker")

    until(lambda: all_succeeded(engine, 1), "the job succeeded")
    invariants.check(engine, stack.truth())
    first_turns = "SELECT count(*) FROM calls WHERE jsonb_array_length(messages) = 2"
    assert invariants.rows(engine, first_turns)[0][0] == 1


def test_a_worker_killed_while_it_checks_leaves_no_process_and_no_folder(
    stack: Stack, engine: Engine
) -> None:
    stack.start_api()
    victim = stack.start("tests.support.slow_checking_worker")
    submit(stack, 3)

    left = until(lambda: started_by(victim.pid, name="sleep"), "a checker at work")
    assert list(stack.data_dir.glob("patchmill-checks-*/*"))

    victim.send_signal(signal.SIGKILL)
    victim.wait()

    until(lambda: not any(map(runs, left)), "the end of all that it had started")
    until(lambda: not list(stack.data_dir.glob("*patchmill-checks-*")), "no folder left")
    stack.start("worker")
    until(lambda: all_succeeded(engine, 3), "three jobs succeeded")
    invariants.check(engine, stack.truth())


def test_jobs_outlive_a_redis_that_is_wiped(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    submit(stack, 30)
    worker = stack.start("worker", PATCHMILL_GATEWAY_CONCURRENCY="4")
    stack.behave(latency_ms=100)
    until(lambda: states(engine).get("succeeded", 0) >= 3, "the first jobs done")
    worker.send_signal(signal.SIGSTOP)

    redis.Redis.from_url(stack.redis_url).flushall()
    worker.send_signal(signal.SIGCONT)

    until(lambda: all_succeeded(engine, 30), "thirty jobs succeeded")
    invariants.check(engine, stack.truth())


def test_an_unreachable_gateway_makes_jobs_wait_and_they_end_when_it_returns(
    stack: Stack, engine: Engine
) -> None:
    stack.settings["PATCHMILL_LEASE_TTL_S"] = KEPT_S
    stack.start_api()
    stack.start("worker", PATCHMILL_GATEWAY_URL="http://127.0.0.1:9/v1")
    (job_id,) = submit(stack, 1)

    def waiting() -> bool:
        with stack.http() as http:
            job = http.get(f"/v1/jobs/{job_id}").json()
        return job["state"] == "queued" and job["wait_reason"] == "gateway_down" and bool(job["run_at"])

    until(waiting, "the job waiting for the gateway")
    stack.processes[-1].terminate()
    assert stack.processes[-1].wait(EXIT_S) == 0
    stack.start("worker")

    until(lambda: all_succeeded(engine, 1), "the job succeeded")
    assert invariants.rows(engine, "SELECT attempts FROM jobs") == [(1,)]
    invariants.check(engine, stack.truth())


def test_a_terminated_worker_finishes_what_it_runs_and_exits_cleanly(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    hold(stack, 5, deadline_s=60)
    stack.settings |= {"PATCHMILL_STOP_GRACE_S": "60", "PATCHMILL_LEASE_TTL_S": KEPT_S}
    worker = stack.start("worker")
    submit(stack, 5)
    until(lambda: stack.truth()["in_flight"] == 5, "five calls on the wire")

    worker.terminate()
    stack.release()

    assert worker.wait(EXIT_S) == 0
    assert all_succeeded(engine, 5)
    assert invariants.rows(engine, "SELECT DISTINCT fence FROM jobs") == [(1,)]
    invariants.check(engine, stack.truth())


def test_a_frozen_worker_that_wakes_changes_nothing(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    hold(stack, 3, deadline_s=60)
    frozen = stack.start("worker")
    submit(stack, 3)
    until(lambda: stack.truth()["in_flight"] == 3, "three calls on the wire")

    frozen.send_signal(signal.SIGSTOP)
    let_deadlines_pass(engine)
    stack.start("worker")
    until(lambda: all_succeeded(engine, 3), "three jobs succeeded")
    stack.release()
    before = invariants.rows(engine, "SELECT id, finished_at FROM jobs ORDER BY id")
    frozen.send_signal(signal.SIGCONT)
    frozen.terminate()

    assert frozen.wait(EXIT_S) == 0
    assert invariants.rows(engine, "SELECT id, finished_at FROM jobs ORDER BY id") == before
    invariants.check(engine, stack.truth())


def test_answers_outlive_a_postgres_that_is_away_and_are_not_bought_again(
    stack: Stack, engine: Engine, postgres_url: str
) -> None:
    stack.start_api()
    hold(stack, 10, deadline_s=60)
    stack.start("worker")
    submit(stack, 10)
    until(lambda: stack.truth()["in_flight"] == 10, "ten calls on the wire")

    with cut_off(postgres_url, stack.database_url):
        stack.release()
        until(lambda: len(stack.truth()["rows"]) == 10, "every answer given while Postgres is away")

    until(lambda: all_succeeded(engine, 10), "ten jobs succeeded")
    invariants.check(engine, stack.truth())
    assert stack.truth()["requests"] == 10
    assert invariants.rows(engine, "SELECT DISTINCT state FROM calls") == [("settled",)]


def test_forged_repeated_and_broken_messages_do_no_harm(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    worker = stack.start("worker")
    (job_id,) = submit(stack, 1)
    until(lambda: all_succeeded(engine, 1), "the first job succeeded")
    template = MessageTemplate(make_celery(stack.redis_url, concurrency=1))
    ended = uuid.UUID(job_id.removeprefix("job_"))
    forged = [Dispatch(job_id=each, dispatch_no=1, queue="bulk") for each in (ended, ended, uuid.uuid4())]
    message = json.loads(template.fill(forged[0]))
    bodies = [json.dumps({**message, "body": body}) for body in (None, "!!!", "e30=")]
    broken = ["not json", "{}", '{"body": "AA==", "headers": {}, "properties": {}}', *bodies]
    unknown = template.fill(forged[0]).replace("patchmill.run_job", "os.system")
    client = redis.Redis.from_url(stack.redis_url)
    for message in [*(template.fill(each) for each in forged), unknown, *broken]:
        client.lpush("bulk", message)

    submit(stack, 5)

    until(lambda: all_succeeded(engine, 6), "six jobs succeeded")
    assert worker.poll() is None
    invariants.check(engine, stack.truth())
