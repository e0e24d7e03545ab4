"""Suggestions and the checks that are their evidence: written when a job ends, read for ever after."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ARRAY, Connection, Uuid, any_, bindparam, select

from patchmill.edit.span import Hunk
from patchmill.job.record import FindingStatus
from patchmill.store.ids import to_edge
from patchmill.store.tables import checks, suggestions


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionRow:
    """A suggestion as stored: whole lines, 1-based, both included."""

    id: uuid.UUID
    path: str
    start_line: int
    end_line: int
    original: str
    replacement: str
    title: str
    explanation: str
    status: str
    source: str
    safety: str
    requires: tuple[uuid.UUID, ...]
    committable: bool
    findings: tuple[int, ...]

    @property
    def hunk(self) -> Hunk:
        """What it replaces by what."""
        return Hunk(
            start_line=self.start_line,
            end_line=self.end_line,
            original=self.original,
            replacement=self.replacement,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """One check, of a suggestion, or of an edit that was refused (`suggestion_id` None)."""

    suggestion_id: uuid.UUID | None
    call_id: uuid.UUID | None
    check: str
    result: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a job has found when it ends: suggestions, the evidence, and what became of each finding."""

    offered: Sequence[SuggestionRow] = ()
    evidence: Sequence[CheckRow] = ()
    fates: Mapping[int, tuple[FindingStatus, str | None]] = field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        """Give it as the database's function that ends a job takes it, in JSON."""
        return {
            "suggestions": [
                {**_columns(row), "ordinal": number, "requires": [str(each) for each in row.requires]}
                for number, row in enumerate(self.offered)
            ],
            "checks": [_columns(row) for row in self.evidence],
            "fates": [
                {"index": index, "status": status, "reason": reason}
                for index, (status, reason) in self.fates.items()
            ],
            "told": self._told(),
        }

    def _told(self) -> list[dict[str, Any]]:
        """Give the events: each check once with each of its results, then each suggestion."""
        results = dict.fromkeys((str(row.check), str(row.result)) for row in self.evidence)
        told = [("job.check", {"check": check, "result": result}) for check, result in results]
        told += [
            ("job.suggestion", {"id": to_edge("sug", row.id), "status": str(row.status)})
            for row in self.offered
        ]
        return [{"type": kind, "data": data} for kind, data in told]


NOTHING = Found()


def _columns(row: SuggestionRow | CheckRow) -> dict[str, Any]:
    values = {each.name: getattr(row, each.name) for each in fields(row)}
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in values.items()}


_THESE = any_(bindparam("job_ids", type_=ARRAY(Uuid)))
_SUGGESTIONS_OF = (
    select(suggestions)
    .where(suggestions.c.job_id == _THESE)
    .order_by(suggestions.c.job_id, suggestions.c.start_line, suggestions.c.ordinal)
)
_EVIDENCE_OF = (
    select(checks).where(checks.c.job_id == _THESE, checks.c.suggestion_id.is_not(None)).order_by(checks.c.id)
)


def suggestions_of(
    connection: Connection, job_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[SuggestionRow]]:
    """Give the suggestions of jobs in the order of the file."""
    rows = connection.execute(_SUGGESTIONS_OF, {"job_ids": job_ids})
    found: dict[uuid.UUID, list[SuggestionRow]] = {job_id: [] for job_id in job_ids}
    for row in rows:
        found[row.job_id].append(
            SuggestionRow(
                id=row.id,
                path=row.path,
                start_line=row.start_line,
                end_line=row.end_line,
                original=row.original,
                replacement=row.replacement,
                title=row.title,
                explanation=row.explanation,
                status=row.status,
                source=row.source,
                safety=row.safety,
                requires=tuple(row.requires),
                committable=row.committable,
                findings=tuple(row.findings),
            )
        )
    return found


def evidence_of(connection: Connection, job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[CheckRow]]:
    """Give the checks behind each suggestion of jobs, by suggestion id."""
    rows = connection.execute(_EVIDENCE_OF, {"job_ids": job_ids})
    found: dict[uuid.UUID, list[CheckRow]] = {}
    for row in rows:
        found.setdefault(row.suggestion_id, []).append(
            CheckRow(
                suggestion_id=row.suggestion_id,
                call_id=row.call_id,
                check=row.check,
                result=row.result,
                detail=row.detail,
            )
        )
    return found
