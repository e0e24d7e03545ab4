"""The shapes of what goes on: events, calls and the numbers of the moment."""

from typing import Any, Literal

from pydantic import Field

from api.schemas import Instant, Shape, Usd
from patchmill.job.failure import FailureClass


class Event(Shape):
    """Something that happened to a job, or to a run; the `data` of a server-sent event."""

    id: str = Field(description="what `Last-Event-ID` takes")
    type: str = Field(description="job.state, job.call, job.check, job.suggestion, run.progress or run.state")
    job: str | None
    run: str | None
    seq: int = Field(description="counts from 1 within the job, or within the run where there is no job")
    at: Instant
    data: dict[str, Any]


class Message(Shape):
    """One message of a prompt."""

    role: str
    content: str


class CallUsage(Shape):
    """Tokens as the gateway reported them; all 0 when it reported none."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int


class CallTimings(Shape):
    """How long a call took, in milliseconds; null until it is known."""

    queue_ms: int | None = Field(description="before the request was on the wire")
    first_token_ms: int | None
    total_ms: int | None


class CallFailure(Shape):
    """Why a call brought no answer."""

    code: FailureClass
    message: str | None
    status: int | None = Field(description="the gateway's HTTP status, when it answered at all")


class Rejected(Shape):
    """A check that an edit of this answer failed, so that it is not offered."""

    check: str
    result: Literal["passed", "failed", "skipped"]
    detail: str


class Call(Shape):
    """One request to a model, with its prompt and its raw answer; both are gone once the code is erased."""

    id: str
    number: int
    attempt: int
    model: str
    rung: Literal["first", "repair", "escalation", "fallback"] = Field(
        description="of the ladder: why this model was asked"
    )
    prompt_version: str | None = Field(description="of the fixed beginning of the prompt")
    returned_model: str | None
    outcome: Literal["answered", "rejected", "unknown"] | None = Field(description="null while it runs")
    failure: CallFailure | None
    finish_reason: str | None
    stand_in: bool
    anomalies: list[str] = Field(description="what was odd about an answer that was taken all the same")
    max_tokens: int
    messages: list[Message]
    reply: str | None
    rejected: list[Rejected]
    usage: CallUsage
    cost_usd: Usd
    held_usd: Usd = Field(description="the worst case that was held before it was sent")
    uncertain_usd: Usd = Field(description="what it may have cost, when nobody can know")
    timings: CallTimings
    sent_at: Instant
    ended_at: Instant | None


class SkippedRung(Shape):
    """A rung of the ladder on which no call was made, and why."""

    rung: Literal["first", "repair", "escalation", "fallback"]
    model: str
    reason: Literal[
        "calls_spent", "budget_exhausted", "over_budget", "unavailable", "no_price", "same_answer"
    ]


class CallList(Shape):
    """A job's calls, in the order in which they were made, and the rungs that were left out at its end."""

    data: list[Call]
    skipped_rungs: list[SkippedRung]
    next_cursor: str | None


class JobNumbers(Shape):
    """Jobs of the project that have not ended: `queued` are due, `waiting` are for later or paused."""

    queued: int
    waiting: int
    dispatched: int
    running: int


class Slots(Shape):
    """Calls in flight, of the whole installation, and how many there may be."""

    limit: int
    used: int


class GatewayState(Shape):
    """Whether calls can be made, and if not, why: see `GET /v1/gateway`."""

    state: Literal["ok", "paused", "down"]
    reason: str | None


class Stats(Shape):
    """The numbers of this moment: jobs, rates and money of the project, the rest of the installation."""

    at: Instant
    jobs: JobNumbers
    oldest_queued_s: float = Field(description="how long the longest due job has been due; 0 without one")
    rate_per_min: dict[Literal["in", "out"], int] = Field(
        description="jobs that came in and that ended within the last minute"
    )
    slots: Slots
    gateway: GatewayState
    workers: int
    spend_today_usd: Usd = Field(description="of calls made since midnight UTC, as far as it is known")
