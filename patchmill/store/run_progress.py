"""What a run is while its jobs move: it begins with the first, counts each end, and ends with the last.

A run's row is locked after everything else (job, call, windows, run). How runs are counted and ended is
written in functions of the database (`migrations/functions/`): an end of a job is one statement with its run.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    Connection,
    Insert,
    Row,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from patchmill.errors import Conflict
from patchmill.store.tables import events, runs

_THESE = any_(bindparam("run_ids", type_=ARRAY(Uuid)))
_LOCK = (
    select(runs.c.id, runs.c.state, runs.c.pruned_at)
    .where(runs.c.id == _THESE)
    .order_by(runs.c.id)
    .with_for_update(key_share=True)
)

JOB_COUNTS = ("total", "queued", "running", "succeeded", "failed", "cancelled")
FINDING_COUNTS = ("total", "verified", "unchecked", "unresolved", "skipped")


@dataclass(frozen=True, slots=True)
class Counts:
    """How far the jobs of a run are: `jobs` and `findings` as its document shows them."""

    jobs: Mapping[str, int]
    findings: Mapping[str, int]


_COUNTS = select(text("run_id, jobs, findings")).select_from(
    func.run_counts(bindparam("run_ids", type_=ARRAY(Uuid)))
)


def counts_of(connection: Connection, run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Counts]:
    """Count the jobs and findings of runs; nothing of one that is gone meanwhile."""
    found = {
        run_id: Counts(dict.fromkeys(JOB_COUNTS, 0), dict.fromkeys(FINDING_COUNTS, 0)) for run_id in run_ids
    }
    for row in connection.execute(_COUNTS, {"run_ids": list(run_ids)}):
        found[row.run_id] = Counts(
            {name: row.jobs[name] for name in JOB_COUNTS},
            {name: row.findings[name] for name in FINDING_COUNTS},
        )
    return found


def begin(moved: CTE) -> Insert:
    """Note, beside the move, that jobs were claimed: a queued run of theirs runs from then on."""
    begun = (
        update(runs)
        .where(runs.c.id == moved.c.run_id, runs.c.state == "queued")
        .values(state="running", event_seq=runs.c.event_seq + 1)
        .returning(runs.c.id, runs.c.project_id, runs.c.event_seq)
        .cte("begun")
    )
    data = literal({"from": "queued", "to": "running"}, JSONB)
    return insert(events).from_select(
        ["project_id", "run_id", "seq", "type", "data"],
        select(begun.c.project_id, begun.c.id, begun.c.event_seq, literal("run.state"), data),
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
    .returning(runs.c.id, runs.c.project_id, runs.c.event_seq)
)
_CALL_OFF_CANCEL = (
    update(runs).where(runs.c.id == _THESE, runs.c.cancel_requested).values(cancel_requested=False)
)
_ADD_EVENT = insert(events)


def reopen(connection: Connection, run_ids: Collection[uuid.UUID]) -> None:
    """Note that a job of each of these runs was asked for again: one that ended, or was to end, goes on.

    Raises:
        Conflict: a run is being pruned, and this job is next.
    """
    if not run_ids:
        return
    locked = connection.execute(_LOCK, {"run_ids": sorted(run_ids)}).all()
    if any(row.pruned_at is not None for row in locked):
        raise Conflict("the job and its run are older than what is kept, and are being pruned")
    before = {row.id: row.state for row in locked}
    connection.execute(_CALL_OFF_CANCEL, {"run_ids": sorted(run_ids)})
    for row in connection.execute(_REOPEN, {"run_ids": sorted(run_ids)}).all():
        _tell(connection, row, row.event_seq, "run.state", {"from": before[row.id], "to": "running"})


_COUNT_RUNS = select(func.count_runs(bindparam("run_ids", type_=ARRAY(Uuid))))
_FOLLOW_ENDS = select(func.follow_ends(bindparam("job_ids", type_=ARRAY(Uuid))))


def count(connection: Connection, run_ids: Collection[uuid.UUID]) -> None:
    """Tell how far these runs are; one whose jobs have all ended ends."""
    connection.execute(_COUNT_RUNS, {"run_ids": list(run_ids)})


def follow_ends(connection: Connection, job_ids: Collection[uuid.UUID]) -> None:
    """Tell webhooks, and the runs, that jobs have ended; locks the runs, after everything else."""
    if job_ids:
        connection.execute(_FOLLOW_ENDS, {"job_ids": list(job_ids)})


def _tell(connection: Connection, run: Row[Any], seq: int, kind: str, data: Mapping[str, Any]) -> None:
    event = {"project_id": run.project_id, "run_id": run.id, "seq": seq, "type": kind, "data": dict(data)}
    connection.execute(_ADD_EVENT, event)
