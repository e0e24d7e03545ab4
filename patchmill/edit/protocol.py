"""What a model proposes, whatever the edit format: the records that all formats share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Message = dict[str, Any]
"""One message of a conversation with a model, as the chat protocol writes it."""


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
class Anchor:
    """A line by its number, from 1, and the tag that proves it; see `edit.anchors`."""

    line: int
    tag: str


class Where(StrEnum):
    """Where new lines go: in the place of the lines from the first to the last, or beside them."""

    REPLACE = "replace"
    AFTER = "after"
    BEFORE = "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredEdit:
    """New lines for a place that is named by anchors: `replace` goes `where`, seen from `first` to `last`.

    Without anchors it is the beginning of the file, and `where` is `AFTER`.
    """

    where: Where
    first: Anchor | None
    last: Anchor | None
    replace: str


AnyEdit = Edit | AnchoredEdit


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
    edits: tuple[AnyEdit, ...]
    rejections: tuple[Rejection, ...] = ()
    declined: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A function that a model is to call with its edits; `parameters` is the JSON schema of the arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class EditFormat(Protocol):
    """One way for a model to write edits: how it is asked for, and how its answer is read.

    An answer is plain text; with `answer_schema` one JSON object that follows this JSON schema; with `tool` a
    call of that function, as `edit.called` writes it down. The instructions then suffice alone, and contain
    the word JSON: not every model enforces a schema or calls functions.
    """

    name: str
    instructions: str
    answer_schema: Mapping[str, Any] | None
    tool: OfferedTool | None

    def shown(self, number: int, line: str) -> str:
        """Write a line of the file, with its end, as the prompt shows it; numbers count from 1."""
        ...

    def parse(self, text: str) -> Proposal:
        """Read an answer; never raises, whatever the text."""
        ...

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write an answer that failed, and what is said to it, as messages that continue the conversation."""
        ...


def told(answer: str, said: str) -> list[Message]:
    """Write an answer in words and what is said to it as two messages."""
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": said}]
