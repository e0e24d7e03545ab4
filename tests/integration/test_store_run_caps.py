"""The cap of a run: its jobs together never spend more, however many of them ask at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, insert, select, update

from patchmill.budget.ledger import Amount
from patchmill.job.state import State
from patchmill.store import claims, ledger, retries
from patchmill.store.claims import Claim
from patchmill.store.ids import new_id
from patchmill.store.tables import calls, jobs, runs
from tests.support import invariants
from tests.support.claimed import HOLD, PLAN, claimed, decide

ROOM_FOR = 3


def run_of(engine: Engine, members: list[Claim], cap_picos: int | None) -> uuid.UUID:
    """Make a run of claimed jobs."""
    run_id = new_id()
    with engine.begin() as connection:
        row = {"id": run_id, "project_id": members[0].project_id, "kind": "fix", "state": "running"}
        more = {"findings": 0, "skipped": [], "origin": {}, "labels": {}, "max_cost_picos": cap_picos}
        connection.execute(insert(runs), row | more)
        ids = [claim.job_id for claim in members]
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(run_id=run_id))
    return run_id


def admit(engine: Engine, claim: Claim, hold: Amount = HOLD) -> bool:
    try:
        with engine.begin() as connection:
            ledger.admit(connection, claim.job_id, claim.fence, PLAN, decide(hold))
    except ledger.Refused:
        return False
    return True


def test_the_jobs_of_a_run_never_hold_more_than_its_cap_together(engine: Engine) -> None:
    members = [claimed(engine) for _ in range(12)]
    run_of(engine, members, ROOM_FOR * HOLD.picos)

    with ThreadPoolExecutor(len(members)) as threads:
        taken = list(threads.map(lambda claim: admit(engine, claim), members))

    assert sum(taken) == ROOM_FOR
    (held,) = invariants.rows(engine, "SELECT sum(held_picos) FROM jobs")
    assert held == (ROOM_FOR * HOLD.picos,)


def test_what_a_job_of_a_run_gives_back_another_may_take(engine: Engine) -> None:
    members = [claimed(engine) for _ in range(ROOM_FOR + 1)]
    run_of(engine, members, ROOM_FOR * HOLD.picos)
    assert [admit(engine, claim) for claim in members] == [True] * ROOM_FOR + [False]
    rejected = ledger.Ending(billed=False, phase="rejected", spent=None, values={"status": 503})

    with engine.begin() as connection:
        first = connection.scalars(select(calls.c.id).where(calls.c.job_id == members[0].job_id)).one()
        freed = ledger.end_call(connection, members[0].job_id, first, rejected)

    assert freed is ledger.EndedCall.FREED_ROOM
    assert admit(engine, members[-1])


def test_a_job_asked_for_again_while_its_run_is_being_cancelled_lets_the_run_go_on(engine: Engine) -> None:
    members = [claimed(engine) for _ in range(2)]
    run_of(engine, members, None)
    error = {"code": "worker_lost", "message": "m", "retryable": True, "details": {}}
    with engine.begin() as connection:
        connection.execute(update(runs).values(cancel_requested=True))
        claims.finish(connection, members[0].job_id, members[0].fence, State.FAILED, error=error)

    with engine.begin() as connection:
        retries.retry(connection, members[0].project_id, members[0].job_id, actor="test")

    assert invariants.rows(engine, "SELECT state, cancel_requested FROM runs") == [("running", False)]


def test_a_run_without_a_cap_limits_nothing(engine: Engine) -> None:
    members = [claimed(engine) for _ in range(4)]
    run_of(engine, members, None)

    assert all(admit(engine, claim) for claim in members)


def test_jobs_that_end_at_once_end_their_run_once(engine: Engine) -> None:
    members = [claimed(engine) for _ in range(12)]
    run_id = run_of(engine, members, None)

    def fail(claim: Claim) -> None:
        with engine.begin() as connection:
            error = {"code": "unverified", "message": "m", "retryable": True, "details": {}}
            target = State.FAILED
            claims.finish(connection, claim.job_id, claim.fence, target, error=error)

    with ThreadPoolExecutor(len(members)) as threads:
        list(threads.map(fail, members))

    told = invariants.rows(
        engine, "SELECT seq, data->>'to' FROM events WHERE type = 'run.state' AND job_id IS NULL"
    )
    assert [to for _, to in told] == ["finished"]
    counted = invariants.rows(
        engine, "SELECT data->'jobs'->>'failed' FROM events WHERE type = 'run.progress' ORDER BY seq"
    )
    assert [int(number) for (number,) in counted] == list(range(1, len(members) + 1))
    (row,) = invariants.rows(engine, "SELECT state, outcome FROM runs")
    assert row == ("finished", "failed")
    assert invariants.rows(engine, "SELECT DISTINCT run_id FROM events WHERE type LIKE 'run.%'") == [
        (run_id,)
    ]
