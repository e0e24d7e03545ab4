"""What the API answers: JSON objects, with their types for the reader; at run time plain dictionaries.

A newer server may add fields and new words to `state`, `outcome`, `status` and the like; whoever reads them
ignores what he does not know. Therefore these words are strings here. Times are RFC 3339 with `Z`, money is
decimal strings in US dollars, lines are 1-based with both ends included.
"""

from typing import Any, TypedDict


class Evidence(TypedDict):
    """One check of a suggestion: `result` is passed, failed or skipped."""

    check: str
    result: str
    detail: str


class Suggestion(TypedDict):
    """A replacement of whole lines; `requires` names suggestions that it is nothing without."""

    id: str
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
    requires: list[str]
    committable: bool
    findings: list[int]
    evidence: list[Evidence]


class Finding(TypedDict):
    """What became of a finding: verified, unchecked, unresolved, or pending."""

    index: int
    fingerprint: str
    rule: str
    message: str
    start_line: int
    end_line: int
    status: str
    reason: str | None
    suggestions: list[str]


class JobFile(TypedDict):
    """The file of a job, without its content; `sha256` is in hexadecimal."""

    path: str
    sha256: str
    language: str
    bytes: int
    encoding: str


class Usage(TypedDict):
    """What calls used and cost; `uncertain_usd` may have been charged or not."""

    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: str
    uncertain_usd: str


class JobError(TypedDict):
    """Why a job failed."""

    code: str
    message: str
    retryable: bool
    details: dict[str, Any]


class Pause(TypedDict):
    """A project or a queue of which no job begins; or calls that are not made."""

    what: str
    name: str
    reason: str
    actor: str | None
    since: str


class Job(TypedDict):
    """A job, and everything that it has found so far."""

    id: str
    project: str
    run: str | None
    kind: str
    state: str
    outcome: str | None
    attempt: int
    wait_reason: str | None
    run_at: str | None
    paused_by: Pause | None
    cancel_requested: bool
    file: JobFile
    instruction: str | None
    findings: list[Finding]
    suggestions: list[Suggestion]
    usage: Usage
    timings: dict[str, int | None]
    error: JobError | None
    origin: dict[str, Any]
    labels: dict[str, str]
    created_at: str
    finished_at: str | None
    served_from: str | None
    erased_at: str | None


class JobCounts(TypedDict):
    """How many jobs of a run are in which state; `queued` includes those that wait."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class FindingCounts(TypedDict):
    """What became of the findings of a run's reports."""

    total: int
    verified: int
    unchecked: int
    unresolved: int
    skipped: int


class Skipped(TypedDict):
    """A finding that no job was made for, and why; `report` and `finding` count from 0."""

    report: int
    finding: int
    path: str
    reason: str


class Run(TypedDict):
    """A run: reports that were submitted together, one job for each file with findings."""

    id: str
    state: str
    outcome: str | None
    superseded_by: str | None
    jobs: JobCounts
    findings: FindingCounts
    coverage: str
    skipped: list[Skipped]
    origin: dict[str, Any]
    usage: Usage
    created_at: str
    finished_at: str | None


class EstimatedTokens(TypedDict):
    """Calls or tokens: what is expected, and the most that is possible; null where nothing bounds it."""

    expected: int
    worst: int | None


class EstimatedCost(TypedDict):
    """The same of money; null where a price is missing."""

    expected: str | None
    worst: str | None


class EstimatedFile(TypedDict):
    """What the job of one file may take; `blocked_by` says what its first call would not fit now."""

    path: str
    calls: EstimatedTokens
    input_tokens: EstimatedTokens
    output_tokens: EstimatedTokens
    cost_usd: EstimatedCost
    fits: bool
    blocked_by: str | None
    too_long: bool


class Estimate(TypedDict):
    """What a job or a run may take; `blocked` is null, or has `answer`, `resets_at` and `waits`."""

    calls: EstimatedTokens
    input_tokens: EstimatedTokens
    output_tokens: EstimatedTokens
    cost_usd: EstimatedCost
    fits: bool
    blocked_by: str | None
    blocked: dict[str, Any] | None
    model: str
    unpriced: list[str]
    jobs: int
    findings: int
    skipped: dict[str, int]
    files: list[EstimatedFile]
    learned_from: dict[str, Any]


class CallUsage(TypedDict):
    """Tokens as the gateway reported them; all 0 if it reported none."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Message(TypedDict):
    """One message of a prompt."""

    role: str
    content: str


class Call(TypedDict):
    """One request of a job to the model; `outcome` is null while it runs, `reply` once the code is erased."""

    id: str
    number: int
    attempt: int
    model: str
    rung: str
    prompt_version: str | None
    returned_model: str | None
    outcome: str | None
    failure: dict[str, Any] | None
    finish_reason: str | None
    stand_in: bool
    anomalies: list[str]
    max_tokens: int
    messages: list[Message]
    reply: str | None
    rejected: list[Evidence]
    usage: CallUsage
    cost_usd: str
    held_usd: str
    uncertain_usd: str
    timings: dict[str, int | None]
    sent_at: str
    ended_at: str | None


class CircuitState(TypedDict):
    """Whether calls can be made: `state` is ok, paused, down or off; unless ok, why and until when."""

    state: str
    reason: str | None
    message: str | None
    since: str | None
    resumes_at: str | None
    next_probe_at: str | None
    actor: str | None


class ModelState(CircuitState):
    """The same of one model."""

    model: str


class Gateway(CircuitState):
    """The gateway's account, its models that have ever been unavailable, and the slots."""

    models: list[ModelState]
    slots: dict[str, int]
    quota: dict[str, Any] | None
    balance: dict[str, Any] | None
    forecast: dict[str, Any]
    reconciliation: dict[str, Any]
    pauses: list[Pause]


class UncertainCall(TypedDict):
    """A call that may have been billed or not; once that is decided, `decision` says by whom and why."""

    id: str
    job: str
    model: str
    state: str
    failure: str | None
    message: str | None
    held: dict[str, Any]
    cost_usd: str
    overrun_usd: str
    input_tokens: int
    output_tokens: int
    sent_at: str
    ended_at: str | None
    decision: dict[str, Any] | None


class Price(TypedDict):
    """A row of the price list: US dollars for a million tokens, at all hours or at those of `peak`."""

    id: str
    model: str
    status: str
    input_usd_per_million: str
    cached_usd_per_million: str
    output_usd_per_million: str
    peak: dict[str, Any] | None
    valid_from: str
    valid_to: str | None
    source: str


class Project(TypedDict):
    """A project; `policy` is what holds for its jobs, `own_policy` what it has set itself.

    `share` is how much is done for it at once: `weight`, `max_in_flight`, `tokens_per_minute`. What ended is
    kept for `retention_days`, 0 being for ever; `own_retention_days` is what it has set itself.
    """

    id: str
    name: str
    policy: dict[str, Any]
    own_policy: dict[str, Any]
    share: dict[str, int | None]
    retention_days: int
    own_retention_days: int | None
    paused: Pause | None
    created_at: str


class UsageReport(TypedDict):
    """What calls used and cost: `data` has a row for each group, with its sums, `total` those of all."""

    since: str
    until: str
    time_zone: str
    group_by: list[str]
    data: list[dict[str, Any]]
    total: dict[str, Any]
    next_cursor: str | None


class Webhook(TypedDict):
    """Where news goes; `failing_since` is when it began to fail, null while it does not."""

    id: str
    url: str
    events: list[str]
    enabled: bool
    failing_since: str | None


class NewWebhook(Webhook):
    """A webhook as its creation answers: with the secret, which is not shown again."""

    secret: str


class DeliveryAttempt(TypedDict):
    """One time that a message was sent; `status` is null without an answer, and `error` says why."""

    at: str
    status: int | None
    latency_ms: int
    error: str | None


class Delivery(TypedDict):
    """A message on its way to a webhook: `state` is pending, delivered or failed."""

    id: str
    webhook: str
    message: str
    type: str
    state: str
    attempts: list[DeliveryAttempt]
    next_attempt_at: str | None
