"""Read, list, wait for and cancel jobs."""

import uuid
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api import examples
from api.answering import json_answer
from api.auth import Reader, Writer
from api.documents import job_document, job_documents
from api.openapi import answers, problems
from api.parts import Parts, PartsOf
from api.query import (
    PAGE,
    Cursor,
    Instant,
    Limit,
    Text,
    Wait,
    from_cursor,
    identity,
    labels_of,
    paged,
    refuse_unknown,
)
from api.schemas import JobDocument, JobList
from patchmill.errors import InvalidFields, NotFound
from patchmill.job.record import ErrorCode, KindName, Outcome
from patchmill.job.state import State
from patchmill.store import jobs
from patchmill.store.ids import from_edge
from patchmill.store.jobs import JobFilter

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "",
    summary="List jobs",
    dependencies=[Depends(refuse_unknown(labels=True))],
    responses={
        **answers(HTTPStatus.OK, JobList, examples.JOB_LIST, "A page of jobs, newest first."),
        **problems(InvalidFields),
    },
)
def list_jobs(
    request: Request,
    caller: Reader,
    parts: PartsOf,
    *,
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[KindName | None, Query()] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    error: Annotated[ErrorCode | None, Query(description="the code of a failed job's error")] = None,
    run: Annotated[str | None, Query(description="an id `run_…`")] = None,
    project: Annotated[str | None, Query(description="an id `prj_…`; a key sees its own alone")] = None,
    rule: Text = None,
    repository: Text = None,
    created_after: Instant = None,
    created_before: Instant = None,
    q: Annotated[Text, Query(description="a part of the path, or of an error's message")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Narrowed by every given parameter at once; `label.KEY=VALUE` narrows to jobs with that label."""
    chosen = JobFilter(
        state=state,
        kind=kind,
        outcome=outcome,
        run=identity("run", run, "run"),
        rule=rule,
        repository=repository,
        labels=labels_of(request),
        created_after=created_after,
        created_before=created_before,
        error=error,
        q=q,
    )
    before = from_cursor(cursor)
    if identity("prj", project, "project") not in {None, caller.project_id}:
        return json_answer(JobList(data=[], next_cursor=None))
    with parts.database.begin() as connection:
        rows = jobs.find_many(connection, caller.project_id, chosen, before=before, limit=limit + 1)
        page, more = paged(rows, limit)
        documents = job_documents(connection, page)
    return json_answer(JobList(data=documents, next_cursor=more))


@router.get(
    "/{job_id}",
    summary="Read a job, or wait for it to end",
    dependencies=[Depends(refuse_unknown())],
    responses={
        **answers(HTTPStatus.OK, JobDocument, examples.JOB, "The job as it is now."),
        **problems(NotFound, InvalidFields),
    },
)
async def read_job(
    job_id: str,
    caller: Reader,
    parts: PartsOf,
    wait: Wait = 0,
) -> Response:
    """Answer at once, or with `wait` when the job ends or the time is over: always the current document."""
    identity = _job_id(job_id)
    document = await parts.waiting.at_the_end(
        identity,
        wait,
        lambda: _read(parts, caller.project_id, identity),
        ended=lambda document: document.finished_at is not None,
    )
    return json_answer(document)


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    dependencies=[Depends(refuse_unknown())],
    responses={
        **answers(HTTPStatus.OK, JobDocument, examples.CANCELLED_JOB, "The job as it is now."),
        **problems(NotFound, InvalidFields),
    },
)
def cancel_job(job_id: str, caller: Writer, parts: PartsOf) -> Response:
    """Cancel a waiting job at once, ask a running one to stop; a job that has ended stays as it is."""
    with parts.database.begin() as connection:
        row = jobs.cancel(connection, caller.project_id, _job_id(job_id))
        if row is None:
            raise _no_such_job(job_id)
        document = job_document(connection, row)
    return json_answer(document)


def _read(parts: Parts, project_id: uuid.UUID, job_id: uuid.UUID) -> JobDocument:
    with parts.database.begin() as connection:
        row = jobs.find(connection, project_id, job_id)
        if row is None:
            raise _no_such_job(f"job_{job_id.hex}")
        return job_document(connection, row)


def _job_id(text: str) -> uuid.UUID:
    found = from_edge("job", text)
    if found is None:
        raise _no_such_job(text)
    return found


def _no_such_job(text: str) -> NotFound:
    return NotFound(f"there is no job {text[:100]}")
