"""Runs: one submission of reports, its jobs, and what became of all of them together."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    RowMapping,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.errors import IdempotencyConflict
from patchmill.job.state import TERMINAL, State
from patchmill.store import jobs as stored_jobs
from patchmill.store import run_progress, submission, superseding
from patchmill.store.engine import allow_long
from patchmill.store.ids import new_id
from patchmill.store.jobs import JobFilter, JobRow
from patchmill.store.run_progress import Counts
from patchmill.store.submission import Submission
from patchmill.store.tables import events, jobs, runs

SKIPPED_IN_LISTS = 20
MAX_JOBS = 10_000  # of one run, far more than one request can carry


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSubmission:
    """A validated request for a run: its jobs, and the findings that no job got."""

    project_id: uuid.UUID
    key_id: uuid.UUID | None
    kind: str
    jobs: Sequence[Submission]
    findings: int  # of all reports
    skipped: Sequence[Mapping[str, Any]]  # {report, finding, path, reason}
    diff: str | None
    origin: Mapping[str, Any]
    labels: Mapping[str, str]
    reported: Mapping[str, Sequence[str]] = field(default_factory=dict)  # in all files: rules by tool
    max_cost_picos: int | None = None
    idempotency_key: str | None = None
    body_hash: bytes | None = None  # sha256 of the validated body, compared on a replay


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedRun:
    """The run that a submission made, or made before under the same Idempotency-Key."""

    run_id: uuid.UUID
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as stored, in the columns that its document needs."""

    id: uuid.UUID
    project_id: uuid.UUID
    kind: str
    state: str
    outcome: str | None
    cancel_requested: bool
    superseded_by: uuid.UUID | None
    findings: int  # of all reports
    skipped_count: int
    outside_diff_count: int
    skipped: Sequence[Mapping[str, Any]]  # in a list of runs the first ones alone
    origin: Mapping[str, Any]
    created_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it, short of an explicit retry of one of its jobs."""
        return self.finished_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """What a list of runs may be narrowed by; None means any."""

    state: str | None = None
    outcome: str | None = None
    repository: str | None = None
    labels: Mapping[str, str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsage:
    """What the jobs of a run used together: tokens, and money in pico-dollars."""

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_picos: int = 0
    uncertain_picos: int = 0


_ADD_RUN = (
    upsert(runs).on_conflict_do_nothing(index_elements=["project_id", "idempotency_key"]).returning(runs.c.id)
)
_ADD_EVENT = insert(events)
_EARLIER = select(runs.c.id, runs.c.idempotency_hash).where(
    runs.c.project_id == bindparam("project_id"), runs.c.idempotency_key == bindparam("idempotency_key")
)


def submit(connection: Connection, entering: RunSubmission) -> SubmittedRun:
    """Store a run with its jobs; one that has nothing to do ends at once.

    The newest run of a pull request supersedes those before it that are open.

    Raises:
        IdempotencyConflict: the key came before with another body.
    """
    if entering.idempotency_key is not None:
        earlier = _earlier(connection, entering)
        if earlier is not None:
            return earlier
    run_id = connection.scalars(_ADD_RUN, _run_values(entering)).one_or_none()
    if run_id is None:  # another request with the same key committed in between
        earlier = _earlier(connection, entering)
        if earlier is None:
            raise IdempotencyConflict("another request with this Idempotency-Key is under way; send it again")
        return earlier
    event = {
        "project_id": entering.project_id,
        "run_id": run_id,
        "seq": 1,
        "type": "run.state",
        "data": {"from": None, "to": "queued"},
    }
    connection.execute(_ADD_EVENT, event)
    allow_long(connection)
    submission.submit_of_run(connection, run_id, entering.jobs, entering.reported)
    if not entering.jobs:
        run_progress.count(connection, [run_id])
    superseding.settle(connection, entering.project_id, run_id, entering.origin)
    return SubmittedRun(run_id=run_id, replayed=False)


def _earlier(connection: Connection, entering: RunSubmission) -> SubmittedRun | None:
    sent = {"project_id": entering.project_id, "idempotency_key": entering.idempotency_key}
    row = connection.execute(_EARLIER, sent).one_or_none()
    if row is None:
        return None
    if row.idempotency_hash != entering.body_hash:
        raise IdempotencyConflict(
            "this Idempotency-Key was used before with another body; use a new key for a new run"
        )
    return SubmittedRun(run_id=row.id, replayed=True)


def _run_values(entering: RunSubmission) -> dict[str, Any]:
    return {
        "id": new_id(),
        "project_id": entering.project_id,
        "key_id": entering.key_id,
        "kind": entering.kind,
        "diff": entering.diff,
        "findings": entering.findings,
        "skipped": [dict(one) for one in entering.skipped],
        "reported": {tool: list(rules) for tool, rules in entering.reported.items()},
        "origin": dict(entering.origin),
        "labels": dict(entering.labels),
        "idempotency_key": entering.idempotency_key,
        "idempotency_hash": entering.body_hash,
        "max_cost_picos": entering.max_cost_picos,
    }


_STORED: list[ColumnElement[Any]] = [
    runs.c[field.name]
    for field in fields(RunRow)
    if field.name not in {"skipped", "skipped_count", "outside_diff_count"}
]
_OUTSIDE_DIFF = func.jsonb_path_query_array(
    runs.c.skipped, cast('$[*] ? (@.reason == "outside_diff")', JSONPATH)
)
_STORED += [
    func.jsonb_array_length(runs.c.skipped).label("skipped_count"),
    func.jsonb_array_length(_OUTSIDE_DIFF).label("outside_diff_count"),
]
_FIRST_SKIPPED = func.jsonb_path_query_array(
    runs.c.skipped, cast(f"$[0 to {SKIPPED_IN_LISTS - 1}]", JSONPATH), type_=JSONB
).label("skipped")
_THIS = [
    runs.c.id == bindparam("run_id"),
    runs.c.project_id == bindparam("project_id"),
    runs.c.pruned_at.is_(None),
]
_FIND = select(*_STORED, runs.c.skipped).where(*_THIS)
_DIFF = select(runs.c.diff).where(*_THIS)
_THESE = any_(bindparam("run_ids", type_=ARRAY(Uuid)))
_SUMMED = ("calls", "input_tokens", "cached_tokens", "output_tokens", "cost_picos", "uncertain_picos")
_USAGE = (
    select(jobs.c.run_id, *(func.sum(jobs.c[name]).label(name) for name in _SUMMED))
    .where(jobs.c.run_id == _THESE)
    .group_by(jobs.c.run_id)
)


def find(connection: Connection, project_id: uuid.UUID, run_id: uuid.UUID) -> RunRow | None:
    """Give a project's run, or None."""
    row = connection.execute(_FIND, {"run_id": run_id, "project_id": project_id}).mappings().one_or_none()
    return None if row is None else _run(row)


def diff_of(connection: Connection, project_id: uuid.UUID, run_id: uuid.UUID) -> str | None:
    """Give the diff that was submitted with a run; None without one, or when it was erased."""
    return connection.scalars(_DIFF, {"run_id": run_id, "project_id": project_id}).one_or_none()


def find_many(
    connection: Connection,
    project_id: uuid.UUID | None,
    chosen: RunFilter,
    *,
    before: uuid.UUID | None,
    limit: int,
) -> list[RunRow]:
    """Give a project's runs, or those of all, newest first, older than the run `before`.

    Of what each skipped there are the first `SKIPPED_IN_LISTS` alone.
    """
    statement = (
        select(*_STORED, _FIRST_SKIPPED).where(*_conditions(chosen)).order_by(runs.c.id.desc()).limit(limit)
    )
    if project_id is not None:
        statement = statement.where(runs.c.project_id == project_id)
    if before is not None:
        statement = statement.where(runs.c.id < before)
    return [_run(row) for row in connection.execute(statement).mappings()]


def _conditions(chosen: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [runs.c.pruned_at.is_(None)]
    conditions += [runs.c.labels[name].astext == value for name, value in (chosen.labels or {}).items()]
    if chosen.state is not None:
        conditions.append(runs.c.state == chosen.state)
    if chosen.outcome is not None:
        conditions.append(runs.c.outcome == chosen.outcome)
    if chosen.repository is not None:
        conditions.append(runs.c.origin["repository"].astext == chosen.repository)
    if chosen.created_after is not None:
        conditions.append(runs.c.created_at > chosen.created_after)
    if chosen.created_before is not None:
        conditions.append(runs.c.created_at < chosen.created_before)
    return conditions


def counts_of(connection: Connection, rows: Sequence[RunRow]) -> dict[uuid.UUID, Counts]:
    """Count the jobs and findings of runs."""
    return run_progress.counts_of(connection, [row.id for row in rows])


def usage_of(connection: Connection, rows: Sequence[RunRow]) -> dict[uuid.UUID, RunUsage]:
    """Sum what the jobs of runs used."""
    found = {row.id: RunUsage() for row in rows}
    for row in connection.execute(_USAGE, {"run_ids": list(found)}).mappings():
        found[row["run_id"]] = RunUsage(**{name: int(row[name]) for name in _SUMMED})
    return found


def jobs_of(connection: Connection, project_id: uuid.UUID, run_id: uuid.UUID) -> list[JobRow]:
    """Give all jobs of a run."""
    return stored_jobs.find_many(connection, project_id, JobFilter(run=run_id), before=None, limit=MAX_JOBS)


_LOCK_JOBS = (
    select(jobs.c.id, jobs.c.state)
    .where(jobs.c.run_id == bindparam("run_id"), jobs.c.project_id == bindparam("project_id"))
    .order_by(jobs.c.id)
    .with_for_update(key_share=True)
)
_REQUEST_CANCEL = update(runs).where(runs.c.id == bindparam("of_run")).values(cancel_requested=True)


def cancel(connection: Connection, project_id: uuid.UUID, run_id: uuid.UUID) -> RunRow | None:
    """Cancel a run's waiting jobs at once and ask running ones to stop; a run that has ended stays as it is.

    Returns the run afterwards, or None when the project has no such run.
    """
    allow_long(connection)
    locked = connection.execute(_LOCK_JOBS, {"run_id": run_id, "project_id": project_id}).all()
    alive = {row.id: State(row.state) for row in locked if State(row.state) not in TERMINAL}
    if alive:
        # Before the jobs move, since the last one to end asks whether this was a cancellation; and after
        # they are locked, since whoever ends a job holds it before it asks for the run's row.
        connection.execute(_REQUEST_CANCEL, {"of_run": run_id})
        stored_jobs.stop(connection, alive)
    return find(connection, project_id, run_id)


def _run(row: RowMapping) -> RunRow:
    return RunRow(**row)
