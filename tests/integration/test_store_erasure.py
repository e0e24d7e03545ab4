import pytest
from sqlalchemy import Engine, select, text, update

from patchmill.budget.ledger import Spent
from patchmill.job.record import ErrorCode, Outcome
from patchmill.job.state import State
from patchmill.store import claims, erasure, ledger
from patchmill.store.claims import Claim
from patchmill.store.tables import calls, jobs
from tests.support.claimed import admitted, claimed

SECRET = "sesame_open"
ANSWERED = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=400, cached_tokens=128, output_tokens=50),
    values={"reply": SECRET, "finish_reason": "stop", "message": SECRET},
)


def fail(engine: Engine, claim: Claim, code: str = ErrorCode.WORKER_LOST) -> None:
    error = {"code": code, "message": f"about {SECRET}", "retryable": True, "details": {"said": [SECRET]}}
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.FAILED, error=error)


def erase(engine: Engine, claim: Claim) -> None:
    with engine.begin() as connection:
        erasure.erase(connection, claim.project_id, claim.job_id, actor="somebody")


def test_of_an_answer_that_comes_after_erasure_only_the_money_is_kept(engine: Engine) -> None:
    claim = claimed(engine)
    call_id = admitted(engine, claim)
    with engine.begin() as connection:
        ledger.suspend_open_call(connection, claim.job_id, "the worker was lost")
    fail(engine, claim)
    erase(engine, claim)

    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, ANSWERED)

    with engine.connect() as connection:
        call = connection.execute(select(calls).where(calls.c.id == call_id)).one()
    assert (call.state, call.output_tokens, call.finish_reason) == ("settled", 50, "stop")
    assert (call.messages, call.reply, call.message) == ([], None, None)


def test_what_has_come_back_is_erased_again_and_told_once(engine: Engine) -> None:
    claim = claimed(engine)
    call_id = admitted(engine, claim)
    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, ANSWERED)
    fail(engine, claim)
    erase(engine, claim)
    with engine.begin() as connection:
        first = connection.scalar(select(jobs.c.erased_at))
        connection.execute(update(calls).values(reply=SECRET))

    erase(engine, claim)

    with engine.connect() as connection:
        assert connection.scalar(select(calls.c.reply)) is None
        assert connection.scalar(select(jobs.c.erased_at)) == first
        assert connection.scalar(text("SELECT count(*) FROM audit WHERE action = 'job.erase'")) == 1


@pytest.mark.parametrize("code", ErrorCode)
def test_of_an_error_only_our_own_words_outlive_erasure(engine: Engine, code: ErrorCode) -> None:
    ours = {"budget_exhausted", "over_budget", "deadline_exceeded", "worker_lost", "internal"}
    claim = claimed(engine)
    fail(engine, claim, code)

    erase(engine, claim)

    with engine.connect() as connection:
        error = connection.scalars(select(jobs.c.error)).one()
    assert (error["code"], error["retryable"]) == (code, True)
    assert (SECRET in str(error)) == (code in ours)
    assert set(error) == {"code", "message", "retryable", "details"}


def test_a_job_that_ended_without_an_error_has_none_after_erasure(engine: Engine) -> None:
    claim = claimed(engine)
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.SUCCEEDED, outcome=Outcome.NO_CHANGE)

    erase(engine, claim)

    with engine.connect() as connection:
        assert connection.scalars(select(jobs.c.error)).one() is None
