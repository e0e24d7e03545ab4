"""POST a job: read it, store it whole or not at all, and wake a dispatcher."""

import hashlib
import json
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api import examples
from api.answering import json_answer
from api.auth import Caller, Writer
from api.bodies import JsonBytes
from api.documents import job_document
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import PartsOf
from api.requests import Body, JobRequest, OptionsBody
from api.rules import read_job_request
from api.schemas import JobDocument, Shape
from patchmill.budget.prices import from_usd
from patchmill.errors import FieldError, IdempotencyConflict, InvalidFields, NotFound
from patchmill.job.record import (
    Annotation,
    ContextFile,
    Finding,
    KindName,
    Options,
    Priority,
    Scope,
    Task,
    ToolEdit,
    ToolFix,
)
from patchmill.store import jobs, submission
from patchmill.store.submission import Submission

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_IDEMPOTENCY_KEY = 255

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit a job",
    openapi_extra=takes(JobRequest, examples.JOB_REQUESTS, headers={IDEMPOTENCY_KEY: "1 to 255 characters"}),
    responses={
        **answers(HTTPStatus.ACCEPTED, JobDocument, examples.QUEUED_JOB, "The job is stored."),
        **answers(HTTPStatus.OK, JobDocument, examples.JOB, "The job that this Idempotency-Key made before."),
        **problems(IdempotencyConflict, *BODY_PROBLEMS),
    },
)
def submit_job(request: Request, caller: Writer, body: JsonBytes, parts: PartsOf) -> Response:
    """Store a job and answer at once; from then on it cannot be lost.

    Budgets are not checked here: a job that finds no room waits or fails, and says so.
    """
    key = idempotency_key(request)
    asked = read_job_request(body, max_file_bytes=parts.max_file_bytes)
    with parts.database.begin() as connection:
        submitted = submission.submit(connection, submission_of(asked, caller, key))
        row = jobs.find(connection, caller.project_id, submitted.job_id)
        if row is None:
            raise NotFound("the job was removed in this moment")
        document = job_document(connection, row)
    if not submitted.replayed:
        parts.waker.wake()
    return accepted(document, f"/v1/jobs/{document.id}", replayed=submitted.replayed)


def accepted(document: Shape, place: str, *, replayed: bool) -> Response:
    """Answer a submission with what it made, or made before."""
    if replayed:
        return json_answer(document, headers={"Location": place, "Idempotent-Replayed": "true"})
    return json_answer(document, HTTPStatus.ACCEPTED, {"Location": place})


def idempotency_key(request: Request) -> str | None:
    """Read the Idempotency-Key; raises InvalidFields for one that cannot be kept."""
    given = request.headers.getlist(IDEMPOTENCY_KEY)
    if not given:
        return None
    key = given[0]
    printable = key.isascii() and key.isprintable()
    if len(given) > 1 or not printable or not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY:
        detail = f"must be one value of 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters"
        raise InvalidFields([FieldError(f"/headers/{IDEMPOTENCY_KEY}", "out_of_range", detail)])
    return key


def body_hash(asked: Body) -> bytes:
    """Give the sha256 of a validated request: what a replay under the same Idempotency-Key must equal."""
    canonical = json.dumps(asked.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()


def chosen_options(options: OptionsBody) -> Options:
    """Give the options of a job as the store keeps them."""
    return Options(
        model=options.model,
        escalate=options.escalate,
        tool_fixes=options.tool_fixes,
        reuse=options.reuse,
        edit_format=options.edit_format,
        max_calls=options.max_calls,
        priority=Priority(options.priority),
    )


def submission_of(asked: JobRequest, caller: Caller, key: str | None) -> Submission:
    """Give a request as the store takes it."""
    options = asked.options
    return Submission(
        project_id=caller.project_id,
        key_id=caller.key_id,
        task=_task(asked),
        origin=asked.origin.model_dump(exclude_none=True),
        labels=asked.labels,
        max_cost_picos=None if options.max_cost_usd is None else from_usd(options.max_cost_usd),
        deadline_s=options.deadline_s,
        idempotency_key=key,
        body_hash=None if key is None else body_hash(asked),
    )


def _task(asked: JobRequest) -> Task:
    return Task(
        kind=KindName(asked.kind),
        path=asked.file.path,
        language=asked.file.language or "",
        source=asked.file.content,
        encoding=asked.file.encoding,
        findings=_findings(asked),
        what=frozenset(Annotation(name) for name in asked.what or ()),
        instruction=asked.instruction,
        scope=None if asked.scope is None else Scope(**asked.scope.model_dump()),
        context=tuple(ContextFile(path=file.path, content=file.content) for file in asked.context),
        checkers=asked.checkers,
        options=chosen_options(asked.options),
    )


def _findings(asked: JobRequest) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            index=index,
            fixes=tuple(
                ToolFix(safe=fix.safe, edits=tuple(ToolEdit(**edit.model_dump()) for edit in fix.edits))
                for fix in finding.fixes
            ),
            **finding.model_dump(exclude={"fixes"}),
        )
        for index, finding in enumerate(asked.findings or ())
    )
