import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.ledger import Spent
from patchmill.errors import Conflict, NotFound
from patchmill.job.record import ErrorCode, FindingStatus, Outcome
from patchmill.job.state import State
from patchmill.store import claims, jobs, ledger, retries
from patchmill.store.access import ensure_project
from patchmill.store.claims import Claim
from patchmill.store.ids import new_id
from patchmill.store.results import NOTHING, CheckRow, Found, SuggestionRow
from tests.support import invariants
from tests.support.claimed import admitted, claimed, dispatched, take

SPENT = Spent(input_tokens=100, cached_tokens=0, output_tokens=10)


def answered(engine: Engine, claim: Claim) -> uuid.UUID:
    """Buy one answer."""
    call_id = admitted(engine, claim)
    values = {"reply": "an answer", "finish_reason": "stop"}
    ending = ledger.Ending(billed=True, phase="answered", spent=SPENT, values=values)
    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, ending)
    return call_id


def fail(engine: Engine, claim: Claim, code: ErrorCode) -> None:
    error = {"code": code, "message": "m", "retryable": True, "details": {}}
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.FAILED, error=error)


def succeed(engine: Engine, claim: Claim, outcome: Outcome, found: Found = NOTHING) -> None:
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.SUCCEEDED, outcome=outcome, found=found)


def again(engine: Engine, job_id: uuid.UUID) -> jobs.JobRow:
    with engine.begin() as connection:
        return retries.retry(connection, ensure_project(connection, "default"), job_id, actor="user:ada")


def claim_again(engine: Engine, job_id: uuid.UUID) -> Claim:
    numbers = {each: number for each, number, _ in dispatched(engine)}
    claim = take(engine, job_id, numbers[job_id])
    assert claim is not None
    return claim


def value(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(statement)).one()


def test_a_job_asked_for_again_begins_with_fresh_limits(engine: Engine) -> None:
    claim = claimed(engine)
    for _ in range(2):
        answered(engine, claim)
    fail(engine, claim, ErrorCode.WORKER_LOST)
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET losses = 3, attempts = 12, failures_in_a_row = 4"))
        connection.execute(text("""UPDATE jobs SET skipped_rungs = '[{"rung": "escalation"}]'"""))

    row = again(engine, claim.job_id)

    assert (row.state, row.outcome, row.error, row.finished_at) == (State.QUEUED, None, None, None)
    assert (row.calls, row.input_tokens, row.timings) == (2, 200, {})
    taken = claim_again(engine, claim.job_id)
    assert (taken.fence, taken.attempts, taken.billed_calls, taken.failures_in_a_row) == (2, 1, 0, 0)
    assert tuple(value(engine, "SELECT losses, skipped_rungs FROM jobs")) == (0, [])
    assert taken.created_at > claim.created_at  # its time counts from when it was asked for again
    admitted(engine, taken)
    assert value(engine, "SELECT max(number) AS number FROM calls").number == 3
    fail(engine, taken, ErrorCode.INTERNAL)


@pytest.mark.parametrize(
    ("code", "serves"),
    [
        (ErrorCode.GATEWAY_UNAVAILABLE, True),
        (ErrorCode.BUDGET_EXHAUSTED, True),
        (ErrorCode.DEADLINE_EXCEEDED, True),
        (ErrorCode.INTERNAL, True),
        (ErrorCode.UNVERIFIED, False),
        (ErrorCode.MODEL_DECLINED, False),
    ],
)
def test_paid_answers_serve_again_unless_the_job_failed_on_them(
    engine: Engine, code: ErrorCode, *, serves: bool
) -> None:
    claim = claimed(engine)
    answered(engine, claim)
    fail(engine, claim, code)
    again(engine, claim.job_id)

    assert len(claim_again(engine, claim.job_id).replies) == int(serves)


def test_answers_that_were_given_up_stay_given_up(engine: Engine) -> None:
    claim = claimed(engine)
    answered(engine, claim)
    fail(engine, claim, ErrorCode.UNVERIFIED)
    again(engine, claim.job_id)
    second = claim_again(engine, claim.job_id)
    kept = answered(engine, second)
    fail(engine, second, ErrorCode.GATEWAY_UNAVAILABLE)
    again(engine, claim.job_id)

    third = claim_again(engine, claim.job_id)

    assert [reply.call_id for reply in third.replies] == [kept]
    assert third.billed_calls == 0
    succeed(engine, third, Outcome.PARTIAL)
    invariants.check_ledger(engine)


def test_what_the_earlier_try_found_is_removed_and_its_events_stay(engine: Engine) -> None:
    claim = claimed(engine)
    suggestion = SuggestionRow(
        id=new_id(),
        path="a.py",
        start_line=1,
        end_line=1,
        original="a\n",
        replacement="b\n",
        title="t",
        explanation="",
        status="verified",
        source="model",
        safety="unsafe",
        requires=(),
        committable=True,
        findings=(0,),
    )
    checks = [
        CheckRow(suggestion_id=each, call_id=None, check="parses", result="passed", detail="")
        for each in (suggestion.id, None)
    ]
    found = Found(offered=[suggestion], evidence=checks, fates={0: (FindingStatus.VERIFIED, None)})
    succeed(engine, claim, Outcome.PARTIAL, found)
    told = value(engine, "SELECT count(*) AS number FROM events").number

    again(engine, claim.job_id)

    assert tuple(
        value(engine, "SELECT (SELECT count(*) FROM suggestions), (SELECT count(*) FROM checks)")
    ) == (
        0,
        0,
    )
    assert tuple(value(engine, "SELECT status, reason FROM findings")) == ("pending", None)
    assert value(engine, "SELECT count(*) AS number FROM events").number == told + 1


def test_the_deadline_is_as_far_away_as_it_was_the_first_time(engine: Engine) -> None:
    claim = claimed(engine, deadline_s=120.0)
    for _ in range(3):
        fail(engine, claim, ErrorCode.DEADLINE_EXCEEDED)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET deadline_at = deadline_at - interval '1 hour' WHERE fence > 1")
            )
        again(engine, claim.job_id)
        row = value(engine, "SELECT deadline_at, run_at FROM jobs")
        assert row.deadline_at - row.run_at == timedelta(seconds=120)
        claim = claim_again(engine, claim.job_id)


def test_a_job_without_a_deadline_gets_none(engine: Engine) -> None:
    claim = claimed(engine)
    fail(engine, claim, ErrorCode.INTERNAL)
    again(engine, claim.job_id)

    assert value(engine, "SELECT deadline_at FROM jobs").deadline_at is None


def test_who_asked_again_is_written_down(engine: Engine) -> None:
    claim = claimed(engine)
    succeed(engine, claim, Outcome.UNCHECKED)
    again(engine, claim.job_id)

    entry = value(engine, "SELECT actor, action, subject, details FROM audit")
    assert tuple(entry) == (
        "user:ada",
        "job.retry",
        f"job_{claim.job_id.hex}",
        {"state": "succeeded", "outcome": "unchecked"},
    )


def test_a_job_that_has_not_ended_or_has_nothing_left_to_do_is_refused(engine: Engine) -> None:
    claim = claimed(engine)
    with pytest.raises(Conflict, match="is running"):
        again(engine, claim.job_id)
    with pytest.raises(NotFound):
        again(engine, new_id())
    succeed(engine, claim, Outcome.VERIFIED)
    with pytest.raises(Conflict, match="nothing to do"):
        again(engine, claim.job_id)

    assert value(engine, "SELECT count(*) AS number FROM audit").number == 0
