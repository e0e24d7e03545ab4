"""The findings of a job as its task has them, with what the tools would do about them."""

import uuid
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, select

from patchmill.job.record import Finding, ToolEdit, ToolFix
from patchmill.store.tables import findings

_FINDINGS = (
    select(*(findings.c[field.name] for field in fields(Finding)))
    .where(findings.c.job_id == bindparam("job_id"))
    .order_by(findings.c.index)
)


def findings_of(connection: Connection, job_id: uuid.UUID) -> tuple[Finding, ...]:
    """Give the findings that a job is about, in the order in which they were submitted."""
    rows = connection.execute(_FINDINGS, {"job_id": job_id}).mappings()
    return tuple(Finding(**{**row, "fixes": _fixes(row["fixes"])}) for row in rows)


def _fixes(stored: list[dict[str, Any]]) -> tuple[ToolFix, ...]:
    return tuple(
        ToolFix(safe=fix["safe"], edits=tuple(ToolEdit(**edit) for edit in fix["edits"])) for fix in stored
    )
