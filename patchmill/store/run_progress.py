"""What a run is while its jobs move: it begins with the first, counts each end, and ends with the last.

A run's row is locked after everything else (job, call, windows, run), so those who end jobs of one run queue
here for the rest of their short transactions, and each counts what the one before it wrote.
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Row,
    Uuid,
    any_,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    update,
)

from patchmill.errors import Conflict
from patchmill.job.state import TERMINAL, State
from patchmill.store import outbox
from patchmill.store.tables import events, findings, jobs, runs

_THESE = any_(bindparam("run_ids", type_=ARRAY(Uuid)))
_LOCK = (
    select(runs.c.id, runs.c.project_id, runs.c.kind, runs.c.state, runs.c.origin, runs.c.cancel_requested)
    .add_columns(runs.c.findings, func.jsonb_array_length(runs.c.skipped).label("skipped"), runs.c.pruned_at)
    .where(runs.c.id == _THESE)
    .order_by(runs.c.id)
    .with_for_update(key_share=True)
)
_JOBS = (
    select(jobs.c.run_id, jobs.c.state, jobs.c.outcome, func.count().label("number"))
    .where(jobs.c.run_id == _THESE)
    .group_by(jobs.c.run_id, jobs.c.state, jobs.c.outcome)
)
_judged = case(
    (findings.c.status != "pending", findings.c.status),
    (jobs.c.finished_at.is_not(None), literal("unresolved")),
    else_=literal("pending"),
)
_FINDINGS = (
    select(jobs.c.run_id, _judged.label("status"), func.count().label("number"))
    .join(findings, findings.c.job_id == jobs.c.id)
    .where(jobs.c.run_id == _THESE)
    .group_by(jobs.c.run_id, _judged)
)

JOB_COUNTS = ("total", "queued", "running", "succeeded", "failed", "cancelled")
FINDING_COUNTS = ("total", "verified", "unchecked", "unresolved", "skipped")


class Counts:
    """How far the jobs of a run are: `jobs` and `findings` as its document shows them."""

    def __init__(self, of_findings: int, skipped: int) -> None:
        self.jobs = dict.fromkeys(JOB_COUNTS, 0)
        self.findings = dict.fromkeys(FINDING_COUNTS, 0) | {"total": of_findings, "skipped": skipped}
        self.outcomes: dict[str, int] = {}

    def add_jobs(self, state: str, outcome: str | None, number: int) -> None:
        """Count jobs in a state; those on their way to a worker are queued for everybody else."""
        self.jobs["total"] += number
        self.jobs["queued" if state == State.DISPATCHED else state] += number
        how = outcome or state
        self.outcomes[how] = self.outcomes.get(how, 0) + number

    @property
    def all_ended(self) -> bool:
        """Whether no job is left that may still change."""
        return sum(self.jobs[state] for state in TERMINAL) == self.jobs["total"]

    def outcome(self) -> str:
        """Say how the run ended, once all its jobs have."""
        there = {how for how, number in self.outcomes.items() if number}
        if there <= {"no_change"}:
            return "no_change"
        if there <= {"verified", "no_change"}:
            return "verified"
        if there & {"verified", "partial"}:
            return "partial"
        return "unchecked" if "unchecked" in there else "failed"

    def document(self) -> dict[str, Any]:
        """Give what the event `run.progress` carries."""
        return {"jobs": self.jobs, "findings": self.findings}


def counts_of(connection: Connection, sizes: Mapping[uuid.UUID, tuple[int, int]]) -> dict[uuid.UUID, Counts]:
    """Count the jobs and findings of runs; `sizes` gives each run's findings, and those it skipped."""
    found = {run_id: Counts(*size) for run_id, size in sizes.items()}
    these = {"run_ids": list(sizes)}
    for row in connection.execute(_JOBS, these):
        found[row.run_id].add_jobs(row.state, row.outcome, row.number)
    for row in connection.execute(_FINDINGS, these):
        if row.status in FINDING_COUNTS:
            found[row.run_id].findings[row.status] += row.number
    return found


_BEGIN = (
    update(runs)
    .where(runs.c.id == _THESE, runs.c.state == "queued")
    .values(state="running", event_seq=runs.c.event_seq + 1)
    .returning(runs.c.id, runs.c.project_id, runs.c.event_seq)
)
_REOPEN = (
    update(runs)
    .where(runs.c.id == _THESE, runs.c.state.in_(["finished", "cancelled"]))
    .values(
        state="running",
        outcome=None,
        finished_at=None,
        cancel_requested=False,
        event_seq=runs.c.event_seq + 1,
    )
    .returning(runs.c.id, runs.c.project_id, runs.c.event_seq, runs.c.finished_at)
)
_CALL_OFF_CANCEL = (
    update(runs).where(runs.c.id == _THESE, runs.c.cancel_requested).values(cancel_requested=False)
)
_PROGRESS = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(event_seq=runs.c.event_seq + 1)
    .returning(runs.c.event_seq)
)
_END = (
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        state=bindparam("to"),
        outcome=bindparam("how"),
        finished_at=func.now(),
        event_seq=runs.c.event_seq + 1,
    )
    .returning(runs.c.event_seq)
)
_ADD_EVENT = insert(events)


def begin(connection: Connection, run_ids: Collection[uuid.UUID]) -> None:
    """Note that a job of each of these runs was claimed: a queued run runs from then on."""
    for row in connection.execute(_BEGIN, {"run_ids": sorted(run_ids)}).all():
        _tell(connection, row, row.event_seq, "run.state", {"from": "queued", "to": "running"})


def reopen(connection: Connection, run_ids: Collection[uuid.UUID]) -> None:
    """Note that a job of each of these runs was asked for again: one that ended, or was to end, goes on.

    Raises:
        Conflict: a run is being pruned, and this job is next.
    """
    locked = connection.execute(_LOCK, {"run_ids": sorted(run_ids)}).all()
    if any(row.pruned_at is not None for row in locked):
        raise Conflict("the job and its run are older than what is kept, and are being pruned")
    before = {row.id: row.state for row in locked}
    connection.execute(_CALL_OFF_CANCEL, {"run_ids": sorted(run_ids)})
    for row in connection.execute(_REOPEN, {"run_ids": sorted(run_ids)}).all():
        _tell(connection, row, row.event_seq, "run.state", {"from": before[row.id], "to": "running"})


def count(connection: Connection, run_ids: Collection[uuid.UUID]) -> None:
    """Tell how far these runs are now that a job of each has ended; the last job ends its run."""
    locked = connection.execute(_LOCK, {"run_ids": sorted(run_ids)}).all()
    counts = counts_of(connection, {row.id: (row.findings, row.skipped) for row in locked})
    for row in locked:
        run = counts[row.id]
        seq = connection.scalars(_PROGRESS, {"run_id": row.id}).one()
        _tell(connection, row, seq, "run.progress", run.document())
        if run.all_ended and row.state in {"queued", "running"}:
            _end(connection, row, run)


def _end(connection: Connection, row: Row[Any], run: Counts) -> None:
    state = "cancelled" if row.cancel_requested else "finished"
    outcome = None if row.cancel_requested else run.outcome()
    seq = connection.scalars(_END, {"run_id": row.id, "to": state, "how": outcome}).one()
    _tell(connection, row, seq, "run.state", {"from": row.state, "to": state})
    outbox.tell_of_run(connection, row, state=state, outcome=outcome)


def _tell(connection: Connection, run: Row[Any], seq: int, kind: str, data: Mapping[str, Any]) -> None:
    event = {"project_id": run.project_id, "run_id": run.id, "seq": seq, "type": kind, "data": dict(data)}
    connection.execute(_ADD_EVENT, event)
