"""Jobs and runs to tell events of, for tests of those who read them."""

import uuid
from typing import Any

from sqlalchemy import Connection, Engine, text

from patchmill.job.record import Finding, KindName, Task
from patchmill.job.state import State
from patchmill.store import jobs, runs
from patchmill.store.access import ensure_project
from patchmill.store.submission import Submission, submit

_NOTE = text(
    """
    WITH noted AS (
        UPDATE jobs SET event_seq = event_seq + 1 WHERE id = :job_id RETURNING project_id, run_id, event_seq
    )
    INSERT INTO events (project_id, job_id, run_id, seq, type, data)
    SELECT project_id, :job_id, run_id, event_seq, 'job.check',
        jsonb_build_object('check', CAST(:name AS text), 'result', 'passed') FROM noted
    """
)


def tell(connection: Connection, job_id: uuid.UUID, *names: str) -> None:
    """Tell events of a job, as its worker does while it runs."""
    for name in names:
        connection.execute(_NOTE, {"job_id": job_id, "name": name})


def new_project(engine: Engine) -> uuid.UUID:
    """Make a project."""
    with engine.begin() as connection:
        return ensure_project(connection, f"project {uuid.uuid4()}")


def new_job(engine: Engine, project_id: uuid.UUID) -> uuid.UUID:
    """Submit a job on its own."""
    with engine.begin() as connection:
        return submit(connection, _submission(project_id, 0)).job_id


def new_run(
    engine: Engine, project_id: uuid.UUID, number: int, **more: Any
) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """Submit a run of so many jobs; give its id and theirs."""
    entering = runs.RunSubmission(
        project_id=project_id,
        key_id=None,
        kind="fix",
        jobs=[_submission(project_id, each) for each in range(number)],
        findings=number,
        skipped=(),
        diff=None,
        origin={},
        labels={},
        **more,
    )
    with engine.begin() as connection:
        run_id = runs.submit(connection, entering).run_id
        return run_id, sorted(row.id for row in runs.jobs_of(connection, project_id, run_id))


def cancel(engine: Engine, project_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """End a waiting job."""
    with engine.begin() as connection:
        ended = jobs.cancel(connection, project_id, job_id)
    assert ended is not None
    assert ended.state is State.CANCELLED


def _submission(project_id: uuid.UUID, number: int) -> Submission:
    finding = Finding(
        index=0, tool="ruff", rule="E741", message="m", severity="warning", start_line=1, end_line=1
    )
    task = Task(
        kind=KindName.FIX,
        path=f"src/file{number}.py",
        language="python",
        source=f"l = {number}\n",
        findings=(finding,),
    )
    return Submission(project_id=project_id, key_id=None, task=task, origin={}, labels={})
