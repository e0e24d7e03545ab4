"""Many jobs retried or cancelled at once: first counted, then done if there are as many as expected."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import operator_shapes as shapes
from api.answering import json_answer
from api.auth import Caller, Writer
from api.bodies import JsonBytes, read_model
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.operator_shapes import FILTERS, BulkAnswer, BulkRequest, SortCount, as_given
from api.parts import Parts, PartsOf
from api.query import refuse_unknown
from patchmill.errors import Conflict, FieldError, InvalidFields
from patchmill.job.record import ErrorCode, Outcome
from patchmill.store import bulk
from patchmill.store.bulk import Act, Doer, Task
from patchmill.store.ids import from_edge, to_edge
from patchmill.store.jobs import JobFilter

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[Depends(refuse_unknown())])
_DESCRIBED = {
    **answers(HTTPStatus.OK, BulkAnswer, shapes.BULK_ANSWER, "How many there are, and were."),
    **problems(Conflict, *BODY_PROBLEMS),
}


@router.post(
    "/retry",
    summary="Ask for many jobs again",
    openapi_extra=takes(BulkRequest, shapes.BULK_REQUESTS),
    responses=_DESCRIBED,
)
def retry_jobs(caller: Writer, body: JsonBytes, parts: PartsOf) -> Response:
    """Retry the jobs that a filter names, as each would be alone; without `expect` they are only counted.

    Those that have not ended, are verified, or whose code was erased do not count. 409 with the number when
    it is another than `expect`; then nothing is done. At most 10,000 at once: `left` says how many remain.
    """
    return json_answer(_act(Act.RETRY, caller, body, parts))


@router.post(
    "/cancel",
    summary="Cancel many jobs",
    openapi_extra=takes(BulkRequest, shapes.BULK_REQUESTS),
    responses=_DESCRIBED,
)
def cancel_jobs(caller: Writer, body: JsonBytes, parts: PartsOf) -> Response:
    """Cancel the jobs that a filter names, as each would be alone; without `expect` they are only counted.

    Those that have ended, or are asked to stop already, do not count. The rest is as for many retries.
    """
    return json_answer(_act(Act.CANCEL, caller, body, parts))


def _act(act: Act, caller: Caller, body: bytes, parts: Parts) -> BulkAnswer:
    asked = read_model(body, BulkRequest)
    chosen = _chosen(asked)
    with parts.database.begin() as connection:
        as_of = asked.as_of or bulk.now(connection)
        task = Task(act=act, project_id=caller.project_id, chosen=chosen, as_of=as_of)
        sorts = bulk.count(connection, task)
    matched = sum(sort.jobs for sort in sorts)
    done = 0
    if asked.expect is not None:
        if asked.expect != matched:
            raise Conflict(f"{matched} jobs match, not {asked.expect}; nothing was done")
        doer = Doer(actor=to_edge("key", caller.key_id), filter=as_given(asked))
        done = _do(task, doer, parts, limit=min(matched, asked.limit))
    return BulkAnswer(
        matched=matched,
        sorts=[
            SortCount(
                state=sort.state,
                outcome=None if sort.outcome is None else Outcome(sort.outcome),
                error=None if sort.error is None else ErrorCode(sort.error),
                jobs=sort.jobs,
            )
            for sort in sorts
        ],
        done=done,
        left=max(0, matched - done),
        as_of=as_of,
    )


def _do(task: Task, doer: Doer, parts: Parts, *, limit: int) -> int:
    """Do it in batches, each a transaction that the audit goes with."""
    done, after, entry = 0, None, None
    while done < limit:
        with parts.database.begin() as connection:
            batch = bulk.act_on_next(connection, task, after=after, limit=min(bulk.BATCH, limit - done))
            if not batch:
                break
            done, after = done + len(batch), batch[-1]
            entry = bulk.note(connection, task, doer, done=done, before=entry)
        parts.waker.wake()
    return done


def _chosen(asked: BulkRequest) -> JobFilter:
    if all(getattr(asked, name) is None for name in FILTERS):
        detail = "name the jobs by at least one filter, such as state"
        raise InvalidFields([FieldError("", "missing", detail)])
    return JobFilter(
        state=asked.state,
        kind=asked.kind,
        outcome=asked.outcome,
        run=_run(asked.run),
        rule=asked.rule,
        repository=asked.repository,
        labels=asked.labels,
        created_after=asked.created_after,
        created_before=asked.created_before,
        error=asked.error,
        q=asked.q,
    )


def _run(text: str | None) -> UUID | None:
    if text is None:
        return None
    found = from_edge("run", text)
    if found is None:
        raise InvalidFields([FieldError("/run", "not_allowed", "must be an id run_…")])
    return found
