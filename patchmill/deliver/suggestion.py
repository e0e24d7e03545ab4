"""A suggestion as the API shows it, and what a format needs to render the suggestions of a job."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchmill.edit.encoding import UTF_8
from patchmill.job.record import FindingStatus
from patchmill.store.ids import to_edge
from patchmill.store.jobs import FindingRow
from patchmill.store.results import CheckRow, SuggestionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedFile:
    """What one ended job offers: its file as submitted, findings, suggestions, and their evidence by id."""

    path: str
    source: str
    encoding: str = UTF_8
    findings: Sequence[FindingRow]
    suggestions: Sequence[SuggestionRow]
    evidence: Mapping[uuid.UUID, Sequence[CheckRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a job or a run offers: one entry a file, by path, and the diff that was submitted with it."""

    files: Sequence[OfferedFile]
    diff: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to hand suggestions over: its name in `?format=`, its media type, and its writer."""

    name: str
    media_type: str
    render: Callable[[Offered], str]


def document(row: SuggestionRow, evidence: Sequence[CheckRow]) -> dict[str, Any]:
    """Write a suggestion and its evidence as the JSON object that the API shows."""
    return {
        "id": to_edge("sug", row.id),
        "path": row.path,
        "start_line": row.start_line,
        "end_line": row.end_line,
        "original": row.original,
        "replacement": row.replacement,
        "title": row.title,
        "explanation": row.explanation,
        "status": row.status,
        "source": row.source,
        "safety": row.safety,
        "requires": [to_edge("sug", other) for other in row.requires],
        "committable": row.committable,
        "findings": list(row.findings),
        "evidence": [
            {"check": check.check, "result": check.result, "detail": check.detail} for check in evidence
        ],
    }


def one_click(row: SuggestionRow) -> bool:
    """Whether a forge may apply this suggestion alone: it is verified, and no other must go with it."""
    return row.status == FindingStatus.VERIFIED and row.committable


def grouped(rows: Sequence[SuggestionRow]) -> list[tuple[SuggestionRow, ...]]:
    """Give suggestions by groups that need each other, in the order of their first ones."""
    groups: dict[frozenset[uuid.UUID], list[SuggestionRow]] = {}
    for row in rows:
        groups.setdefault(frozenset((row.id, *row.requires)), []).append(row)
    return [tuple(group) for group in groups.values()]


def because(evidence: Sequence[CheckRow]) -> str:
    """Say in words which checks passed, each with its detail: `parses, finding gone (ruff B904)`."""
    return ", ".join(
        check.check.replace("_", " ") + (f" ({check.detail})" if check.detail else "")
        for check in evidence
        if check.result == "passed"
    )
