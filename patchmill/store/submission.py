"""A job comes in: source, job, findings and first event in one transaction; those of a run all at once."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Insert, Interval, Table, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.edit.span import split_lines
from patchmill.errors import IdempotencyConflict
from patchmill.job.record import Task, ToolEdit, ToolFix, fingerprint
from patchmill.job.state import State
from patchmill.job.work import task_key
from patchmill.store.ids import new_id
from patchmill.store.recordset import as_rows, given_rows
from patchmill.store.tables import events, findings, jobs, sources

_EDIT = tuple(field.name for field in fields(ToolEdit))


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


_COMING = upsert(sources)
# Erased code comes back with its next submission; the row is locked even where nothing is to be done, so
# that it cannot be erased before the new job is there to hold it.
_KEEP_SOURCE = _COMING.on_conflict_do_update(
    index_elements=["project_id", "sha256"],
    set_={"content": _COMING.excluded.content},
    where=sources.c.content.is_(None),
)
_ADD_JOB = (
    upsert(jobs)
    .values(run_at=func.now(), deadline_at=func.now() + bindparam("within", type_=Interval))
    .on_conflict_do_nothing(index_elements=["project_id", "idempotency_key"])
    .returning(jobs.c.id)
)
_ADD_JOB_OF_RUN = insert(jobs).values(
    run_at=func.now(), deadline_at=func.now() + bindparam("within", type_=Interval)
)
_ADD_FINDINGS = insert(findings)
_ADD_EVENT = insert(events)


def _at_once(table: Table, *names: str) -> Insert:
    """Insert many rows by one statement, from a parameter `rows`."""
    rows = given_rows({name: table.c[name].type for name in names}, name="given")
    return insert(table).from_select(names, select(rows))


_FINDING_NAMES = ("job_id", "index", "fingerprint", "tool", "rule", "message", "severity")
_FINDING_PLACES = ("start_line", "start_column", "end_line", "end_column", "fixes")
_ADD_ALL_FINDINGS = _at_once(findings, *_FINDING_NAMES, *_FINDING_PLACES)
_ADD_ALL_EVENTS = _at_once(events, "project_id", "job_id", "run_id", "seq", "type", "data")
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
    source = _source(submission)
    connection.execute(_KEEP_SOURCE, source)
    job_id = new_id()
    values = _job_values(submission, job_id, source)
    added = connection.execute(_ADD_JOB, values).one_or_none()
    if added is None:  # another request with the same key committed in between
        earlier = _earlier(connection, submission)
        if earlier is None:
            raise IdempotencyConflict("another request with this Idempotency-Key is under way; send it again")
        return earlier
    rows = _finding_rows(submission.task, job_id)
    if rows:
        connection.execute(_ADD_FINDINGS, rows)
    connection.execute(_ADD_EVENT, _first_event(submission, job_id, None))
    return Submitted(job_id=job_id, replayed=False)


def submit_of_run(
    connection: Connection,
    run_id: uuid.UUID,
    submissions: Sequence[Submission],
    reported: Mapping[str, Sequence[str]],
) -> list[uuid.UUID]:
    """Store the jobs of a run that is new in this transaction, and give their ids in the same order.

    `reported` are the rules by tool that the run's reports name in any file.
    Idempotency is the run's: that of its jobs is not looked at.
    """
    if not submissions:
        return []
    entering = [(new_id(), submission, _source(submission)) for submission in submissions]
    # In one order everywhere, so that two runs with the same files wait for each other and not both.
    connection.execute(_KEEP_SOURCE, sorted((source for _, _, source in entering), key=_by_digest))
    connection.execute(
        _ADD_JOB_OF_RUN,
        [
            {
                **_job_values(submission, job_id, source),
                "run_id": run_id,
                "task_key": task_key(replace(submission.task, reported=reported)),
            }
            for job_id, submission, source in entering
        ],
    )
    rows = [row for job_id, submission, _ in entering for row in _finding_rows(submission.task, job_id)]
    connection.execute(_ADD_ALL_FINDINGS, as_rows(rows))
    told = [_first_event(submission, job_id, run_id) for job_id, submission, _ in entering]
    connection.execute(_ADD_ALL_EVENTS, as_rows(told))
    return [job_id for job_id, _, _ in entering]


def _source(submission: Submission) -> dict[str, Any]:
    content = submission.task.source.encode(submission.task.encoding)
    digest = hashlib.sha256(content).digest()
    return {"project_id": submission.project_id, "sha256": digest, "content": content}


def _by_digest(source: Mapping[str, Any]) -> bytes:
    digest: bytes = source["sha256"]
    return digest


def _first_event(submission: Submission, job_id: uuid.UUID, run_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "project_id": submission.project_id,
        "job_id": job_id,
        "run_id": run_id,
        "seq": 1,
        "type": "job.state",
        "data": {"from": None, "to": State.QUEUED, "attempt": 0, "wait_reason": None, "run_at": None},
    }


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


def _job_values(submission: Submission, job_id: uuid.UUID, source: Mapping[str, Any]) -> dict[str, Any]:
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
        "sha256": source["sha256"],
        "bytes": len(source["content"]),
        "request": {
            "what": sorted(task.what),
            "instruction": task.instruction,
            "encoding": task.encoding,
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
        "task_key": task_key(task),
    }


def _fix(fix: ToolFix) -> dict[str, Any]:
    """What `asdict` gives, which takes ten times as long for it."""
    return {"safe": fix.safe, "edits": [{name: getattr(edit, name) for name in _EDIT} for edit in fix.edits]}


def _finding_rows(task: Task, job_id: uuid.UUID) -> list[dict[str, Any]]:
    lines = split_lines(task.source) if task.findings else []
    return [
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
            "fixes": [_fix(fix) for fix in finding.fixes],
        }
        for finding in task.findings
    ]
