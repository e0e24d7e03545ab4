"""A job as its page shows it: what it offers, what was refused, and where its time and money went."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.dashboard.diffs import Diff, diff
from api.dashboard.sentences import ANOMALIES, SKIPPED, WaitInWords, wait_of
from api.database import Connection
from api.documents import job_document
from api.schemas import JobDocument, Suggestion
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.job.circuit import Circuit
from patchmill.job.record import ErrorCode, Outcome
from patchmill.job.state import WaitReason
from patchmill.store import call_log, circuits, events, jobs, overview
from patchmill.store.events import EventRow
from patchmill.store.jobs import FindingRow, JobRow
from patchmill.store.overview import Asked, AttemptRow, CallRow
from patchmill.store.results import CheckRow

MAX_SUGGESTIONS = 30
MAX_FINDINGS = 200
MAX_EVENTS = 200

# What a person can do about an error.
ADVICE: Mapping[str, str] = {
    ErrorCode.UNVERIFIED: "No edit passed every check. See below what was refused, and why.",
    ErrorCode.MODEL_DECLINED: "The model saw no right change. A clearer finding or instruction may help.",
    ErrorCode.CONTEXT_TOO_LONG: "The file is too long for the model. Submit a smaller one.",
    ErrorCode.BUDGET_EXHAUSTED: "Wait for the budget's next window or raise its limit, then retry.",
    ErrorCode.OVER_BUDGET: "Raise the limit, then retry; what a submission allows only a new one raises.",
    ErrorCode.GATEWAY_REJECTED: "The gateway refuses this request. Look at the model's name and the key.",
    ErrorCode.GATEWAY_UNAVAILABLE: "The gateway did not answer. Retry when it does.",
    ErrorCode.DEADLINE_EXCEEDED: "The job's own deadline passed. Retry, or submit it with a later one.",
    ErrorCode.WORKER_LOST: "Workers were lost while they ran this job. Look at their logs, then retry.",
    ErrorCode.CALL_UNKNOWN: "A call may have been billed unanswered. Retry if it may cost once more.",
    ErrorCode.INVALID_SOURCE: "The file does not parse. Mend that by hand first.",
    ErrorCode.ATTEMPTS_SPENT: "Too many attempts ended early. Look at the calls below, then retry.",
    ErrorCode.INTERNAL: "Something went wrong that should not. The worker's log has more.",
}


NOTHING_TO_CHECK = "No answer had an edit that could be checked. A clearer finding or instruction may help."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSuggestion:
    """A suggestion with its diff."""

    document: Suggestion
    explanation: str  # without the title that it begins with
    diff: Diff


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding as reported, and what the job says of it."""

    row: FindingRow
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAttempt:
    """One attempt and where its time went, in seconds; None where it is not known (yet)."""

    row: AttemptRow
    waited_s: float | None
    model_s: float
    ran_s: float | None
    rest_s: float | None  # checks, and whatever is not a call


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the database has of a job; `source` is there when there is anything to compare it with."""

    row: JobRow
    document: JobDocument
    project: str
    asked: Asked
    last_reply: str | None  # of a job that changes nothing: it says why
    findings: Sequence[FindingRow]
    source: bytes | None
    refused: Sequence[CheckRow]
    attempts: Sequence[AttemptRow]
    calls: Sequence[CallRow]
    skipped: Sequence[Mapping[str, str]]  # rungs: rung, model and reason of each
    open_ones: Mapping[str, Circuit]
    events: Sequence[EventRow]


def load(connection: Connection, row: JobRow) -> Loaded:
    """Read everything that the page of a job shows."""
    document = job_document(connection, row)
    declined = row.outcome == Outcome.NO_CHANGE
    compared = document.suggestions and jobs.source_of(connection, row.project_id, row.sha256)
    return Loaded(
        row=row,
        document=document,
        project=overview.project_names(connection).get(row.project_id, ""),
        asked=overview.asked_of(connection, [row.id])[row.id],
        last_reply=overview.last_reply_of(connection, row.served_from or row.id) if declined else None,
        findings=jobs.findings_of(connection, [row.id])[row.id],
        source=compared or None,
        refused=overview.refused_of(connection, row.id),
        attempts=overview.attempts_of(connection, row.id),
        calls=overview.calls_of(connection, row.id),
        skipped=call_log.skipped_rungs(connection, row.id),
        open_ones=circuits.open_ones(connection) if document.wait_reason else {},
        events=events.of_job(connection, row.id),
    )


def job_values(loaded: Loaded) -> dict[str, Any]:
    """Give everything that the page of a job shows; diffs take time, so no transaction is open here."""
    row, document, calls, told = loaded.row, loaded.document, loaded.calls, loaded.events
    numbers = {call.id: call.number for call in calls}
    findings = _findings(loaded.findings, document)
    return {
        "job": document,
        "row": row,
        "project": loaded.project,
        "asked": loaded.asked,
        "declined": _declined(loaded),
        "advice": _advice(loaded),
        "spans": _spans(document),
        "suggestions": _suggestions(loaded),
        "more_suggestions": max(0, len(document.suggestions) - MAX_SUGGESTIONS),
        "findings": findings[:MAX_FINDINGS],
        "more_findings": max(0, len(findings) - MAX_FINDINGS),
        "refused": [
            (check, numbers.get(check.call_id) if check.call_id else None) for check in loaded.refused
        ],
        "attempts": _attempts(loaded.attempts, calls, told),
        "calls": [(call, [ANOMALIES.get(name, name) for name in call.anomalies]) for call in calls],
        "skipped": [(each, SKIPPED.get(each["reason"], each["reason"])) for each in loaded.skipped],
        "wait": _wait(loaded),
        "budget": _budget(loaded),
        "events": [(event.at, event.type, sentence(event)) for event in told[-MAX_EVENTS:]],
        "earlier_events": max(0, len(told) - MAX_EVENTS),
    }


def _advice(loaded: Loaded) -> str | None:
    """Say what can be done about the job's error."""
    error = loaded.document.error
    if error is not None and error.code == ErrorCode.UNVERIFIED and not loaded.refused:
        return NOTHING_TO_CHECK
    return None if error is None else ADVICE.get(error.code)


def _spans(document: JobDocument) -> list[tuple[str, int]]:
    """Give where the job's time went, in milliseconds: what is known of it."""
    timings, total_ms = document.timings, document.timings.total_ms
    if total_ms is None and document.finished_at is not None:
        total_ms = round((document.finished_at - document.created_at).total_seconds() * 1000)
    named = {
        "Queued": timings.queued_ms,
        "Model": timings.model_ms,
        "Checks": timings.verify_ms,
        "Total": total_ms,
    }
    return [(name, span_ms) for name, span_ms in named.items() if span_ms is not None]


def _wait(loaded: Loaded) -> WaitInWords | None:
    reason, paused = loaded.document.wait_reason, loaded.document.paused_by
    if paused is not None and paused.what in {"project", "queue"}:
        return WaitInWords(
            why=f"The {paused.what} {paused.name} is paused", until="goes on when that is resumed", at=None
        )
    return None if reason is None else wait_of(reason, loaded.row.run_at, loaded.open_ones)


def _budget(loaded: Loaded) -> str | None:
    """Give the budget that the job waits for, or failed for."""
    named = loaded.document.error.details.get("budget") if loaded.document.error else None
    if loaded.document.wait_reason == WaitReason.BUDGET:
        waits = (each.data for each in reversed(loaded.events) if each.type == "job.state")
        named = next(waits, {}).get("budget")
    return named if isinstance(named, str) and named.startswith("bud_") else None


def sentence(event: EventRow) -> str:
    """Tell an event in a few words."""
    data = event.data
    match event.type:
        case "job.state":
            source = data.get("from") or "submitted"
            because = f" ({data['wait_reason']})" if data.get("wait_reason") else ""
            return f"{source} → {data.get('to')}{because}"
        case "job.call":
            tokens = f", {data['output_tokens']} output tokens" if data.get("output_tokens") else ""
            return f"call to {data.get('model')}: {data.get('phase')}{tokens}"
        case "job.check":
            return f"{data.get('check')}: {data.get('result')}"
        case "job.suggestion":
            return f"suggestion {data.get('status')}"
    return ", ".join(f"{name}: {value}" for name, value in data.items())[:200]


def _declined(loaded: Loaded) -> str | None:
    """Give the model's own reason to change nothing, as the job's edit format reads it."""
    if loaded.last_reply is None:
        return None
    name = loaded.asked.edit_format or DEFAULT
    return EDIT_FORMATS[name].parse(loaded.last_reply).declined if name in EDIT_FORMATS else None


def _suggestions(loaded: Loaded) -> list[ShownSuggestion]:
    source = None if loaded.source is None else loaded.source.decode(loaded.row.encoding, errors="replace")
    return [
        ShownSuggestion(
            document=each,
            explanation=each.explanation.removeprefix(each.title).strip(),
            diff=diff(
                original=each.original,
                replacement=each.replacement,
                start_line=each.start_line,
                source=source,
                language=loaded.row.language,
            ),
        )
        for each in loaded.document.suggestions[:MAX_SUGGESTIONS]
    ]


def _findings(rows: Sequence[FindingRow], document: JobDocument) -> list[ShownFinding]:
    return [
        ShownFinding(row=row, status=fate.status, reason=fate.reason)
        for row, fate in zip(rows, document.findings, strict=True)
    ]


def _attempts(
    rows: Sequence[AttemptRow], calls: Sequence[CallRow], told: Sequence[EventRow]
) -> list[ShownAttempt]:
    waited = _waits(told)
    model_ms: dict[int, int] = {}
    for call in calls:
        model_ms[call.fence] = model_ms.get(call.fence, 0) + (call.total_ms or 0)
    shown = []
    for row in rows:
        ran_s = None if row.ended_at is None else (row.ended_at - row.started_at).total_seconds()
        model_s = model_ms.get(row.fence, 0) / 1000
        rest_s = None if ran_s is None else max(0.0, ran_s - model_s)
        shown.append(
            ShownAttempt(row=row, waited_s=waited.get(row.fence), model_s=model_s, ran_s=ran_s, rest_s=rest_s)
        )
    return shown


def _waits(told: Sequence[EventRow]) -> dict[int, float]:
    """Give the time in the queue before each attempt, in seconds, by its number."""
    queued_at: datetime | None = None
    waits: dict[int, float] = {}
    for event in told:
        if event.type != "job.state":
            continue
        source, target = event.data.get("from"), event.data.get("to")
        if target == "queued" and source != "dispatched":
            queued_at = event.at
        elif target == "running" and queued_at is not None:
            waits[int(event.data.get("attempt", 0))] = max(0.0, (event.at - queued_at).total_seconds())
    return waits


def find(connection: Connection, job_id: uuid.UUID) -> JobRow | None:
    """Give a job of any project."""
    project_id = overview.project_of(connection, job_id)
    return None if project_id is None else jobs.find(connection, project_id, job_id)
