"""The words and records of a job: plain values, no I/O."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class KindName(StrEnum):
    """What a job is asked to do."""

    FIX = "fix"
    ANNOTATE = "annotate"


class Priority(StrEnum):
    """Interactive jobs are dispatched before bulk ones."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Outcome(StrEnum):
    """How a succeeded job ended."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    UNCHECKED = "unchecked"
    NO_CHANGE = "no_change"


class Annotation(StrEnum):
    """What an annotate job may add."""

    TYPES = "types"
    DOCSTRINGS = "docstrings"
    EXISTING_TYPES = "existing_types"  # with types: hints that are there may change


class FindingStatus(StrEnum):
    """What became of a finding."""

    PENDING = "pending"
    VERIFIED = "verified"
    UNCHECKED = "unchecked"
    UNRESOLVED = "unresolved"


class ErrorCode(StrEnum):
    """Why a job failed, as the job document's `error.code` says it."""

    UNVERIFIED = "unverified"
    MODEL_DECLINED = "model_declined"
    CONTEXT_TOO_LONG = "context_too_long"
    BUDGET_EXHAUSTED = "budget_exhausted"
    OVER_BUDGET = "over_budget"
    GATEWAY_REJECTED = "gateway_rejected"
    GATEWAY_UNAVAILABLE = "gateway_unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    WORKER_LOST = "worker_lost"
    CALL_UNKNOWN = "call_unknown"
    INVALID_SOURCE = "invalid_source"
    ATTEMPTS_SPENT = "attempts_spent"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEdit:
    """One replacement that a tool proposes: lines 1-based, columns 1-based code points, end exclusive."""

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFix:
    """A tool's own fix of its finding; `safe` is the tool's claim that the meaning is kept."""

    safe: bool
    edits: tuple[ToolEdit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem that a tool reported in the file: lines 1-based, both included; columns optional."""

    index: int
    tool: str
    rule: str
    message: str
    severity: str
    start_line: int
    end_line: int
    start_column: int | None = None
    end_column: int | None = None
    fixes: tuple[ToolFix, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The lines that edits may touch, 1-based, both included."""

    start_line: int
    end_line: int

    def as_pair(self) -> tuple[int, int]:
        """Give the scope as (first line, last line)."""
        return self.start_line, self.end_line


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """Another file that helps to understand the job's; it is shown to the model and never edited."""

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a submitter may choose; money in pico-dollars, `max_calls` as asked."""

    model: str | None = None
    escalate: bool = True
    tool_fixes: bool = True
    reuse: bool = True
    edit_format: str | None = None
    max_calls: int | None = None
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a job is about: the file, and what is wanted of it."""

    kind: KindName
    path: str
    language: str
    source: str
    encoding: str = "utf-8"  # of the file's bytes, by Python's name
    findings: tuple[Finding, ...] = ()
    what: frozenset[Annotation] = frozenset()
    instruction: str | None = None  # what a person wants, where no finding says it
    scope: Scope | None = None
    context: tuple[ContextFile, ...] = ()
    checkers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reported: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # in all files of a run: rules by tool
    options: Options = field(default_factory=Options)


def fingerprint(finding: Finding, path: str, lines: Sequence[str]) -> str:
    """Identify a finding across versions of a file: by tool, rule, path and the text of its lines."""
    text = "\n".join(line.strip() for line in lines[finding.start_line - 1 : finding.end_line])
    identity = f"{finding.tool}\0{finding.rule}\0{path}\0{text}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
