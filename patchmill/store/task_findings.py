"""The findings of a job as its task has them, with what the tools would do about them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from patchmill.job.record import Finding, ToolEdit, ToolFix
from patchmill.store.tables import findings

_AS_JSON = func.jsonb_build_object(
    *(part for field in fields(Finding) for part in (literal(field.name), findings.c[field.name]))
)


def findings_of(job_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give, for a statement, the findings that a job is about, in the order in which they were submitted."""
    in_order = func.jsonb_agg(aggregate_order_by(_AS_JSON, findings.c.index), type_=JSONB)
    return select(in_order).where(findings.c.job_id == job_id).scalar_subquery()


def as_findings(found: Iterable[Mapping[str, Any]] | None) -> tuple[Finding, ...]:
    """Read what `findings_of` gave: nothing for a job without findings."""
    return tuple(Finding(**{**each, "fixes": _fixes(each["fixes"])}) for each in found or ())


def _fixes(stored: list[dict[str, Any]]) -> tuple[ToolFix, ...]:
    return tuple(
        ToolFix(safe=fix["safe"], edits=tuple(ToolEdit(**edit) for edit in fix["edits"])) for fix in stored
    )
