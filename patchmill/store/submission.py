"""A job comes in: source, job, findings and first event in one transaction."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Interval, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.edit.span import split_lines
from patchmill.errors import IdempotencyConflict
from patchmill.job.record import Task, fingerprint
from patchmill.job.state import State
from patchmill.store.ids import new_id
from patchmill.store.tables import events, findings, jobs, sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A validated request for one job, and who sent it."""

    project_id: uuid.UUID
    key_id: uuid.UUID | None
    task: Task
    origin: Mapping[str, Any]
    labels: Mapping[str, str]
    max_cost_picos: int | None = None
    deadline_s: float | None = None
    idempotency_key: str | None = None
    body_hash: bytes | None = None  # sha256 of the validated body, compared on a replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The job that a submission made, or made before under the same Idempotency-Key."""

    job_id: uuid.UUID
    replayed: bool


_KEEP_SOURCE = upsert(sources).on_conflict_do_nothing()
_ADD_JOB = (
    upsert(jobs)
    .values(run_at=func.now(), deadline_at=func.now() + bindparam("within", type_=Interval))
    .on_conflict_do_nothing(index_elements=["project_id", "idempotency_key"])
    .returning(jobs.c.id)
)
_ADD_FINDINGS = insert(findings)
_ADD_EVENT = insert(events)
_EARLIER = select(jobs.c.id, jobs.c.idempotency_hash).where(
    jobs.c.project_id == bindparam("project_id"), jobs.c.idempotency_key == bindparam("idempotency_key")
)


def submit(connection: Connection, submission: Submission) -> Submitted:
    """Store a job; once this transaction commits, the job cannot be lost.

    Raises:
        IdempotencyConflict: the key came before with another body.
    """
    if submission.idempotency_key is not None:
        earlier = _earlier(connection, submission)
        if earlier is not None:
            return earlier
    task = submission.task
    content = task.source.encode()
    digest = hashlib.sha256(content).digest()
    source = {"project_id": submission.project_id, "sha256": digest, "content": content}
    connection.execute(_KEEP_SOURCE, source)
    job_id = new_id()
    values = _job_values(submission, job_id, digest, len(content))
    added = connection.execute(_ADD_JOB, values).one_or_none()
    if added is None:  # another request with the same key committed in between
        earlier = _earlier(connection, submission)
        if earlier is None:
            raise IdempotencyConflict("another request with this Idempotency-Key is under way; send it again")
        return earlier
    _add_findings(connection, task, job_id)
    event = {
        "project_id": submission.project_id,
        "job_id": job_id,
        "seq": 1,
        "type": "job.state",
        "data": {"from": None, "to": State.QUEUED, "attempt": 0, "wait_reason": None, "run_at": None},
    }
    connection.execute(_ADD_EVENT, event)
    return Submitted(job_id=job_id, replayed=False)


def _earlier(connection: Connection, submission: Submission) -> Submitted | None:
    sent = {"project_id": submission.project_id, "idempotency_key": submission.idempotency_key}
    row = connection.execute(_EARLIER, sent).one_or_none()
    if row is None:
        return None
    if row.idempotency_hash != submission.body_hash:
        raise IdempotencyConflict(
            "this Idempotency-Key was used before with another body; use a new key for a new job"
        )
    return Submitted(job_id=row.id, replayed=True)


def _job_values(submission: Submission, job_id: uuid.UUID, digest: bytes, size: int) -> dict[str, Any]:
    task = submission.task
    within = None if submission.deadline_s is None else timedelta(seconds=submission.deadline_s)
    return {
        "id": job_id,
        "project_id": submission.project_id,
        "key_id": submission.key_id,
        "kind": task.kind,
        "priority": task.options.priority,
        "path": task.path,
        "language": task.language,
        "sha256": digest,
        "bytes": size,
        "request": {
            "what": sorted(task.what),
            "instruction": task.instruction,
            "scope": None if task.scope is None else asdict(task.scope),
            "context": [asdict(file) for file in task.context],
            "checkers": dict(task.checkers),
            "options": asdict(task.options),
        },
        "origin": dict(submission.origin),
        "labels": dict(submission.labels),
        "timings": {},
        "idempotency_key": submission.idempotency_key,
        "idempotency_hash": submission.body_hash,
        "max_cost_picos": submission.max_cost_picos,
        "within": within,
    }


def _add_findings(connection: Connection, task: Task, job_id: uuid.UUID) -> None:
    if not task.findings:
        return
    lines = split_lines(task.source)
    rows = [
        {
            "job_id": job_id,
            "index": finding.index,
            "fingerprint": fingerprint(finding, task.path, lines),
            "tool": finding.tool,
            "rule": finding.rule,
            "message": finding.message,
            "severity": finding.severity,
            "start_line": finding.start_line,
            "start_column": finding.start_column,
            "end_line": finding.end_line,
            "end_column": finding.end_column,
            "fixes": [asdict(fix) for fix in finding.fixes],
        }
        for finding in task.findings
    ]
    connection.execute(_ADD_FINDINGS, rows)
