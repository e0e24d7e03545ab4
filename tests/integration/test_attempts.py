"""What attempts pay for, what they leave behind, and what later ones make of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.call.loop import CallLoop
from patchmill.call.reply import CallTimings, Rejected
from patchmill.call.request import ChatRequest
from patchmill.job.circuit import GATEWAY, Condition, Trip, Why
from patchmill.job.failure import Failure, FailureClass
from patchmill.job.record import ContextFile
from patchmill.store import access, circuits, claims
from tests.support import invariants
from tests.support.attempts import FALLBACK, FLASH, PRO, USELESS, Attempts, attempting
from tests.support.claimed import dispatched
from tests.support.stack import until
from worker.lease import Lease
from worker.pipeline import run_job
from worker.sweepers.lost_jobs import Sweeper

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def attempts(engine: Engine, database_url: str, redis_url: str) -> Iterator[Attempts]:
    with attempting(engine, database_url, redis_url) as made:
        yield made


def check_money(attempts: Attempts) -> None:
    invariants.check(attempts.engine, attempts.truth())


def test_an_unexpected_error_in_a_job_to_be_cancelled_leaves_no_call_open(
    engine: Engine, database_url: str, redis_url: str
) -> None:
    class Breaking(CallLoop):
        def call(self, *_: Any, **__: Any) -> Any:
            with engine.begin() as connection:
                connection.execute(text("UPDATE jobs SET cancel_requested = true"))
            raise RuntimeError("nobody expected this")

    with attempting(engine, database_url, redis_url, calls=Breaking) as attempts:
        job = attempts.run(attempts.submit())

        assert (job["state"], job["held_picos"]) == ("cancelled", 0)
        assert attempts.calls() == [("first", FLASH, "uncertain")]
        check_money(attempts)


def test_calls_that_were_under_way_when_a_parameter_was_dropped_are_made_anew_too(attempts: Attempts) -> None:
    process = attempts.process

    def asked() -> ChatRequest:
        able = process.capabilities.of(FLASH)
        return ChatRequest(model=FLASH, messages=(), max_tokens=10, stream=True, capability=able)

    failure = Failure(failure=FailureClass.REQUEST, message="`stream_options` is not known")
    refused = Rejected(
        failure=failure,
        code="invalid_param",
        parameter="stream_options",
        timings=CallTimings(first_token_ms=None, total_ms=0),
    )
    first, second = asked(), asked()

    assert process.drops_parameter(first, refused)
    assert process.drops_parameter(second, refused)
    assert not process.drops_parameter(asked(), refused)


def test_one_parameter_after_the_other_is_dropped_and_never_sent_again(attempts: Attempts) -> None:
    attempts.behave(odd={"refused_fields": ["response_format", "stream_options"]})
    attempts.run(attempts.submit(edit_format="json", escalate=False))

    states = [state for _, _, state in attempts.calls()]
    assert states[:3] == ["void", "void", "settled"]
    assert states.count("void") == 2
    check_money(attempts)


def test_a_parameter_that_cannot_be_left_out_ends_the_job_after_few_calls(attempts: Attempts) -> None:
    attempts.behave(odd={"refused_fields": ["stream", "stream_options"]})
    job = attempts.run(attempts.submit())

    assert job["error"]["code"] == "gateway_rejected"
    assert 1 < len(attempts.calls()) <= 3
    check_money(attempts)


def test_a_job_whose_only_call_brought_no_answer_says_so(attempts: Attempts) -> None:
    attempts.behave(faults=[{"fault": "truncate"}])
    job_id = attempts.submit(max_calls=1)
    assert attempts.run(job_id)["state"] == "queued"

    job = attempts.run(job_id)

    assert (job["state"], job["error"]["code"]) == ("failed", "attempts_spent")
    assert attempts.calls() == [("first", FLASH, "uncertain")]
    check_money(attempts)


def test_a_prompt_that_was_refused_as_too_long_is_not_sent_again_once_a_smaller_one_was_answered(
    attempts: Attempts,
) -> None:
    attempts.behave(
        faults=[{"fault": "400_context"}, {"fault": "503", "match": "cannot be used"}],
        script=[{"content": USELESS}],
    )
    context = (ContextFile(path="b.py", content="word = 1\n" * 500),)
    job_id = attempts.submit(context=context)
    assert attempts.run(job_id)["wait_reason"] == "retry"
    before = attempts.calls()
    assert before == [("first", FLASH, "void"), ("first", FLASH, "settled"), ("repair", FLASH, "void")]

    job = attempts.run(job_id)

    assert job["outcome"] == "verified"
    assert attempts.calls() == [*before, ("repair", FLASH, "settled")]
    check_money(attempts)


def test_what_the_fallback_answered_serves_when_the_first_model_is_back(attempts: Attempts) -> None:
    down = Trip(name=FLASH, state=Condition.DOWN, why=Why.FAILING, message="no")
    with attempts.engine.begin() as connection:
        circuits.trip(connection, down, probe_after_s=60.0)
    attempts.behave(faults=[{"fault": "503", "match": "cannot be used"}], script=[{"content": USELESS}])
    job_id = attempts.submit()
    assert attempts.run(job_id)["wait_reason"] == "retry"
    with attempts.engine.begin() as connection:
        circuits.close(connection, FLASH)

    job = attempts.run(job_id)

    assert job["outcome"] == "verified"
    assert attempts.calls() == [
        ("fallback", FALLBACK, "settled"),
        ("fallback", FALLBACK, "void"),
        ("repair", FLASH, "settled"),
    ]
    check_money(attempts)


def test_an_answer_cut_short_twice_is_not_asked_for_a_third_time(attempts: Attempts) -> None:
    attempts.behave(
        faults=[{"wire_case": "C6_length", "times": 2}, {"fault": "503"}],
        script=[{"content": USELESS, "times": 2}],
    )
    job_id = attempts.submit()
    assert attempts.run(job_id)["wait_reason"] == "retry"
    before = attempts.calls()
    assert before == [("first", FLASH, "settled"), ("first", FLASH, "settled"), ("repair", FLASH, "void")]

    job = attempts.run(job_id)

    assert job["outcome"] == "verified"
    assert attempts.calls() == [*before, ("repair", FLASH, "settled")]
    check_money(attempts)


def test_an_answer_cut_short_is_not_bought_again_with_less_room(attempts: Attempts) -> None:
    attempts.behave(faults=[{"wire_case": "C6_length"}], script=[{"content": USELESS, "times": 9}])
    job_id = attempts.submit(escalate=False)
    with attempts.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET max_cost_picos = 500000000"))

    attempts.run(job_id)

    assert attempts.calls() == [("first", FLASH, "settled"), ("repair", FLASH, "settled")]
    check_money(attempts)


def test_blank_answers_are_paid_and_the_next_rung_is_asked(attempts: Attempts) -> None:
    attempts.behave(faults=[{"fault": "empty", "times": 2}])
    job = attempts.run(attempts.submit())

    assert job["outcome"] == "verified"
    assert [(rung, model) for rung, model, _ in attempts.calls()] == [
        ("first", FLASH),
        ("repair", FLASH),
        ("escalation", PRO),
    ]
    check_money(attempts)


def test_a_job_that_may_not_pay_gives_the_probe_back(attempts: Attempts) -> None:
    refused = Trip(name=GATEWAY, state=Condition.PAUSED, why=Why.INSUFFICIENT_BALANCE, message="empty")
    with attempts.engine.begin() as connection:
        circuits.trip(connection, refused, probe_after_s=0.0)
    poor = attempts.submit()
    with attempts.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET max_cost_picos = 1"))
    rich = attempts.submit()
    assert attempts.run(poor)["error"]["code"] == "over_budget"

    assert attempts.run(rich)["outcome"] == "verified"

    with attempts.engine.begin() as connection:
        assert circuits.open_ones(connection) == {}


def test_a_message_that_comes_while_the_process_stops_goes_back_at_once(attempts: Attempts) -> None:
    job_id = attempts.submit()
    dispatched(attempts.engine)
    number = attempts.job(job_id)["dispatch_no"]
    attempts.process.lease.drain()

    run_job(attempts.process, job_id, number - 1)
    assert attempts.job(job_id)["state"] == "dispatched"
    run_job(attempts.process, job_id, number)

    job = attempts.job(job_id)
    assert (job["state"], job["attempts"], attempts.calls()) == ("queued", 0, [])


def test_a_model_that_answers_the_same_twice_is_not_asked_a_third_time(attempts: Attempts) -> None:
    attempts.behave(script=[{"content": USELESS, "times": 9}])
    job_id = attempts.submit()
    with attempts.engine.begin() as connection:
        connection.execute(text("UPDATE projects SET policy = '{\"repairs\": 2}'"))

    job = attempts.run(job_id)

    assert [(rung, model) for rung, model, _ in attempts.calls()] == [
        ("first", FLASH),
        ("repair", FLASH),
        ("escalation", PRO),
    ]
    assert job["skipped_rungs"] == [{"rung": "repair", "model": FLASH, "reason": "same_answer"}]
    check_money(attempts)


def test_the_stronger_model_is_left_out_where_the_job_cannot_pay_for_it(attempts: Attempts) -> None:
    attempts.behave(script=[{"content": USELESS, "times": 9}])
    job_id = attempts.submit()
    with attempts.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET max_cost_picos = 500000000"))

    job = attempts.run(job_id)

    assert [model for _, model, _ in attempts.calls()] == [FLASH, FLASH]
    assert [(each["rung"], each["model"]) for each in job["skipped_rungs"]] == [("escalation", PRO)]
    assert job["cost_picos"] <= 600_000_000
    check_money(attempts)


@pytest.mark.parametrize("reasoning", [False, True])
def test_the_stronger_model_reasons_if_the_project_says_so_and_has_room_for_its_answer_all_the_same(
    attempts: Attempts,
    reasoning: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    attempts.behave(faults=[{"fault": "empty", "times": 2}])
    job_id = attempts.submit()
    with attempts.engine.begin() as connection:
        access.change_policy(connection, attempts.job(job_id)["project_id"], {"reasoning": reasoning})

    assert attempts.run(job_id)["outcome"] == "verified"

    with attempts.engine.begin() as connection:
        told = text("SELECT rung, max_tokens, reasoning_tokens FROM calls ORDER BY number")
        calls = connection.execute(told).all()
    assert [call.reasoning_tokens > 0 for call in calls] == [False, False, reasoning]
    assert (calls[2].max_tokens > calls[0].max_tokens) == reasoning
    check_money(attempts)


def test_a_job_whose_message_comes_twice_is_nobodys_orphan(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "steady", lambda _: True)
    process = attempts.process
    sweeper = Sweeper(process, lease_ttl_s=60.0)
    process.calls.slots.set_limit(0)
    job_id = attempts.submit()
    [(_, dispatch_no, _)] = dispatched(attempts.engine)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(run_job, process, job_id, dispatch_no)
        until(lambda: process.calls.slots.waiting, "the job waiting for a slot")
        run_job(process, job_id, dispatch_no)

        assert [sweeper.sweep() for _ in range(3)] == [0, 0, 0]
        process.calls.slots.set_limit(1)
        first.result()

    job = attempts.job(job_id)
    assert (job["state"], job["attempts"], job["fence"]) == ("succeeded", 1, 1)
    assert not process.running


def test_of_those_that_may_lose_no_worker_more_only_the_one_at_work_loses_it(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "steady", lambda _: True)
    process, engine = attempts.process, attempts.engine
    process.calls.slots.set_limit(0)
    at_work, looking = attempts.submit(), attempts.submit()
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET losses = 2"))
    numbers = {job_id: number for job_id, number, _ in dispatched(engine)}
    with ThreadPoolExecutor() as threads:
        first = threads.submit(run_job, process, at_work, numbers[at_work])
        until(lambda: process.calls.slots.waiting, "the job waiting for a slot")
        with engine.begin() as connection:  # its worker dies in the moment in which the other one is claimed
            assert claims.claim(connection, looking, numbers[looking], process.lease.worker_id)
            connection.execute(text("UPDATE workers SET stopped_at = now()"))

        assert Sweeper(process, lease_ttl_s=60.0).sweep() == 2
        process.calls.slots.set_limit(1)
        first.result()

    lost, spared = attempts.job(at_work), attempts.job(looking)
    assert (lost["state"], lost["error"]["code"], lost["losses"]) == ("failed", "worker_lost", 3)
    assert (spared["state"], spared["wait_reason"], spared["losses"]) == ("queued", "retry", 2)


def test_a_model_that_used_more_than_was_held_is_paused_and_jobs_wait_until_somebody_resumes(
    engine: Engine, database_url: str, redis_url: str
) -> None:
    class Overrunning(CallLoop):
        def call(self, *args: Any, **more: Any) -> Any:
            outcome = super().call(*args, **more)
            assert outcome.usage is not None
            return replace(outcome, usage=replace(outcome.usage, output_tokens=10**6))

    with attempting(engine, database_url, redis_url, calls=Overrunning) as attempts:
        assert attempts.run(attempts.submit(model=FLASH))["outcome"] == "verified"

        later = attempts.submit(model=FLASH)
        waiting = attempts.run(later)
        assert (waiting["state"], waiting["wait_reason"], waiting["calls"]) == ("queued", "paused", 0)
        with engine.begin() as connection:
            assert circuits.open_ones(connection)[FLASH].why is Why.OVERRUN
            assert circuits.resume(connection, FLASH, actor="test")
        attempts.process.circuits.refresh()

        assert attempts.run(later)["outcome"] == "verified"
