"""What has ended goes by age: in small batches found by index, and never what money or usage hangs on.

A job that made calls leaves a stone: its row, its calls and the rules of its findings, which the ledger, the
counters of budgets and every sum of usage need, without code, prompts, answers, paths and origin. A job
without calls goes whole. Jobs of a run go with it: the run is there for nobody first, and its row goes last.
What may still move, or may have been billed or not, is left as it is.

Nothing here waits for anybody: what somebody else holds is left for the next batch.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Select,
    Uuid,
    any_,
    bindparam,
    delete,
    exists,
    func,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.sql.selectable import ScalarSelect

from patchmill.store.erasure import ERASED_CALL, KEPT_ERROR
from patchmill.store.ids import first_id
from patchmill.store.recordset import as_rows, given_rows
from patchmill.store.tables import (
    attempts,
    audit,
    calls,
    checks,
    deliveries,
    events,
    findings,
    jobs,
    projects,
    runs,
    sources,
    suggestions,
    webhooks,
    workers,
)

RETENTION_LOCK = 0x7072756E  # one prunes at a time
AUDIT_KEPT = timedelta(days=730)
WORKERS_KEPT = timedelta(days=90)  # since they were last heard
MAX_DAYS = 36_500

_TAKE_TURN = select(func.pg_try_advisory_xact_lock(RETENTION_LOCK))


def take_turn(connection: Connection) -> bool:
    """Become the one who prunes, until this transaction ends; False while somebody else does."""
    return bool(connection.scalar(_TAKE_TURN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """What a project keeps: what ended at `before` or later."""

    project_id: uuid.UUID
    before: datetime


_DAYS = select(projects.c.id, projects.c.retention_days)


def ages(connection: Connection, *, days: int, now: datetime) -> list[Age]:
    """Give what each project keeps, those that keep all for ever left out; `days` is the installation's."""
    kept = (
        (row.id, days if row.retention_days is None else row.retention_days)
        for row in connection.execute(_DAYS)
    )
    return [Age(project_id=each, before=now - timedelta(days=own)) for each, own in kept if own]


_AGES = given_rows(
    {"project_id": Uuid(), "before": DateTime(timezone=True), "first_kept": Uuid()}, name="ages"
)
_LIMIT = bindparam("most", type_=BigInteger)
_THESE = bindparam("these", type_=ARRAY(Uuid))


def _given(found: Sequence[Age], most: int) -> dict[str, Any]:
    rows = [
        {
            "project_id": each.project_id,
            "before": each.before.isoformat(),
            "first_kept": first_id(each.before),
        }
        for each in found
    ]
    return {**as_rows(rows), "most": most}


def _of_each_project(narrowed: Select[Any]) -> Select[Any]:
    """Take the first of each project by its index, and so many of all projects together."""
    first = narrowed.limit(_LIMIT).lateral("first")
    return select(first).select_from(_AGES.join(first, true())).limit(_LIMIT)


def _none(found: Select[Any]) -> ColumnElement[bool]:
    """Say that there is none, looked for row by row.

    Joined to many rows of which a few are taken, the planner would rather read a whole table than an index.
    """
    return found.with_only_columns(func.count()).scalar_subquery() == 0


_SETTLED = _none(
    select(calls.c.id)
    .where(calls.c.job_id == jobs.c.id, calls.c.state.in_(["sent", "uncertain"]))
    .correlate(jobs)
)
_JOBS_ENDED = (
    select(jobs.c.id, jobs.c.finished_at)
    .where(
        jobs.c.project_id == _AGES.c.project_id,
        jobs.c.finished_at < _AGES.c.before,
        jobs.c.run_id.is_(None),
        jobs.c.pruned_at.is_(None),
    )
    .order_by(jobs.c.finished_at)
)
_OLD_JOBS = _of_each_project(_JOBS_ENDED.where(_SETTLED))
_OF_PRUNED_RUNS = (
    select(jobs.c.id, jobs.c.finished_at)
    .join(runs, runs.c.id == jobs.c.run_id)
    .where(runs.c.pruned_at.is_not(None), jobs.c.finished_at.is_not(None))
    .limit(_LIMIT)
)
_EARLIER = runs.alias("earlier")
_RUNS_ENDED = (
    select(runs.c.id, runs.c.finished_at)
    .where(
        runs.c.project_id == _AGES.c.project_id,
        runs.c.finished_at < _AGES.c.before,
        runs.c.pruned_at.is_(None),
    )
    .order_by(runs.c.finished_at)
)
_OLD_RUNS = _of_each_project(
    _RUNS_ENDED.where(
        # An earlier run that is kept says which one superseded it.
        _none(select(_EARLIER.c.id).where(_EARLIER.c.superseded_by == runs.c.id).correlate(runs)),
        _none(select(jobs.c.id).where(jobs.c.run_id == runs.c.id, ~_SETTLED).correlate(runs)),
    )
)


def _lock(found: Select[Any], table: Any) -> Select[Any]:
    """Hold what is found, unless it has changed since, or somebody else holds it."""
    old = found.subquery("old")
    return (
        select(table)
        .join(old, (old.c.id == table.c.id) & (old.c.finished_at == table.c.finished_at))
        .where(table.c.pruned_at.is_(None))
        .with_for_update(of=table, skip_locked=True)
    )


_CALLED = exists().where(calls.c.job_id == jobs.c.id).label("called")
_LOCK_JOBS, _LOCK_JOBS_OF_RUNS = (
    _lock(found, jobs).with_only_columns(jobs.c.id, jobs.c.project_id, jobs.c.sha256, _CALLED)
    for found in (_OLD_JOBS, _OF_PRUNED_RUNS)
)
_LOCK_SOURCES = (
    select(sources.c.project_id, sources.c.sha256)
    .where(
        tuple_(sources.c.project_id, sources.c.sha256).in_(
            select(jobs.c.project_id, jobs.c.sha256).where(jobs.c.id == any_(_THESE))
        )
    )
    .with_for_update(skip_locked=True)
)


def prune_jobs(connection: Connection, kept: Sequence[Age], *, limit: int) -> int:
    """Prune jobs that ended too long ago, and those of runs that are pruned; give how many of both."""
    found = connection.execute(_LOCK_JOBS_OF_RUNS, {"most": limit}).all()
    if len(found) < limit and kept:
        found = [*found, *connection.execute(_LOCK_JOBS, _given(kept, limit - len(found)))]
    if not found:
        return 0
    held = connection.execute(_LOCK_SOURCES, {"these": [row.id for row in found]}).all()
    files = {tuple(row) for row in held}
    # Somebody submits the same file just now: its jobs come with the next batch.
    free = [row for row in found if (row.project_id, row.sha256) in files]
    _strip(connection, [row.id for row in free])
    _leave_stones(connection, [row.id for row in free if row.called])
    _remove(connection, [row.id for row in free if not row.called])
    _drop_sources(connection, list(files))
    return len(free)


_STRIP = [delete(table).where(table.c.job_id == any_(_THESE)) for table in (checks, suggestions, events)]
_STONES = (
    update(calls).where(calls.c.job_id == any_(_THESE)).values(ERASED_CALL),
    update(findings)
    .where(findings.c.job_id == any_(_THESE))
    .values(message="", fingerprint="", fixes=[], reason=None),
    delete(attempts).where(
        attempts.c.job_id == any_(_THESE),
        ~exists().where(calls.c.job_id == attempts.c.job_id, calls.c.fence == attempts.c.fence),
    ),
    update(jobs)
    .where(jobs.c.id == any_(_THESE))
    .values(
        pruned_at=func.now(),
        erased_at=func.coalesce(jobs.c.erased_at, func.now()),
        run_id=None,
        path="",
        request={},
        origin={},
        timings={},
        skipped_rungs=[],
        idempotency_key=None,
        idempotency_hash=None,
        error=KEPT_ERROR,
    ),
)
_REMOVE = (
    *(delete(table).where(table.c.job_id == any_(_THESE)) for table in (findings, attempts)),
    delete(jobs).where(jobs.c.id == any_(_THESE)),
)


def _strip(connection: Connection, job_ids: Sequence[uuid.UUID]) -> None:
    for statement in _STRIP:
        connection.execute(statement, {"these": job_ids})


def _leave_stones(connection: Connection, job_ids: Sequence[uuid.UUID]) -> None:
    if job_ids:
        for statement in _STONES:
            connection.execute(statement, {"these": job_ids})


def _remove(connection: Connection, job_ids: Sequence[uuid.UUID]) -> None:
    if job_ids:
        for statement in _REMOVE:
            connection.execute(statement, {"these": job_ids})


_HELD = tuple_(sources.c.project_id, sources.c.sha256).in_(bindparam("files", expanding=True))
_SHARING = (jobs.c.project_id == sources.c.project_id, jobs.c.sha256 == sources.c.sha256)
_DROP_SOURCES = (
    delete(sources).where(_HELD, ~exists().where(*_SHARING)),
    update(sources)
    .where(
        _HELD,
        sources.c.content.is_not(None),
        ~exists().where(*_SHARING, jobs.c.erased_at.is_(None)),
    )
    .values(content=None),
)


def _drop_sources(connection: Connection, files: Sequence[Any]) -> None:
    """Drop the files that are held and that no job needs any more; a stone keeps the digest alone."""
    if files:
        for statement in _DROP_SOURCES:
            connection.execute(statement, {"files": files})


_LOCK_RUNS = _lock(_OLD_RUNS, runs).with_only_columns(runs.c.id)
_HIDE = (
    update(runs)
    .where(runs.c.id == any_(_THESE))
    .values(pruned_at=func.now(), diff=None, idempotency_key=None, idempotency_hash=None)
)


def hide_runs(connection: Connection, kept: Sequence[Age], *, limit: int) -> int:
    """Take runs that ended too long ago from everybody's sight, so that their jobs may go; give how many."""
    if not kept:
        return 0
    found = connection.scalars(_LOCK_RUNS, _given(kept, limit)).all()
    if found:
        connection.execute(_HIDE, {"these": found})
    return len(found)


_EMPTY_RUNS = (
    select(runs.c.id)
    .where(runs.c.pruned_at.is_not(None), ~exists().where(jobs.c.run_id == runs.c.id))
    .limit(_LIMIT)
    .with_for_update(of=runs, skip_locked=True)
)
_EVENTS_OF_RUNS = delete(events).where(
    events.c.id.in_(select(events.c.id).where(events.c.run_id == any_(_THESE)).limit(_LIMIT))
)
_REMOVE_RUNS = delete(runs).where(runs.c.id == any_(_THESE), ~exists().where(events.c.run_id == runs.c.id))


def remove_runs(connection: Connection, *, limit: int) -> int:
    """Remove events of runs whose jobs are gone, and then their rows; give how much that was."""
    found = connection.scalars(_EMPTY_RUNS, {"most": limit}).all()
    if not found:
        return 0
    told = connection.execute(_EVENTS_OF_RUNS, {"these": found, "most": limit * 20}).rowcount
    return told + connection.execute(_REMOVE_RUNS, {"these": found}).rowcount


_OLD_DELIVERIES = (
    select(deliveries.c.id)
    .where(
        deliveries.c.webhook_id == webhooks.c.id,
        deliveries.c.id < _AGES.c.first_kept,
        deliveries.c.state != "pending",
    )
    .order_by(deliveries.c.id)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
    .lateral("old")
)
_REMOVE_DELIVERIES = delete(deliveries).where(
    deliveries.c.id.in_(
        select(_OLD_DELIVERIES.c.id)
        .select_from(
            _AGES.join(webhooks, webhooks.c.project_id == _AGES.c.project_id).join(_OLD_DELIVERIES, true())
        )
        .limit(_LIMIT)
    )
)


def remove_deliveries(connection: Connection, kept: Sequence[Age], *, limit: int) -> int:
    """Remove messages to webhooks that were made too long ago and are not on their way; give how many."""
    return connection.execute(_REMOVE_DELIVERIES, _given(kept, limit)).rowcount if kept else 0


_BEFORE = bindparam("before", type_=DateTime(timezone=True))
_FIRST_AUDITED = select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(_LIMIT).subquery("first")
_REMOVE_AUDIT = delete(audit).where(
    audit.c.id.in_(select(_FIRST_AUDITED.c.id).where(_FIRST_AUDITED.c.at < _BEFORE))
)
_REMOVE_WORKERS = delete(workers).where(
    workers.c.heartbeat_at < _BEFORE,
    ~exists().where(jobs.c.worker_id == workers.c.id, jobs.c.state == "running"),
)


def remove_records(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove the audit's oldest rows, and processes that nobody has heard for long; give how many."""
    audited = connection.execute(_REMOVE_AUDIT, {"before": now - AUDIT_KEPT, "most": limit}).rowcount
    silent = connection.execute(_REMOVE_WORKERS, {"before": now - WORKERS_KEPT}).rowcount
    return audited + silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """When the oldest that is kept ended, and how many jobs and runs are due, each counted to `COUNTED`."""

    oldest: datetime | None
    due: int


COUNTED = 1_000


def _first(ended: Any, *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    return (
        select(func.min(ended.c.finished_at))
        .where(ended.c.project_id == projects.c.id, ended.c.pruned_at.is_(None), *conditions)
        .scalar_subquery()
    )


_OLDEST = select(func.least(func.min(_first(jobs, jobs.c.run_id.is_(None))), func.min(_first(runs))))
_DUE = [
    select(func.count()).select_from(found.subquery("found"))
    for found in (_OLD_JOBS, _OF_PRUNED_RUNS, _OLD_RUNS)
]


def standing(connection: Connection, *, days: int, now: datetime) -> Standing:
    """Look at how far pruning has come."""
    kept = ages(connection, days=days, now=now)
    due = sum(connection.scalar(each, _given(kept, COUNTED)) or 0 for each in _DUE) if kept else 0
    return Standing(oldest=connection.scalar(_OLDEST), due=due)
