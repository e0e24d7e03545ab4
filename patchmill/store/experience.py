"""The jobs that a project, or everybody, has seen end last: what the next one is judged by."""

import uuid
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from patchmill.job.experience import BYTES_IN_UNIT, UNTRIED, Experience, PastJob, Source, experience_of
from patchmill.job.record import KindName
from patchmill.job.state import State
from patchmill.store.tables import findings, jobs

_LATEST = 1_000  # of all kinds and states: so far back is looked
_RECENT = 50
_MOST_FINDINGS = 1_000  # of one job that are counted

_TAKEN = ("calls", "input_tokens", "cached_tokens", "output_tokens")
_LOOKED_AT = (
    select(*(jobs.c[name] for name in ("id", "kind", "state", "bytes", "pruned_at", *_TAKEN)))
    .order_by(jobs.c.id.desc())
    .limit(_LATEST)
)


def _ended(looked_at: Select[Any]) -> Select[Any]:
    """Narrow to the last that asked a model and ended, with the number of findings without a safe fix."""
    job = looked_at.subquery()
    unmended = (
        select(findings.c.index)
        .where(findings.c.job_id == job.c.id, ~findings.c.fixes.contains([{"safe": True}]))
        .limit(_MOST_FINDINGS)
        .correlate(job)
        .subquery()
        .lateral()
    )
    return (
        select(
            *(job.c[name] for name in (*_TAKEN, "bytes")),
            select(func.count()).select_from(unmended).scalar_subquery().label("unmended"),
        )
        .where(
            job.c.kind == bindparam("kind"),
            job.c.state.in_([State.SUCCEEDED, State.FAILED]),
            job.c.calls > 0,
            job.c.pruned_at.is_(None),
        )
        .order_by(job.c.id.desc())
        .limit(_RECENT)
    )


_OF_EVERYBODY = _ended(_LOOKED_AT)
_OF_PROJECT = _ended(
    _LOOKED_AT.where(jobs.c.project_id == bindparam("project_id"), jobs.c.pruned_at.is_(None))
)


def experience(connection: Connection, kind: KindName, project_id: uuid.UUID) -> Experience:
    """Give what a project's jobs of a kind have taken; if they are too few, everybody's; else constants."""
    own = connection.execute(_OF_PROJECT, {"kind": kind, "project_id": project_id})
    learned = experience_of([_past(kind, row) for row in own.mappings()], Source.PROJECT)
    if learned is None:
        everybody = connection.execute(_OF_EVERYBODY, {"kind": kind})
        learned = experience_of([_past(kind, row) for row in everybody.mappings()], Source.INSTALLATION)
    return learned or UNTRIED[kind]


def _past(kind: KindName, row: Any) -> PastJob:
    units = -(-row["bytes"] // BYTES_IN_UNIT) if kind is KindName.ANNOTATE else row["unmended"]
    return PastJob(**{name: row[name] for name in _TAKEN}, units=max(1, units))
