"""A job asked for again, and its code erased: what may be done to a job that has ended."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Response

from api import examples
from api.answering import json_answer
from api.auth import Writer
from api.documents import job_document
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import refuse_unknown
from api.schemas import JobDocument
from patchmill.errors import Conflict, InvalidFields, NotFound
from patchmill.store import erasure, retries
from patchmill.store.ids import known_id, to_edge

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "/{job_id}/retry",
    summary="Ask for a job again",
    status_code=HTTPStatus.ACCEPTED,
    responses={
        **answers(HTTPStatus.ACCEPTED, JobDocument, examples.QUEUED_JOB, "The job is queued again."),
        **problems(NotFound, Conflict, InvalidFields),
    },
)
def retry_job(job_id: str, caller: Writer, parts: PartsOf) -> Response:
    """Queue a job that has ended once more, with fresh limits of attempts, calls and time.

    What it found before is removed; its usage goes on counting, and `max_cost_usd` holds over all tries
    together. After an error that is not about the answers, answers that were paid for serve again; otherwise
    the models are asked anew. 409 when every finding is verified already, or when the code was erased.
    """
    with parts.database.begin() as connection:
        row = retries.retry(
            connection, caller.project_id, known_id("job", job_id), actor=to_edge("key", caller.key_id)
        )
        document = job_document(connection, row)
    parts.waker.wake()
    return json_answer(document, HTTPStatus.ACCEPTED)


@router.delete(
    "/{job_id}/source",
    summary="Erase a job's code",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses={
        int(HTTPStatus.NO_CONTENT): {"description": "The code is erased.", "content": {}},
        **problems(NotFound, Conflict, InvalidFields),
    },
)
def erase_source(job_id: str, caller: Writer, parts: PartsOf) -> Response:
    """Erase the file, its context, prompts, answers and edits; hashes, counts and results stay readable.

    409 while the job has not ended. Other jobs of the same file keep it, and those that were given this one's
    result keep their copies; from now on it serves nobody. The diff of the job's run is erased too, so
    suggestions of the run's other jobs can no longer be anchored in it.
    """
    with parts.database.begin() as connection:
        erasure.erase(
            connection, caller.project_id, known_id("job", job_id), actor=to_edge("key", caller.key_id)
        )
    return Response(status_code=HTTPStatus.NO_CONTENT)
