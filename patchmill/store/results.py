"""Suggestions and the checks that are their evidence: written when a job ends, read for ever after."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ARRAY, Connection, Uuid, any_, bindparam, insert, select, update

from patchmill.edit.span import Hunk
from patchmill.job.record import FindingStatus
from patchmill.store.ids import to_edge
from patchmill.store.tables import checks, findings, suggestions
from patchmill.store.transitions import Note


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


_ADD_SUGGESTIONS = insert(suggestions)
_ADD_CHECKS = insert(checks)
_DECIDE = update(findings).where(
    findings.c.job_id == bindparam("of_job"), findings.c.index == bindparam("of_index")
)
_NOTE_CHECK = Note("job.check", {})
_NOTE_SUGGESTION = Note("job.suggestion", {})
_THESE = any_(bindparam("job_ids", type_=ARRAY(Uuid)))
_SUGGESTIONS_OF = (
    select(suggestions)
    .where(suggestions.c.job_id == _THESE)
    .order_by(suggestions.c.job_id, suggestions.c.start_line, suggestions.c.ordinal)
)
_EVIDENCE_OF = (
    select(checks).where(checks.c.job_id == _THESE, checks.c.suggestion_id.is_not(None)).order_by(checks.c.id)
)


def _columns(row: SuggestionRow | CheckRow) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def store(
    connection: Connection,
    job_id: uuid.UUID,
    *,
    offered: Sequence[SuggestionRow],
    evidence: Sequence[CheckRow],
    fates: Mapping[int, tuple[FindingStatus, str | None]],
) -> None:
    """Write what a job found, in the transaction that ends it."""
    if offered:
        rows = [
            {
                **_columns(row),
                "job_id": job_id,
                "ordinal": number,
                "requires": list(row.requires),
                "findings": list(row.findings),
            }
            for number, row in enumerate(offered)
        ]
        connection.execute(_ADD_SUGGESTIONS, rows)
    if evidence:
        connection.execute(_ADD_CHECKS, [{**_columns(row), "job_id": job_id} for row in evidence])
    if fates:
        decided = [
            {"of_job": job_id, "of_index": index, "status": status, "reason": reason}
            for index, (status, reason) in fates.items()
        ]
        connection.execute(_DECIDE, decided)
    _tell(connection, job_id, offered, evidence)


def _tell(
    connection: Connection,
    job_id: uuid.UUID,
    offered: Sequence[SuggestionRow],
    evidence: Sequence[CheckRow],
) -> None:
    """Record the events: each check once with each of its results, then each suggestion."""
    results = dict.fromkeys((str(row.check), str(row.result)) for row in evidence)
    if results:
        told = [{"check": check, "result": result} for check, result in results]
        _NOTE_CHECK.write(connection, job_id, *told)
    if offered:
        found = [{"id": to_edge("sug", row.id), "status": str(row.status)} for row in offered]
        _NOTE_SUGGESTION.write(connection, job_id, *found)


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
