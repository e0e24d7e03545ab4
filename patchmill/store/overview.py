"""What people look at across projects: names, failures, a job's attempts, and the edits that were refused."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from patchmill.store.ids import first_id
from patchmill.store.results import CheckRow
from patchmill.store.run_progress import Counts, counts_of
from patchmill.store.tables import attempts, calls, checks, jobs, projects, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One claim of a job by a worker; it has no end yet while it runs."""

    fence: int
    started_at: datetime
    ended_at: datetime | None
    ending: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as a page shows it."""

    id: uuid.UUID
    project_id: uuid.UUID
    kind: str
    state: str
    outcome: str | None
    cancel_requested: bool
    skipped: list[dict[str, Any]]
    origin: Mapping[str, Any]
    created_at: datetime
    finished_at: datetime | None


def project_names(connection: Connection) -> dict[uuid.UUID, str]:
    """Give the name of every project, by its id, in the order of the names."""
    rows = connection.execute(select(projects.c.id, projects.c.name).order_by(projects.c.name))
    return {row.id: row.name for row in rows}


_PROJECT_OF = select(jobs.c.project_id).where(jobs.c.id == bindparam("job_id"))


def project_of(connection: Connection, job_id: uuid.UUID) -> uuid.UUID | None:
    """Give the project that a job belongs to, or None when there is no such job."""
    return connection.scalars(_PROJECT_OF, {"job_id": job_id}).one_or_none()


_CODE = jobs.c.error["code"].astext.label("code")
_FAILURES = (
    select(_CODE, func.count().label("number"))
    .where(jobs.c.id >= bindparam("first"), jobs.c.state == "failed")
    .group_by(_CODE)
    .order_by(func.count().desc(), _CODE)
)


def failures(connection: Connection, since: datetime) -> list[tuple[str, int]]:
    """Count the jobs submitted since an instant that failed, by error code, the most frequent first."""
    rows = connection.execute(_FAILURES, {"first": first_id(since)})
    return [(row.code, row.number) for row in rows]


_ATTEMPTS_OF = (
    select(*(attempts.c[field.name] for field in fields(AttemptRow)))
    .where(attempts.c.job_id == bindparam("job_id"))
    .order_by(attempts.c.fence)
)


def attempts_of(connection: Connection, job_id: uuid.UUID) -> list[AttemptRow]:
    """Give the attempts of a job, the first one first."""
    return [AttemptRow(**row) for row in connection.execute(_ATTEMPTS_OF, {"job_id": job_id}).mappings()]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call without its texts: what it was, and what it used."""

    id: uuid.UUID
    number: int
    fence: int
    model: str
    state: str
    failure: str | None
    message: str | None
    status: int | None
    finish_reason: str | None
    stand_in: bool
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    hold_picos: int
    total_ms: int | None
    sent_at: datetime
    ended_at: datetime | None


_CALLS_OF = (
    select(*(calls.c[field.name] for field in fields(CallRow)))
    .where(calls.c.job_id == bindparam("job_id"))
    .order_by(calls.c.number)
)


def calls_of(connection: Connection, job_id: uuid.UUID) -> list[CallRow]:
    """Give the calls of a job, the first one first; `call_log` has their prompts and answers."""
    return [CallRow(**row) for row in connection.execute(_CALLS_OF, {"job_id": job_id}).mappings()]


_REFUSED_OF = (
    select(*(checks.c[field.name] for field in fields(CheckRow)))
    .where(checks.c.job_id == bindparam("job_id"), checks.c.suggestion_id.is_(None))
    .order_by(checks.c.id)
)


def refused_of(connection: Connection, job_id: uuid.UUID) -> list[CheckRow]:
    """Give the checks of edits that were refused, in the order in which they were made."""
    return [CheckRow(**row) for row in connection.execute(_REFUSED_OF, {"job_id": job_id}).mappings()]


_RUN = select(*(runs.c[field.name] for field in fields(RunRow)), runs.c.findings.label("findings")).where(
    runs.c.id == bindparam("run_id")
)


def find_run(connection: Connection, run_id: uuid.UUID) -> tuple[RunRow, Counts] | None:
    """Give a run and how far its jobs are, or None."""
    row = connection.execute(_RUN, {"run_id": run_id}).mappings().one_or_none()
    if row is None:
        return None
    run = RunRow(**{field.name: row[field.name] for field in fields(RunRow)})
    return run, counts_of(connection, {run_id: (row["findings"], len(run.skipped))})[run_id]
