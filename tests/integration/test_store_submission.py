import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from patchmill.errors import IdempotencyConflict
from patchmill.job.record import Finding, KindName, Task
from patchmill.store import jobs
from patchmill.store.access import ensure_project
from patchmill.store.submission import Submission, Submitted, submit
from patchmill.store.tables import events, findings, sources
from patchmill.store.tables import jobs as job_table

SOURCE = "def f(x=[]):\n    return x\n"


def finding(line: int = 1) -> Finding:
    return Finding(
        index=0, tool="ruff", rule="B006", message="m", severity="warning", start_line=line, end_line=line
    )


def task(source: str = SOURCE, **changes: Any) -> Task:
    made = Task(kind=KindName.FIX, path="a.py", language="python", source=source, findings=(finding(),))
    return replace(made, **changes)


def submission(project_id: uuid.UUID, made: Task | None = None, **changes: Any) -> Submission:
    plain = Submission(project_id=project_id, key_id=None, task=made or task(), origin={}, labels={})
    return replace(plain, **changes)


@pytest.fixture
def project_id(engine: Engine) -> uuid.UUID:
    with engine.begin() as connection:
        return ensure_project(connection, "default")


def stored(engine: Engine, given: Submission) -> Submitted:
    with engine.begin() as connection:
        return submit(connection, given)


def rows(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_a_job_its_source_its_findings_and_its_first_event_come_together(
    engine: Engine, project_id: uuid.UUID
) -> None:
    made = stored(engine, submission(project_id))

    with engine.connect() as connection:
        row = jobs.find(connection, project_id, made.job_id)
        assert row is not None
        assert jobs.source_of(connection, project_id, row.sha256) == SOURCE.encode()
        assert [item.rule for item in jobs.findings_of(connection, [row.id])[row.id]] == ["B006"]
        event = connection.execute(select(events)).one()
    assert (event.job_id, event.seq, event.type) == (made.job_id, 1, "job.state")
    assert event.data["to"] == row.state == "queued"


def test_a_transaction_that_does_not_commit_leaves_nothing(engine: Engine, project_id: uuid.UUID) -> None:
    with engine.connect() as connection:
        submit(connection, submission(project_id))
        connection.rollback()

    assert [rows(engine, table) for table in (job_table, sources, findings)] == [0, 0, 0]


def test_the_same_file_is_kept_once_a_project(engine: Engine, project_id: uuid.UUID) -> None:
    with engine.begin() as connection:
        other = ensure_project(connection, "other")
    for owner in (project_id, project_id, other):
        stored(engine, submission(owner))

    assert (rows(engine, job_table), rows(engine, sources)) == (3, 2)


def test_a_finding_keeps_its_fingerprint_when_lines_above_it_change(
    engine: Engine, project_id: uuid.UUID
) -> None:
    first = stored(engine, submission(project_id)).job_id
    moved = task("import os\n" + SOURCE, findings=(finding(line=2),))
    second = stored(engine, submission(project_id, moved)).job_id

    with engine.connect() as connection:
        found = jobs.findings_of(connection, [first, second])
    assert found[first][0].fingerprint == found[second][0].fingerprint


def test_a_replay_gives_the_first_job(engine: Engine, project_id: uuid.UUID) -> None:
    given = submission(project_id, idempotency_key="k", body_hash=b"1")

    first, second = stored(engine, given), stored(engine, given)

    assert (first.replayed, second.replayed) == (False, True)
    assert first.job_id == second.job_id


def test_another_body_under_the_same_key_is_refused(engine: Engine, project_id: uuid.UUID) -> None:
    stored(engine, submission(project_id, idempotency_key="k", body_hash=b"1"))

    with pytest.raises(IdempotencyConflict):
        stored(engine, submission(project_id, idempotency_key="k", body_hash=b"2"))


def test_submissions_without_a_key_are_jobs_of_their_own(engine: Engine, project_id: uuid.UUID) -> None:
    made = [stored(engine, submission(project_id)) for _ in range(3)]

    assert len({item.job_id for item in made}) == 3


def test_racing_submissions_with_one_key_make_one_job(engine: Engine, project_id: uuid.UUID) -> None:
    given = submission(project_id, idempotency_key="k", body_hash=b"1")

    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(lambda _: stored(engine, given), range(16)))

    assert len({item.job_id for item in made}) == 1
    assert [item.replayed for item in made].count(False) == 1
    assert (rows(engine, job_table), rows(engine, findings)) == (1, 1)


def test_ids_of_later_jobs_sort_later(engine: Engine, project_id: uuid.UUID) -> None:
    made = [stored(engine, submission(project_id)).job_id for _ in range(20)]

    with engine.connect() as connection:
        listed = jobs.find_many(connection, project_id, jobs.JobFilter(), before=None, limit=50)
    assert {row.id for row in listed} == set(made)
    assert [row.id for row in listed] == sorted(made, reverse=True)
