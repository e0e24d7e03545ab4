"""What a pause of a project or a queue keeps from being dispatched, over a real Postgres."""

import uuid

import pytest
from sqlalchemy import Engine, select, text

from patchmill.job.pause import Part
from patchmill.job.record import Priority
from patchmill.store import claims, dispatch, jobs, pauses, queues
from patchmill.store.jobs import JobFilter
from patchmill.store.stats import stats
from patchmill.store.tables import audit
from tests.integration.test_store_fairness import queue
from tests.support.attempts import attempting
from tests.support.claimed import claimed, dispatched, worker
from tests.support.event_writing import new_project
from worker.pipeline import run_job

WINDOW = 6


def begin(engine: Engine, window: int = WINDOW) -> list[uuid.UUID]:
    with engine.begin() as connection:
        return [job_id for job_id, _, _ in dispatch.dispatch_due(connection, window=window, limit=200)]


def owners(engine: Engine, job_ids: list[uuid.UUID]) -> list[uuid.UUID]:
    with engine.begin() as connection:
        found = {
            row.id: row.project_id for row in connection.execute(text("SELECT id, project_id FROM jobs"))
        }
    return [found[job_id] for job_id in job_ids]


def pause(engine: Engine, part: Part, reason: str = "because") -> bool:
    with engine.begin() as connection:
        return pauses.pause(connection, part, reason, actor="user:ada")


def resume(engine: Engine, part: Part) -> bool:
    with engine.begin() as connection:
        return pauses.resume(connection, part, actor="user:ada")


def test_a_paused_project_takes_no_place_and_is_dispatched_at_once_after_it(engine: Engine) -> None:
    paused, other = new_project(engine), new_project(engine)
    with engine.begin() as connection:
        queue(connection, paused, 40)
        queue(connection, other, 40)
    assert pause(engine, Part(project_id=paused))

    assert owners(engine, begin(engine)) == [other] * WINDOW
    assert begin(engine) == []

    assert resume(engine, Part(project_id=paused))
    assert owners(engine, begin(engine, 2 * WINDOW)) == [paused] * WINDOW


def test_of_a_paused_queue_nothing_is_dispatched_not_even_of_the_same_file(engine: Engine) -> None:
    project = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project, 20, files=1)
        queue(connection, project, 3, files=1, priority="interactive", first=100)
    pause(engine, Part(queue=Priority.BULK))

    assert len(begin(engine)) == 3
    assert begin(engine) == []
    with engine.begin() as connection:
        left = connection.execute(text("SELECT DISTINCT priority FROM jobs WHERE state = 'queued'")).all()
    assert [row.priority for row in left] == ["bulk"]

    resume(engine, Part(queue=Priority.BULK))
    assert len(begin(engine)) == WINDOW - 3


def test_what_was_dispatched_and_not_claimed_is_taken_back_and_its_message_claims_nothing(
    engine: Engine,
) -> None:
    project = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project, 4)
    sent = dispatched(engine, limit=4)
    running, unclaimed = sent[0], sent[1]
    worker_id = worker(engine)
    with engine.begin() as connection:
        assert claims.claim(connection, running[0], running[1], worker_id) is not None

    pause(engine, Part(project_id=project))

    with engine.begin() as connection:
        assert claims.claim(connection, unclaimed[0], unclaimed[1], worker_id) is None
        states = connection.scalars(text("SELECT state FROM jobs ORDER BY state")).all()
        details = connection.scalars(select(audit.c.details)).one()
    assert states == ["queued", "queued", "queued", "running"]
    assert details == {"reason": "because", "taken_back": 3}


def test_pausing_and_resuming_again_changes_nothing_and_is_not_audited(engine: Engine) -> None:
    part = Part(project_id=new_project(engine))

    assert [pause(engine, part, "one"), pause(engine, part, "two")] == [True, False]
    with engine.begin() as connection:
        [standing] = pauses.standing(connection)
    assert (standing.part, standing.reason, standing.actor) == (part, "one", "user:ada")
    assert [resume(engine, part), resume(engine, part)] == [True, False]

    with engine.begin() as connection:
        assert pauses.standing(connection) == []
        actions = connection.scalars(select(audit.c.action).order_by(audit.c.id)).all()
    assert actions == ["project.pause", "project.resume"]


def test_what_a_pause_holds_back_is_waiting_for_it_and_not_due(engine: Engine) -> None:
    project, other = new_project(engine), new_project(engine)
    with engine.begin() as connection:
        queue(connection, project, 3, waited_s=60)
        queue(connection, other, 2, priority="interactive")
        connection.execute(
            text(
                "UPDATE jobs SET wait_reason = 'retry', run_at = now() + interval '1 hour'"
                " WHERE id = (SELECT id FROM jobs WHERE project_id = :project LIMIT 1)"
            ),
            {"project": project},
        )
    pause(engine, Part(project_id=project))

    with engine.begin() as connection:
        rows = jobs.find_many(connection, project, JobFilter(), before=None, limit=10)
        seen = queues.look(connection)
        numbers = stats(connection, None, lease_ttl_s=30)
    assert sorted(row.wait_reason or "" for row in rows) == ["paused", "paused", "retry"]
    by_name = {each.name: each for each in seen.queues}
    bulk, interactive = by_name[Priority.BULK], by_name[Priority.INTERACTIVE]
    assert (bulk.due, dict(bulk.waiting), bulk.oldest_due_at) == (0, {"paused": 2, "retry": 1}, None)
    assert (interactive.due, dict(interactive.waiting)) == (2, {})
    [place] = [place for place in seen.places if place.id == project]
    assert place.pause is not None
    assert (numbers.queued, numbers.waiting) == (2, 3)
    assert numbers.oldest_queued_s < 60


def test_the_deadline_of_a_job_holds_while_its_project_is_paused(engine: Engine) -> None:
    project = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project, 1)
        connection.execute(text("UPDATE jobs SET deadline_at = now()"))
    pause(engine, Part(project_id=project))

    with engine.begin() as connection:
        assert dispatch.fail_overdue(connection, limit=10) == 1


@pytest.mark.parametrize("part", ["project", "queue"])
def test_a_job_that_runs_makes_no_call_while_it_is_paused_and_loses_nothing(
    engine: Engine, database_url: str, redis_url: str, part: str
) -> None:
    with attempting(engine, database_url, redis_url) as attempts:
        job_id = attempts.submit()
        job = attempts.job(job_id)
        project = Part(project_id=job["project_id"])
        paused = project if part == "project" else Part(queue=Priority(job["priority"]))
        taken = dispatched(engine)
        # After the dispatch and the claim, as when it is between two calls.
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO pauses (id, project_id, queue, reason, actor)"
                    " VALUES (gen_random_uuid(), :project_id, :queue, '', 'host')"
                ),
                {"project_id": paused.project_id, "queue": paused.queue},
            )
        attempts.process.pauses.refresh()
        run_job(attempts.process, job_id, taken[0][1])

        waiting = attempts.job(job_id)
        assert (waiting["state"], waiting["wait_reason"], waiting["attempts"]) == ("queued", "paused", 0)
        assert (waiting["calls"], attempts.truth()["requests"]) == (0, 0)
        assert dispatched(engine) == []
        assert resume(engine, paused)

        # This process has not read of the end, and looks before it holds the job back.
        again = attempts.run(job_id)
        assert again["wait_reason"] != "paused"
        assert attempts.truth()["requests"] >= 1


def test_only_one_of_a_project_and_a_queue_can_be_named(engine: Engine) -> None:
    claim = claimed(engine)
    for project_id, of_queue in ((None, None), (claim.project_id, Priority.BULK)):
        with pytest.raises(ValueError, match="one project, or of one queue"):
            Part(project_id=project_id, queue=of_queue)
