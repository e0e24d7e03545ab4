"""Rows to the documents that the API shows."""

from collections.abc import Sequence

from api.database import Connection
from api.paused import by_what as paused_by
from api.schemas import (
    JobDocument,
    JobError,
    JobFile,
    JobFinding,
    JobTimings,
    JobUsage,
    Pause,
    Suggestion,
)
from patchmill.budget.prices import to_usd
from patchmill.deliver.suggestion import OfferedFile, document
from patchmill.job.record import FindingStatus, KindName, Outcome
from patchmill.job.state import TERMINAL, State, WaitReason
from patchmill.store import jobs, results
from patchmill.store.ids import to_edge
from patchmill.store.jobs import FindingRow, JobRow
from patchmill.store.results import SuggestionRow


def job_documents(connection: Connection, rows: Sequence[JobRow]) -> list[JobDocument]:
    """Give the documents of jobs, with what they found; suggestions are there from the end on."""
    ended = [row.id for row in rows if row.state in TERMINAL]
    findings = jobs.findings_of(connection, [row.id for row in rows])
    suggestions = results.suggestions_of(connection, ended) if ended else {}
    evidence = results.evidence_of(connection, ended) if any(suggestions.values()) else {}
    paused = paused_by(connection, rows)
    documents = []
    for row in rows:
        offered = suggestions.get(row.id, [])
        shown = [Suggestion(**document(one, evidence.get(one.id, ()))) for one in offered]
        documents.append(_job(row, _findings(row, findings[row.id], offered), shown, paused.get(row.id)))
    return documents


def job_document(connection: Connection, row: JobRow) -> JobDocument:
    """Give the document of one job."""
    return job_documents(connection, [row])[0]


def offered_files(connection: Connection, rows: Sequence[JobRow]) -> list[OfferedFile]:
    """Give what ended jobs of one project offer, by path.

    Nothing comes from a job that has not ended, or whose code was erased.
    """
    ended = [row for row in rows if row.state in TERMINAL]
    ids = [row.id for row in ended]
    findings = jobs.findings_of(connection, ids)
    suggestions = results.suggestions_of(connection, ids)
    evidence = results.evidence_of(connection, ids)
    files = []
    for row in sorted(ended, key=lambda row: row.path):
        source = jobs.source_of(connection, row.project_id, row.sha256)
        if source is None or row.erased_at is not None:
            continue
        files.append(
            OfferedFile(
                path=row.path,
                source=source.decode(row.encoding),
                encoding=row.encoding,
                findings=findings[row.id],
                suggestions=suggestions[row.id],
                evidence=evidence,
            )
        )
    return files


def _findings(job: JobRow, rows: Sequence[FindingRow], offered: Sequence[SuggestionRow]) -> list[JobFinding]:
    """Show each finding's fate; of a job that ended before it could judge one, the job's end says why."""
    why = job.state if job.error is None else job.error["code"]
    mending: dict[int, list[str]] = {}
    for suggestion in offered:
        for index in suggestion.findings:
            mending.setdefault(index, []).append(to_edge("sug", suggestion.id))
    return [
        JobFinding(
            index=row.index,
            fingerprint=row.fingerprint,
            rule=row.rule,
            message=row.message,
            start_line=row.start_line,
            end_line=row.end_line,
            status=FindingStatus.UNRESOLVED if _unjudged(job, row) else FindingStatus(row.status),
            reason=why if _unjudged(job, row) else row.reason,
            suggestions=mending.get(row.index, []),
        )
        for row in rows
    ]


def _unjudged(job: JobRow, finding: FindingRow) -> bool:
    return job.finished_at is not None and finding.status == FindingStatus.PENDING


def _job(
    row: JobRow, findings: list[JobFinding], suggestions: list[Suggestion], paused: Pause | None
) -> JobDocument:
    waits = row.state is State.QUEUED and row.wait_reason is not None
    held_back = paused is not None and paused.what in {"project", "queue"}
    return JobDocument(
        id=to_edge("job", row.id),
        project=to_edge("prj", row.project_id),
        run=None if row.run_id is None else to_edge("run", row.run_id),
        kind=KindName(row.kind),
        state=row.state,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        attempt=row.fence,
        wait_reason=WaitReason(row.wait_reason) if waits and row.wait_reason else None,
        run_at=row.run_at if waits and not held_back else None,
        paused_by=paused,
        cancel_requested=row.cancel_requested,
        file=JobFile(
            path=row.path,
            sha256=row.sha256.hex(),
            language=row.language,
            bytes=row.bytes,
            encoding=row.encoding,
        ),
        instruction=row.instruction,
        findings=findings,
        suggestions=suggestions,
        usage=JobUsage(
            calls=row.calls,
            input_tokens=row.input_tokens,
            cached_tokens=row.cached_tokens,
            output_tokens=row.output_tokens,
            cost_usd=to_usd(row.cost_picos),
            uncertain_usd=to_usd(row.uncertain_picos),
        ),
        timings=_timings(row),
        error=None if row.error is None else JobError(**row.error),
        origin=dict(row.origin),
        labels=dict(row.labels),
        created_at=row.created_at,
        finished_at=row.finished_at,
        served_from=None if row.served_from is None else to_edge("job", row.served_from),
        erased_at=row.erased_at,
    )


def _timings(row: JobRow) -> JobTimings:
    return JobTimings(**{name: row.timings.get(name) for name in JobTimings.model_fields})
