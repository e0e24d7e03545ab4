"""A worker dies at each step of a call: the job goes on, and its money is where the next one finds it."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from patchmill.call.loop import CallLoop
from patchmill.call.reply import CallOutcome
from tests.support import invariants, ledger_audit
from tests.support.attempts import FLASH, Attempts, Died, attempting
from tests.support.stack import until
from worker.circuits import Circuits, Permit
from worker.sweepers.lost_jobs import Sweeper

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

TTL_S = 3.0
CALL_S = 2.0  # until a call's deadline
Parts = tuple[type[CallLoop], type[Circuits]]
Where = tuple[Engine, str, str]


@pytest.fixture
def where(engine: Engine, database_url: str, redis_url: str) -> Where:
    return engine, database_url, redis_url


class Once:
    """Lets one thread die, the first that comes."""

    died = False

    @classmethod
    def die(cls) -> None:
        if not cls.died:
            cls.died = True
            raise Died


def dying_before_it_sends() -> Parts:
    class Death(Once):
        pass

    class Calls(CallLoop):
        def call(self, *given: Any, **named: Any) -> CallOutcome:
            Death.die()
            return super().call(*given, **named)

    return Calls, Circuits


def dying_before_it_settles() -> Parts:
    class Death(Once):
        pass

    class Calls(CallLoop):
        def call(self, *given: Any, **named: Any) -> CallOutcome:
            outcome = super().call(*given, **named)
            Death.die()
            return outcome

    return Calls, Circuits


def dying_before_it_trips() -> Parts:
    class Death(Once):
        pass

    class Dying(Circuits):
        def leave(self, permit: Permit, outcome: CallOutcome) -> None:
            Death.die()
            super().leave(permit, outcome)

    return CallLoop, Dying


def living(where: Where, parts: Parts) -> AbstractContextManager[Attempts]:
    engine, database_url, redis_url = where
    calls, circuits = parts
    return attempting(
        engine,
        database_url,
        redis_url,
        calls=calls,
        circuits=circuits,
        call_deadline_s=CALL_S,
        lease_ttl_s=TTL_S,
    )


def run_into_death(attempts: Attempts, **behaviour: Any) -> Any:
    """Let an attempt die, and have its job taken back as any worker process would; gives the job's id."""
    attempts.behave(**behaviour)
    job_id = attempts.submit()
    with pytest.raises(Died):
        attempts.run(job_id)
    sweeper = Sweeper(attempts.process, lease_ttl_s=TTL_S)
    until(sweeper.sweep, "the job taken back")
    assert attempts.job(job_id)["state"] == "queued"
    return job_id


def patient(attempts: Attempts) -> Attempts:
    """Give a process like it, whose calls a busy machine ends in time."""
    return replace(attempts, process=replace(attempts.process, call_deadline_s=60.0))


@pytest.mark.parametrize(
    ("dying", "requests", "calls"),
    [
        (dying_before_it_sends, 1, ["uncertain", "settled"]),
        (dying_before_it_settles, 2, ["uncertain", "settled"]),
        (dying_before_it_trips, 1, ["settled"]),
    ],
)
def test_a_job_outlives_the_death_of_its_worker_at_each_step_of_a_call(
    where: Where, *, dying: Any, requests: int, calls: list[str]
) -> None:
    with living(where, dying()) as attempts:
        job_id = run_into_death(attempts)

        assert patient(attempts).run(job_id)["outcome"] == "verified"

        assert attempts.calls() == [("first", FLASH, state) for state in calls]
        assert attempts.truth()["requests"] == requests
        invariants.check(where[0], attempts.truth())


def test_a_refusal_whose_circuit_was_never_opened_is_met_by_the_next_call(
    where: Where,
) -> None:
    with living(where, dying_before_it_trips()) as attempts:
        job_id = run_into_death(attempts, faults=[{"fault": "401", "times": 2}])

        assert patient(attempts).run(job_id)["wait_reason"] == "gateway_account"

        assert attempts.calls() == [("first", FLASH, "void")] * 2
        assert ledger_audit.audit(where[0], attempts.truth()).differences == []
