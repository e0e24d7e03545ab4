"""The shapes of answers, exactly as they go over the wire; `api.requests` has those of requests."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from patchmill.instants import rfc3339
from patchmill.job.record import ErrorCode, FindingStatus, KindName, Outcome
from patchmill.job.state import State, WaitReason

Instant = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
Usd = Annotated[str, Field(description="US dollars as a decimal string", pattern=r"^-?\d+(\.\d+)?$")]


class Shape(BaseModel):
    """The base of every answer: all fields are always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemField(Shape):
    """One mistake in a request."""

    pointer: str = Field(description="JSON pointer into the body, or /query/NAME, /headers/NAME")
    code: str
    detail: str


class Problem(Shape):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    errors: list[ProblemField] = Field(description="at most the first 100 mistakes")


class ProblemKind(Shape):
    """What a kind of problem means."""

    type: str = Field(description="the `type` of the problem documents of this kind")
    title: str
    status: int
    code: str
    meaning: str
    remedy: str = Field(description="what to do about it")
    retryable: bool = Field(description="whether the same request can succeed later")


class JobFile(Shape):
    """The submitted file, without its content."""

    path: str
    sha256: str = Field(description="of the file's bytes, in its encoding")
    language: str
    bytes: int
    encoding: str = Field(description="by Python's name, such as iso8859-1 for latin-1")


class JobFinding(Shape):
    """What became of a finding."""

    index: int
    fingerprint: str
    rule: str
    message: str = Field(description="empty once the code is erased")
    start_line: int
    end_line: int
    status: FindingStatus
    reason: str | None = Field(description="why it is not verified: a word of docs/findings.md")
    suggestions: list[str]


class Evidence(Shape):
    """One check of a suggestion."""

    check: str = Field(description="applies, parses, reproduced, finding_gone, nothing_new and others")
    result: Literal["passed", "failed", "skipped"]
    detail: str


class Suggestion(Shape):
    """A replacement of whole lines, 1-based, both included."""

    id: str
    path: str
    start_line: int
    end_line: int
    original: str
    replacement: str
    title: str
    explanation: str
    status: Literal["verified", "unchecked"]
    source: Literal["model", "tool", "store", "stand-in"]
    safety: Literal["safe", "unsafe"]
    requires: list[str]
    committable: bool
    findings: list[int]
    evidence: list[Evidence]


class JobUsage(Shape):
    """What a job's calls used and cost."""

    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: Usd
    uncertain_usd: Usd


class JobTimings(Shape):
    """Where a job's time went, in milliseconds; null until it is known."""

    queued_ms: int | None
    model_ms: int | None
    verify_ms: int | None
    total_ms: int | None


class JobError(Shape):
    """Why a job failed."""

    code: ErrorCode
    message: str
    retryable: bool
    details: dict[str, Any]


class Pause(Shape):
    """A project or a queue of which no job begins, or calls that are not made."""

    what: Literal["project", "queue", "installation", "model"]
    name: str = Field(description="the project's, the queue's or the model's; `gateway` for the installation")
    reason: str
    actor: str | None = Field(description="`user:NAME`, `key_…`, or `host`; null where nobody did it by hand")
    since: Instant


class JobDocument(Shape):
    """A job and everything that it has found so far."""

    id: str
    project: str
    run: str | None
    kind: KindName
    state: State
    outcome: Outcome | None
    attempt: int
    wait_reason: WaitReason | None
    run_at: Instant | None = Field(
        description="while it waits: when it goes on at the latest; what it waits for may let it go on before"
    )
    paused_by: Pause | None = Field(description="what it waits for while `wait_reason` is `paused`")
    cancel_requested: bool
    file: JobFile
    instruction: str | None = Field(description="null without one, and once the code is erased")
    findings: list[JobFinding]
    suggestions: list[Suggestion]
    usage: JobUsage
    timings: JobTimings
    error: JobError | None
    origin: dict[str, Any]
    labels: dict[str, str]
    created_at: Instant
    finished_at: Instant | None
    served_from: str | None = Field(
        description="the job of the same work whose result this one was given; null: it did the work itself"
    )
    erased_at: Instant | None = Field(
        description="when its code was erased: texts of suggestions are empty since then, and no deletions"
    )


class JobList(Shape):
    """A page of jobs, newest first."""

    data: list[JobDocument]
    next_cursor: str | None


class SuggestionList(Shape):
    """The suggestions of a job, in the order of its file."""

    data: list[Suggestion]


class Key(Shape):
    """A key; its secret is shown once, by the answer that creates it."""

    id: str
    name: str
    project: str
    prefix: str
    scopes: list[str]
    expires_at: Instant | None
    last_used_at: Instant | None
    revoked_at: Instant | None


class NewKey(Key):
    """A key with its secret, as its creation answers."""

    secret: str


class KeyList(Shape):
    """Keys, newest first."""

    data: list[Key]
    next_cursor: str | None


class Health(Shape):
    """The process is up."""

    status: Literal["ok"]


Checks = dict[Literal["postgres", "schema", "redis"], Literal["ok", "newer", "unreachable"]]


class Readiness(Shape):
    """Whether requests can be served: `degraded` serves them all, but jobs start up to a second later."""

    status: Literal["ready", "degraded"]
    checks: Checks
