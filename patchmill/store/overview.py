"""What people look at across projects: names, failures, what jobs were asked, attempts, refused edits."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ARRAY, Connection, Uuid, any_, bindparam, func, select, union_all

from patchmill.store.ids import first_id
from patchmill.store.results import CheckRow
from patchmill.store.tables import attempts, calls, checks, findings, jobs, keys, projects, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One claim of a job by a worker; it has no end yet while it runs."""

    fence: int
    started_at: datetime
    ended_at: datetime | None
    ending: str | None


def project_names(connection: Connection) -> dict[uuid.UUID, str]:
    """Give the name of every project, by its id, in the order of the names."""
    rows = connection.execute(select(projects.c.id, projects.c.name).order_by(projects.c.name))
    return {row.id: row.name for row in rows}


def names_of(connection: Connection, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Give the names of projects and keys by their ids."""
    these = [select(table.c.id, table.c.name).where(table.c.id.in_(ids)) for table in (projects, keys)]
    return {row.id: row.name for row in connection.execute(union_all(*these))}


_PROJECT_OF = select(jobs.c.project_id).where(jobs.c.id == bindparam("job_id"), jobs.c.pruned_at.is_(None))


def project_of(connection: Connection, job_id: uuid.UUID) -> uuid.UUID | None:
    """Give the project that a job belongs to, or None when there is no such job."""
    return connection.scalars(_PROJECT_OF, {"job_id": job_id}).one_or_none()


_PROJECT_OF_RUN = select(runs.c.project_id).where(
    runs.c.id == bindparam("run_id"), runs.c.pruned_at.is_(None)
)


def project_of_run(connection: Connection, run_id: uuid.UUID) -> uuid.UUID | None:
    """Give the project that a run belongs to, or None when there is no such run."""
    return connection.scalars(_PROJECT_OF_RUN, {"run_id": run_id}).one_or_none()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job was asked: the rules of its findings, an instruction, or annotations."""

    rules: Sequence[tuple[str, int]]  # each with how often it was reported, the most frequent first
    instruction: str | None
    what: Sequence[str]  # types, docstrings
    edit_format: str | None  # that the job chose


_THESE = any_(bindparam("job_ids", type_=ARRAY(Uuid)))
_REQUESTS = select(
    jobs.c.id,
    jobs.c.request["instruction"].astext.label("instruction"),
    jobs.c.request["what"].label("what"),
    jobs.c.request["options"]["edit_format"].astext.label("edit_format"),
).where(jobs.c.id == _THESE)
_RULES = (
    select(findings.c.job_id, findings.c.rule, func.count().label("number"))
    .where(findings.c.job_id == _THESE)
    .group_by(findings.c.job_id, findings.c.rule)
    .order_by(func.count().desc(), findings.c.rule)
)


def asked_of(connection: Connection, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Asked]:
    """Give what jobs were asked to do."""
    these = {"job_ids": list(job_ids)}
    rules: dict[uuid.UUID, list[tuple[str, int]]] = {job_id: [] for job_id in job_ids}
    for row in connection.execute(_RULES, these):
        rules[row.job_id].append((row.rule, row.number))
    return {
        row.id: Asked(
            rules=rules[row.id],
            instruction=row.instruction,
            what=row.what or (),
            edit_format=row.edit_format,
        )
        for row in connection.execute(_REQUESTS, these)
    }


_LAST_REPLY = (
    select(calls.c.reply)
    .where(calls.c.job_id == bindparam("job_id"), calls.c.reply.is_not(None))
    .order_by(calls.c.number.desc())
    .limit(1)
)


def last_reply_of(connection: Connection, job_id: uuid.UUID) -> str | None:
    """Give the latest answer that a job got; None without any, or when it was erased."""
    return connection.scalars(_LAST_REPLY, {"job_id": job_id}).one_or_none()


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
    rung: str
    model: str
    state: str
    failure: str | None
    message: str | None
    status: int | None
    finish_reason: str | None
    stand_in: bool
    anomalies: Sequence[str]
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    hold_picos: int
    queue_ms: int | None
    first_token_ms: int | None
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
