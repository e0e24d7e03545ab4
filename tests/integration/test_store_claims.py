import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import Outcome
from patchmill.job.state import State, WaitReason
from patchmill.store import claims, dispatch, workers
from patchmill.store import jobs as stored
from tests.support import invariants
from tests.support.claimed import admitted, claimed, dispatched, submitted, take
from tests.support.event_writing import new_project, new_run


def state(engine: Engine, job_id: uuid.UUID) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT state FROM jobs WHERE id = :id"), {"id": job_id}))


def age(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_claimed_job_comes_with_its_whole_task(engine: Engine) -> None:
    taken = claimed(engine)

    assert taken.fence == 1
    assert taken.task.path == "a.py"
    assert [finding.rule for finding in taken.task.findings] == ["B006"]
    assert taken.replies == ()


def test_a_job_of_a_run_knows_the_rules_that_are_reported_in_all_its_files(engine: Engine) -> None:
    reported = {"ruff": ["B006", "E741"], "oxlint": ["no-debugger"]}
    _, [job_id] = new_run(engine, new_project(engine), 1, reported=reported)

    held = take(engine, job_id, dispatched(engine)[0][1])

    assert held is not None
    assert held.task.reported == reported
    alone = claimed(engine)
    assert alone.task.reported == {}


def test_an_old_or_repeated_message_claims_nothing(engine: Engine) -> None:
    job_id = submitted(engine)
    ((_, number, _),) = dispatched(engine)

    assert take(engine, job_id, number - 1) is None
    assert take(engine, job_id, number) is not None
    assert take(engine, job_id, number) is None


def test_of_many_claims_at_once_one_wins(engine: Engine) -> None:
    job_id = submitted(engine)
    ((_, number, _),) = dispatched(engine)
    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(lambda _: take(engine, job_id, number), range(6)))

    assert sum(each is not None for each in won) == 1


def test_dispatchers_at_once_never_exceed_the_window_and_never_dispatch_twice(engine: Engine) -> None:
    for number in range(12):
        submitted(engine, number)
    barrier = threading.Barrier(4)

    def act(_: int) -> list[tuple[uuid.UUID, int, str]]:
        barrier.wait()
        with engine.begin() as connection:
            return dispatch.dispatch_due(connection, window=7, limit=100)

    with ThreadPoolExecutor(4) as pool:
        given = [row for rows in pool.map(act, range(4)) for row in rows]

    assert len(given) == len({job_id for job_id, _, _ in given}) <= 7


def test_a_dispatch_that_is_never_claimed_is_taken_back(engine: Engine) -> None:
    job_id = submitted(engine)
    dispatched(engine)
    age(engine, "UPDATE jobs SET dispatched_at = now() - interval '1 minute'")

    with engine.begin() as connection:
        assert dispatch.take_back_stale(connection, older_than_s=30, limit=10) == 1

    assert state(engine, job_id) == State.QUEUED


def test_a_wait_is_due_only_when_its_time_has_come(engine: Engine) -> None:
    taken = claimed(engine)
    with engine.begin() as connection:
        claims.release(
            connection, taken.job_id, taken.fence, reason=WaitReason.RETRY, after_s=60, refund=True
        )

    assert dispatched(engine) == []
    age(engine, "UPDATE jobs SET run_at = now()")
    assert len(dispatched(engine)) == 1
    assert invariants.rows(engine, "SELECT attempts FROM jobs") == [(0,)]


def test_a_lost_claim_writes_nothing(engine: Engine) -> None:
    taken = claimed(engine)
    with engine.begin() as connection:
        claims.release(connection, taken.job_id, taken.fence, reason=None, after_s=0, refund=False)

    with pytest.raises(LostClaim), engine.begin() as connection:
        claims.finish(connection, taken.job_id, taken.fence, State.SUCCEEDED, outcome=Outcome.VERIFIED)

    assert state(engine, taken.job_id) == State.QUEUED


def lost(engine: Engine, orphans: tuple[workers.Held, ...] = ()) -> workers.LostJob | None:
    with engine.begin() as connection:
        return workers.lock_lost_job(connection, lease_ttl_s=30, quarantine_s=30, orphans=orphans)


def test_a_silent_workers_job_is_lost_and_a_beating_ones_is_not(engine: Engine) -> None:
    taken = claimed(engine)
    assert lost(engine) is None

    age(engine, "UPDATE workers SET heartbeat_at = now() - interval '31 seconds'")

    assert lost(engine) == workers.LostJob(
        job_id=taken.job_id, fence=1, losses=0, orphan=False, apart=False, policy={}
    )


def test_a_live_workers_orphan_is_found_by_the_dispatch_that_it_was_claimed_by(engine: Engine) -> None:
    taken = claimed(engine)

    assert lost(engine, ((taken.job_id, 2),)) is None
    found = lost(engine, ((taken.job_id, 1),))

    assert found is not None
    assert found.orphan


def test_a_call_on_the_wire_keeps_its_job_in_quarantine_until_its_deadline_and_more(engine: Engine) -> None:
    taken = claimed(engine)
    admitted(engine, taken)
    age(engine, "UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
    assert lost(engine) is None

    age(engine, "UPDATE calls SET deadline_at = now() - interval '31 seconds'")

    assert lost(engine) is not None


def test_cancelling_ends_what_waits_and_asks_what_runs(engine: Engine) -> None:
    waiting, running = submitted(engine), claimed(engine)
    with engine.begin() as connection:
        project_id = running.project_id
        first = stored.cancel(connection, project_id, waiting)
        second = stored.cancel(connection, project_id, running.job_id)

    assert first is not None
    assert second is not None
    assert (first.state, second.state, second.cancel_requested) == (
        State.CANCELLED,
        State.RUNNING,
        True,
    )


def test_a_deadline_that_passes_while_waiting_ends_the_job(engine: Engine) -> None:
    submitted(engine, deadline_s=60.0)
    age(engine, "UPDATE jobs SET deadline_at = now() - interval '1 second'")

    with engine.begin() as connection:
        assert dispatch.fail_overdue(connection, limit=10) == 1

    assert invariants.rows(engine, "SELECT state, error->>'code' FROM jobs") == [
        ("failed", "deadline_exceeded")
    ]


def test_the_end_of_an_overdue_job_tells_what_it_waited_for_and_its_event_no_more(engine: Engine) -> None:
    submitted(engine, deadline_s=60.0)
    waiting = submitted(engine, deadline_s=60.0)
    age(engine, "UPDATE jobs SET deadline_at = now() - interval '1 second'")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET wait_reason = 'budget', run_at = now() + interval '1 hour' WHERE id = :id"),
            {"id": waiting},
        )

        assert dispatch.fail_overdue(connection, limit=10) == 2

    assert invariants.rows(engine, "SELECT error->'details', wait_reason FROM jobs ORDER BY id") == [
        ({}, None),
        ({"wait_reason": "budget"}, None),
    ]
    told = "SELECT DISTINCT data->>'to', data->'wait_reason' FROM events WHERE data->>'to' = 'failed'"
    assert invariants.rows(engine, told) == [("failed", None)]


def test_a_job_to_be_cancelled_can_only_end_cancelled(engine: Engine) -> None:
    taken = claimed(engine)
    age(engine, "UPDATE jobs SET cancel_requested = true")

    with pytest.raises(CancelRequested), engine.begin() as connection:
        claims.finish(connection, taken.job_id, taken.fence, State.SUCCEEDED, outcome=Outcome.VERIFIED)
    with pytest.raises(CancelRequested), engine.begin() as connection:
        claims.release(connection, taken.job_id, taken.fence, reason=None, after_s=0, refund=True)
    with engine.begin() as connection:
        claims.finish(connection, taken.job_id, taken.fence, State.CANCELLED)

    assert state(engine, taken.job_id) == State.CANCELLED


def test_each_move_of_a_job_has_one_event_in_order(engine: Engine) -> None:
    taken = claimed(engine)
    with engine.begin() as connection:
        claims.finish(connection, taken.job_id, taken.fence, State.SUCCEEDED, outcome=Outcome.VERIFIED)

    events = invariants.rows(engine, "SELECT seq, data->>'to' AS target FROM events ORDER BY seq")

    assert [(event.seq, event.target) for event in events] == [
        (1, "queued"),
        (2, "dispatched"),
        (3, "running"),
        (4, "succeeded"),
    ]
