"""Jobs as their owners read them: one, a list, and the hand that cancels."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    RowMapping,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)

from patchmill.edit.encoding import UTF_8
from patchmill.job.record import Priority
from patchmill.job.state import State, WaitReason
from patchmill.store import pauses
from patchmill.store.tables import findings, jobs, sources
from patchmill.store.transitions import Move


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as stored, in the columns that its document shows.

    The reason why it waits is `paused`, too, when it is due and a pause of its project or queue keeps it.
    """

    id: uuid.UUID
    project_id: uuid.UUID
    run_id: uuid.UUID | None
    kind: str
    state: State
    outcome: str | None
    priority: Priority
    fence: int
    wait_reason: str | None
    run_at: datetime
    cancel_requested: bool
    path: str
    language: str
    sha256: bytes
    bytes: int
    encoding: str
    instruction: str | None
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    uncertain_picos: int
    timings: Mapping[str, int]
    error: Mapping[str, Any] | None
    origin: Mapping[str, Any]
    labels: Mapping[str, str]
    created_at: datetime
    finished_at: datetime | None
    erased_at: datetime | None
    served_from: uuid.UUID | None  # the job of the same work whose result it was given


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding as it was reported, and its fate."""

    index: int
    fingerprint: str
    tool: str
    rule: str
    message: str
    severity: str
    start_line: int
    start_column: int | None
    end_line: int
    end_column: int | None
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """What a list of jobs may be narrowed by; None means any."""

    state: str | None = None
    kind: str | None = None
    outcome: str | None = None
    run: uuid.UUID | None = None
    rule: str | None = None
    repository: str | None = None
    labels: Mapping[str, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    error: str | None = None  # an error's code
    q: str | None = None  # a part of the path, or of an error's message


_HELD_BACK = and_(jobs.c.state == State.QUEUED, jobs.c.run_at <= func.now(), pauses.holds_back())
_SHOWN = {
    **dict(jobs.c.items()),
    "encoding": func.coalesce(jobs.c.request["encoding"].astext, UTF_8).label("encoding"),
    "instruction": jobs.c.request["instruction"].astext.label("instruction"),
    "wait_reason": case((_HELD_BACK, WaitReason.PAUSED), else_=jobs.c.wait_reason).label("wait_reason"),
}
_COLUMNS = [_SHOWN[field.name] for field in fields(JobRow)]


_THESE = any_(bindparam("job_ids", type_=ARRAY(Uuid)))

_FIND = select(*_COLUMNS).where(
    jobs.c.id == bindparam("job_id"),
    jobs.c.project_id == bindparam("project_id"),
    jobs.c.pruned_at.is_(None),
)


def find(connection: Connection, project_id: uuid.UUID, job_id: uuid.UUID) -> JobRow | None:
    """Give a project's job, or None."""
    row = connection.execute(_FIND, {"job_id": job_id, "project_id": project_id}).mappings().one_or_none()
    return None if row is None else _job(row)


def find_many(
    connection: Connection,
    project_id: uuid.UUID | None,
    chosen: JobFilter,
    *,
    before: uuid.UUID | None,
    limit: int,
) -> list[JobRow]:
    """Give a project's jobs, or those of all, newest first, older than the job `before`."""
    statement = select(*_COLUMNS).where(*conditions(chosen)).order_by(jobs.c.id.desc()).limit(limit)
    if project_id is not None:
        statement = statement.where(jobs.c.project_id == project_id)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return [_job(row) for row in connection.execute(statement).mappings()]


def conditions(chosen: JobFilter) -> list[ColumnElement[bool]]:
    """Give what a filter asks of the rows of `jobs`."""
    asked: list[ColumnElement[bool]] = [jobs.c.pruned_at.is_(None)]
    exact = {"state": chosen.state, "kind": chosen.kind, "outcome": chosen.outcome, "run_id": chosen.run}
    asked += [jobs.c[name] == value for name, value in exact.items() if value is not None]
    if chosen.rule is not None:
        asked.append(exists().where(findings.c.job_id == jobs.c.id, findings.c.rule == chosen.rule))
    if chosen.repository is not None:
        asked.append(jobs.c.origin["repository"].astext == chosen.repository)
    asked += [jobs.c.labels[name].astext == value for name, value in (chosen.labels or {}).items()]
    if chosen.error is not None:
        asked.append(jobs.c.error["code"].astext == chosen.error)
    if chosen.created_after is not None:
        asked.append(jobs.c.created_at > chosen.created_after)
    if chosen.created_before is not None:
        asked.append(jobs.c.created_at < chosen.created_before)
    if chosen.q is not None:
        message = jobs.c.error["message"].astext
        asked.append(
            or_(
                jobs.c.path.icontains(chosen.q, autoescape=True), message.icontains(chosen.q, autoescape=True)
            )
        )
    return asked


_FINDING_NAMES = [field.name for field in fields(FindingRow)]
_FINDINGS_OF = (
    select(findings.c.job_id, *(findings.c[name] for name in _FINDING_NAMES))
    .where(findings.c.job_id == _THESE)
    .order_by(findings.c.job_id, findings.c.index)
)
_SOURCE_OF = select(sources.c.content).where(
    sources.c.project_id == bindparam("project_id"), sources.c.sha256 == bindparam("sha256")
)


def findings_of(connection: Connection, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[FindingRow]]:
    """Give the findings of jobs, in the order in which they were submitted."""
    found: dict[uuid.UUID, list[FindingRow]] = {job_id: [] for job_id in job_ids}
    for row in connection.execute(_FINDINGS_OF, {"job_ids": job_ids}).mappings():
        found[row["job_id"]].append(FindingRow(**{name: row[name] for name in _FINDING_NAMES}))
    return found


def source_of(connection: Connection, project_id: uuid.UUID, digest: bytes) -> bytes | None:
    """Give a submitted file's bytes."""
    return connection.scalars(_SOURCE_OF, {"project_id": project_id, "sha256": digest}).one_or_none()


_CANCEL = {
    source: Move(
        source,
        State.CANCELLED,
        {"finished_at": func.now(), "wait_reason": None, "cancel_requested": True},
    )
    for source in (State.QUEUED, State.DISPATCHED)
}
_ASK_TO_STOP = update(jobs).where(jobs.c.id == _THESE).values(cancel_requested=True)


def cancel(connection: Connection, project_id: uuid.UUID, job_id: uuid.UUID) -> JobRow | None:
    """Cancel a waiting job at once, or ask a running one to stop; a job that has ended stays as it is.

    Returns the job afterwards, or None when the project has no such job.
    """
    locked = connection.execute(
        select(jobs.c.state)
        .where(jobs.c.id == job_id, jobs.c.project_id == project_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if locked is None:
        return None
    stop(connection, {job_id: State(locked.state)})
    return find(connection, project_id, job_id)


def stop(connection: Connection, locked: Mapping[uuid.UUID, State]) -> None:
    """Cancel jobs whose rows are locked, by their states: waiting ones at once, running ones by asking."""
    running = [job_id for job_id, state in locked.items() if state is State.RUNNING]
    if running:
        connection.execute(_ASK_TO_STOP, {"job_ids": running})
    for source, move in _CANCEL.items():
        waiting = [job_id for job_id, state in locked.items() if state is source]
        if waiting:
            move.apply(connection, waiting)


def _job(row: RowMapping) -> JobRow:
    return JobRow(**{**row, "state": State(row["state"]), "priority": Priority(row["priority"])})
