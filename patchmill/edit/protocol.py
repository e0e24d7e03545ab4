"""What a model proposes, whatever the edit format: the records that all formats share."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class RejectionReason(StrEnum):
    """Why an edit, or a part of an answer, cannot be used."""

    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    OUTSIDE_SCOPE = "outside_scope"
    OVERLAP = "overlap"
    EMPTY_SEARCH = "empty_search"
    UNTERMINATED = "unterminated"
    NO_EFFECT = "no_effect"
    UNKNOWN_TOOL = "unknown_tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Old text to find in the file, and the text that takes its place; both as the model wrote them."""

    search: str
    replace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An edit that was refused: its number in the answer (from 0), the reason, and what was wrong.

    `near` is the lines of the file that it may mean, 1-based, both included.
    """

    edit: int
    reason: RejectionReason
    detail: str
    near: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A parsed answer: edits to try, what was refused, or in `declined` why nothing should change."""

    title: str
    explanation: str
    edits: tuple[Edit, ...]
    rejections: tuple[Rejection, ...] = ()
    declined: str | None = None


class EditFormat(Protocol):
    """One way for a model to write edits: how it is asked for, and how its answer is read.

    An answer is plain text, or with `answer_schema` one JSON object that follows this JSON schema. The
    instructions then suffice alone, and contain the word JSON: not every model enforces a schema.
    """

    name: str
    instructions: str
    answer_schema: Mapping[str, Any] | None

    def parse(self, text: str) -> Proposal:
        """Read an answer; never raises, whatever the text."""
        ...
