"""A worker takes a job, keeps it, and gives it back: claims by compare-and-set, fenced by their number."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import (
    Annotation,
    ContextFile,
    Finding,
    KindName,
    Options,
    Priority,
    Scope,
    Task,
    ToolEdit,
    ToolFix,
)
from patchmill.job.state import State, WaitReason
from patchmill.store.tables import attempts, calls, findings, jobs, sources
from patchmill.store.transitions import move


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """An answer that was paid for: it serves the same request again."""

    call_id: uuid.UUID
    turn: str
    text: str
    finish_reason: str
    stand_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job in this worker's hands: its task, and what earlier attempts left behind."""

    job_id: uuid.UUID
    project_id: uuid.UUID
    key_id: uuid.UUID | None
    fence: int
    attempts: int
    billed_calls: int  # settled or uncertain
    failures_in_a_row: int
    max_cost_picos: int | None
    created_at: datetime
    deadline_at: datetime | None
    task: Task
    replies: tuple[StoredReply, ...]


def claim(connection: Connection, job_id: uuid.UUID, dispatch_no: int, worker_id: uuid.UUID) -> Claim | None:
    """Claim a dispatched job; None when the message is old, repeated, or the job was cancelled."""
    moved = move(
        connection,
        job_id,
        source=State.DISPATCHED,
        target=State.RUNNING,
        values={
            "fence": jobs.c.fence + 1,
            "attempts": jobs.c.attempts + 1,
            "worker_id": worker_id,
            "started_at": func.coalesce(jobs.c.started_at, func.now()),
        },
        where=[jobs.c.dispatch_no == dispatch_no],
    )
    if not moved:
        return None
    row = (
        connection.execute(
            select(jobs, sources.c.content)
            .join(sources, (sources.c.project_id == jobs.c.project_id) & (sources.c.sha256 == jobs.c.sha256))
            .where(jobs.c.id == job_id)
        )
        .mappings()
        .one()
    )
    earlier = _earlier_calls(connection, job_id)
    connection.execute(insert(attempts).values(job_id=job_id, fence=row["fence"], worker_id=worker_id))
    return Claim(
        job_id=job_id,
        project_id=row["project_id"],
        key_id=row["key_id"],
        fence=row["fence"],
        attempts=row["attempts"],
        billed_calls=sum(call["state"] != "void" for call in earlier),
        failures_in_a_row=row["failures_in_a_row"],
        max_cost_picos=row["max_cost_picos"],
        created_at=row["created_at"],
        deadline_at=row["deadline_at"],
        task=_task(connection, row),
        replies=tuple(_reply(call) for call in earlier if call["reply"] is not None),
    )


def release(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    *,
    reason: WaitReason | None,
    after_s: float,
    refund: bool,
    **counts: int,
) -> None:
    """Queue a running job again, due after a wait; `refund` gives its attempt back.

    `counts` sets `failures_in_a_row` or `losses`.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled; nothing is written.
    """
    values = {
        "worker_id": None,
        "wait_reason": reason,
        "run_at": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, after_s),
        "attempts": jobs.c.attempts - (1 if refund else 0),
        **counts,
    }
    _leave(connection, job_id, fence, State.QUEUED, values, ending=reason or "released")


def finish(
    connection: Connection, job_id: uuid.UUID, fence: int, target: State, values: Mapping[str, Any]
) -> None:
    """End a running job.

    Raises:
        LostClaim: this claim is no longer the current one.
        CancelRequested: the job is to be cancelled, and `target` is another end; nothing is written.
    """
    ended = {"finished_at": func.now(), "worker_id": None, **values}
    _leave(connection, job_id, fence, target, ended, ending=target)


def _leave(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    target: State,
    values: Mapping[str, Any],
    *,
    ending: str,
) -> None:
    asked = jobs.c.cancel_requested
    where = [jobs.c.fence == fence, asked if target is State.CANCELLED else ~asked]
    if move(connection, job_id, source=State.RUNNING, target=target, values=values, where=where):
        connection.execute(
            update(attempts)
            .where(attempts.c.job_id == job_id, attempts.c.fence == fence)
            .values(ended_at=func.now(), ending=ending)
        )
        return
    requested = connection.scalar(
        select(asked).where(jobs.c.id == job_id, jobs.c.fence == fence, jobs.c.state == State.RUNNING)
    )
    if requested:
        raise CancelRequested(f"job {job_id} is to be cancelled")
    raise LostClaim(f"the claim {fence} of job {job_id} has ended")


def running_of(connection: Connection, worker_id: uuid.UUID) -> list[tuple[uuid.UUID, int]]:
    """Give the jobs that a worker process has claimed and not left: id and fence."""
    rows = connection.execute(
        select(jobs.c.id, jobs.c.fence).where(jobs.c.state == State.RUNNING, jobs.c.worker_id == worker_id)
    )
    return [(row.id, row.fence) for row in rows]


def _earlier_calls(connection: Connection, job_id: uuid.UUID) -> Sequence[RowMapping]:
    columns = [
        calls.c.id,
        calls.c.state,
        calls.c.turn,
        calls.c.reply,
        calls.c.finish_reason,
        calls.c.stand_in,
    ]
    statement = select(*columns).where(calls.c.job_id == job_id).order_by(calls.c.number)
    return connection.execute(statement).mappings().all()


def _reply(call: RowMapping) -> StoredReply:
    return StoredReply(
        call_id=call["id"],
        turn=call["turn"],
        text=call["reply"],
        finish_reason=call["finish_reason"],
        stand_in=call["stand_in"],
    )


def _task(connection: Connection, row: RowMapping) -> Task:
    request = row["request"]
    options = request["options"]
    scope = request["scope"]
    return Task(
        kind=KindName(row["kind"]),
        path=row["path"],
        language=row["language"],
        source=bytes(row["content"]).decode(),
        findings=_findings(connection, row["id"]),
        what=frozenset(Annotation(name) for name in request["what"]),
        scope=None if scope is None else Scope(**scope),
        context=tuple(ContextFile(**file) for file in request["context"]),
        checkers=request["checkers"],
        options=Options(**{**options, "priority": Priority(options["priority"])}),
    )


_FINDING_COLUMNS = [findings.c[field.name] for field in fields(Finding)]


def _findings(connection: Connection, job_id: uuid.UUID) -> tuple[Finding, ...]:
    rows = connection.execute(
        select(*_FINDING_COLUMNS).where(findings.c.job_id == job_id).order_by(findings.c.index)
    ).mappings()
    return tuple(Finding(**{**row, "fixes": _fixes(row["fixes"])}) for row in rows)


def _fixes(stored: list[dict[str, Any]]) -> tuple[ToolFix, ...]:
    return tuple(
        ToolFix(safe=fix["safe"], edits=tuple(ToolEdit(**edit) for edit in fix["edits"])) for fix in stored
    )
