"""Submit, read, list, wait for and cancel runs, and read what they offer."""

import itertools
import uuid
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api import run_examples
from api.answering import json_answer
from api.auth import Caller, Reader, Writer
from api.bodies import JsonBytes
from api.database import Connection
from api.documents import offered_files
from api.openapi import answers, problems, takes
from api.parts import Parts, PartsOf
from api.query import (
    PAGE,
    Cursor,
    Instant,
    Limit,
    Text,
    Wait,
    from_cursor,
    labels_of,
    refuse_unknown,
    to_cursor,
)
from api.results import OFFERED, FormatName, format_named, rendered
from api.run_requests import AskedRun, RunRequest, read_run_request
from api.run_shapes import Coverage, RunDocument, RunFindings, RunJobs, RunList, RunSkipped, RunState
from api.schemas import JobUsage
from api.submit import IDEMPOTENCY_KEY, accepted, body_hash, chosen_options, idempotency_key
from patchmill.budget.prices import from_usd, to_usd
from patchmill.deliver.formats import DEFAULT
from patchmill.deliver.suggestion import Offered
from patchmill.errors import (
    IdempotencyConflict,
    InvalidFields,
    InvalidJson,
    NotAcceptable,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)
from patchmill.job.record import Finding, KindName, Task
from patchmill.kinds.languages import language_of
from patchmill.store import runs
from patchmill.store.ids import known_id, no_such, to_edge
from patchmill.store.runs import RunFilter, RunRow, RunSubmission, RunUsage
from patchmill.store.submission import Submission

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit a run",
    dependencies=[Depends(refuse_unknown())],
    openapi_extra=takes(
        RunRequest, run_examples.RUN_REQUESTS, headers={IDEMPOTENCY_KEY: "1 to 255 characters"}
    ),
    responses={
        **answers(HTTPStatus.ACCEPTED, RunDocument, run_examples.QUEUED_RUN, "The run is stored."),
        **answers(
            HTTPStatus.OK, RunDocument, run_examples.RUN, "The run that this Idempotency-Key made before."
        ),
        **problems(InvalidJson, IdempotencyConflict, TooLarge, UnsupportedMediaType, InvalidFields),
    },
)
def submit_run(request: Request, caller: Writer, body: JsonBytes, parts: PartsOf) -> Response:
    """Store a job for each file with findings, all at once, and say which findings are skipped and why.

    A run that has nothing to do is finished at once. The jobs' priority is that of `options`: a large run
    that nobody waits for is better `bulk`. With `repository` and `pull_request` in its origin, a run
    supersedes the open ones of the same pull request: their jobs that nobody has begun are cancelled.
    """
    key = idempotency_key(request)
    asked = read_run_request(body, max_file_bytes=parts.max_file_bytes)
    with parts.database.begin() as connection:
        submitted = runs.submit(connection, submission_of(asked, caller, key))
        row = runs.find(connection, caller.project_id, submitted.run_id)
        if row is None:
            raise NotFound("the run was removed in this moment")
        document = run_documents(connection, [row])[0]
    if not submitted.replayed and document.jobs.total:
        parts.waker.wake()
    return accepted(document, f"/v1/runs/{document.id}", replayed=submitted.replayed)


@router.get(
    "",
    summary="List runs",
    dependencies=[Depends(refuse_unknown(labels=True))],
    responses={
        **answers(HTTPStatus.OK, RunList, run_examples.RUN_LIST, "A page of runs, newest first."),
        **problems(InvalidFields),
    },
)
def list_runs(
    request: Request,
    caller: Reader,
    parts: PartsOf,
    *,
    state: Annotated[RunState | None, Query()] = None,
    repository: Text = None,
    created_after: Instant = None,
    created_before: Instant = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Narrowed by every given parameter at once; `label.KEY=VALUE` narrows to runs with that label."""
    chosen = RunFilter(
        state=state,
        repository=repository,
        labels=labels_of(request),
        created_after=created_after,
        created_before=created_before,
    )
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        rows = runs.find_many(connection, caller.project_id, chosen, before=before, limit=limit + 1)
        page = rows[:limit]
        documents = run_documents(connection, page)
    more = to_cursor(page[-1].id) if len(rows) > limit else None
    return json_answer(RunList(data=documents, next_cursor=more))


@router.get(
    "/{run_id}",
    summary="Read a run, or wait for it to end",
    dependencies=[Depends(refuse_unknown())],
    responses={
        **answers(HTTPStatus.OK, RunDocument, run_examples.RUN, "The run as it is now."),
        **problems(NotFound, InvalidFields),
    },
)
async def read_run(run_id: str, caller: Reader, parts: PartsOf, wait: Wait = 0) -> Response:
    """Answer at once, or with `wait` when the run ends or the time is over: always the current document."""
    identity = known_id("run", run_id)
    document = await parts.waiting.at_the_end(
        identity,
        wait,
        lambda: _read(parts, caller.project_id, identity),
        ended=lambda document: document.finished_at is not None,
    )
    return json_answer(document)


@router.post(
    "/{run_id}/cancel",
    summary="Cancel a run",
    dependencies=[Depends(refuse_unknown())],
    responses={
        **answers(HTTPStatus.OK, RunDocument, run_examples.CANCELLED_RUN, "The run as it is now."),
        **problems(NotFound, InvalidFields),
    },
)
def cancel_run(run_id: str, caller: Writer, parts: PartsOf) -> Response:
    """Cancel waiting jobs at once, ask running ones to stop; a run that has ended stays as it is."""
    with parts.database.begin() as connection:
        row = runs.cancel(connection, caller.project_id, known_id("run", run_id))
        if row is None:
            raise no_such("run", run_id)
        document = run_documents(connection, [row])[0]
    return json_answer(document)


@router.get(
    "/{run_id}/suggestions",
    summary="Read a run's suggestions",
    tags=["suggestions"],
    dependencies=[Depends(refuse_unknown())],
    responses={**OFFERED, **problems(NotFound, NotAcceptable, InvalidFields)},
)
def read_run_suggestions(
    run_id: str, caller: Reader, parts: PartsOf, chosen: FormatName = DEFAULT
) -> Response:
    """Render the suggestions of every job that has ended, by path; forges' formats anchor in the diff."""
    form = format_named(chosen)
    identity = known_id("run", run_id)
    with parts.database.begin() as connection:
        if runs.find(connection, caller.project_id, identity) is None:
            raise no_such("run", run_id)
        files = offered_files(connection, runs.jobs_of(connection, caller.project_id, identity))
        diff = runs.diff_of(connection, caller.project_id, identity)
    return rendered(form, Offered(files=files, diff=diff))


def run_documents(connection: Connection, rows: Sequence[RunRow]) -> list[RunDocument]:
    """Give the documents of runs."""
    counts = runs.counts_of(connection, rows)
    usage = runs.usage_of(connection, rows)
    return [
        RunDocument.model_validate(
            {
                "id": to_edge("run", row.id),
                "state": row.state,
                "outcome": row.outcome,
                "superseded_by": None if row.superseded_by is None else to_edge("run", row.superseded_by),
                "jobs": RunJobs(**counts[row.id].jobs),
                "findings": RunFindings(**counts[row.id].findings),
                "coverage": _coverage(row),
                "skipped": [RunSkipped(**one) for one in row.skipped],
                "origin": dict(row.origin),
                "usage": _usage(usage[row.id]),
                "created_at": row.created_at,
                "finished_at": row.finished_at,
            }
        )
        for row in rows
    ]


def _coverage(row: RunRow) -> Coverage:
    if not row.skipped_count:
        return "all"
    if row.skipped_count < row.findings:
        return "some"
    return "outside_diff" if row.outside_diff_count == row.findings else "none"


def _usage(used: RunUsage) -> JobUsage:
    return JobUsage(
        calls=used.calls,
        input_tokens=used.input_tokens,
        cached_tokens=used.cached_tokens,
        output_tokens=used.output_tokens,
        cost_usd=to_usd(used.cost_picos),
        uncertain_usd=to_usd(used.uncertain_picos),
    )


def submission_of(asked: AskedRun, caller: Caller, key: str | None) -> RunSubmission:
    """Give a request as the store takes it."""
    request = asked.request
    options = request.options
    origin = request.origin.model_dump(exclude_none=True)
    each = None if options.max_cost_usd is None else from_usd(options.max_cost_usd)
    jobs = [
        Submission(
            project_id=caller.project_id,
            key_id=caller.key_id,
            task=Task(
                kind=KindName.FIX,
                path=path,
                language=language_of(path) or "",
                source=asked.contents[path],
                encoding=asked.encodings[path],
                findings=findings,
                checkers=request.checkers,
                options=chosen_options(options),
            ),
            origin=origin,
            labels=request.labels,
            max_cost_picos=each,
            deadline_s=options.deadline_s,
        )
        for path, findings in asked.selection.files.items()
    ]
    return RunSubmission(
        project_id=caller.project_id,
        key_id=caller.key_id,
        kind=request.kind,
        jobs=jobs,
        findings=asked.selection.total,
        skipped=[
            {"report": one.report, "finding": one.finding, "path": one.path, "reason": one.reason}
            for one in asked.selection.skipped
        ],
        reported=_rules_by_tool(asked.selection.files.values()),
        diff=request.diff,
        origin=origin,
        labels=request.labels,
        max_cost_picos=None if request.max_cost_usd is None else from_usd(request.max_cost_usd),
        idempotency_key=key,
        body_hash=None if key is None else body_hash(request),
    )


def _rules_by_tool(files: Iterable[Sequence[Finding]]) -> dict[str, list[str]]:
    """Give what the reports name in any file: mending one file must not add it there."""
    rules: dict[str, set[str]] = {}
    for finding in itertools.chain.from_iterable(files):
        rules.setdefault(finding.tool, set()).add(finding.rule)
    return {tool: sorted(named) for tool, named in rules.items()}


def _read(parts: Parts, project_id: uuid.UUID, run_id: uuid.UUID) -> RunDocument:
    with parts.database.begin() as connection:
        row = runs.find(connection, project_id, run_id)
        if row is None:
            raise no_such("run", to_edge("run", run_id))
        return run_documents(connection, [row])[0]
