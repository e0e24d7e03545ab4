"""The calls of a job: what was asked, what came back, and what was refused of it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api import live_examples
from api.answering import json_answer
from api.auth import Reader
from api.live_shapes import (
    Call,
    CallFailure,
    CallList,
    CallTimings,
    CallUsage,
    Message,
    Rejected,
    SkippedRung,
)
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import MAX_PAGE, PAGE, refuse_unknown
from patchmill.budget.prices import to_usd
from patchmill.errors import FieldError, InvalidFields, NotFound
from patchmill.job.failure import FailureClass
from patchmill.store import call_log, events
from patchmill.store.call_log import CallRow
from patchmill.store.ids import known_id, no_such, to_edge

MAX_NUMBER = 2**31 - 1
_OUTCOMES = {"settled": "answered", "void": "rejected"}

router = APIRouter(prefix="/v1/jobs", tags=["calls"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "/{job_id}/calls",
    summary="Read a job's calls",
    responses={
        **answers(HTTPStatus.OK, CallList, live_examples.CALLS, "A page of calls, the first one first."),
        **problems(NotFound, InvalidFields),
    },
)
def read_calls(
    job_id: str,
    caller: Reader,
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="how many at most")] = PAGE,
    cursor: Annotated[
        str | None, Query(max_length=10, description="`next_cursor` of the page before")
    ] = None,
) -> Response:
    """Read prompts and raw answers in the order of the calls; long ones make a page shorter."""
    after = _number(cursor)
    identity = known_id("job", job_id)
    with parts.database.begin() as connection:
        if not events.belongs(connection, caller.project_id, job=identity):
            raise no_such("job", job_id)
        rows = call_log.calls_of(connection, identity, after=after, limit=limit)
        more = bool(rows) and call_log.has_later(connection, identity, rows[-1].number)
        skipped = call_log.skipped_rungs(connection, identity)
    listed = CallList(
        data=[_call(row) for row in rows],
        skipped_rungs=[SkippedRung.model_validate(one) for one in skipped],
        next_cursor=str(rows[-1].number) if more else None,
    )
    return json_answer(listed)


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 0
    number = int(cursor) if cursor.isascii() and cursor.isdigit() else -1
    if not 0 <= number <= MAX_NUMBER:
        detail = "is not a cursor that this service gave"
        raise InvalidFields([FieldError("/query/cursor", "not_allowed", detail)])
    return number


def _call(row: CallRow) -> Call:
    return Call.model_validate(
        {
            "id": to_edge("call", row.id),
            "number": row.number,
            "attempt": row.fence,
            "model": row.model,
            "rung": row.rung,
            "prompt_version": row.prompt_version,
            "returned_model": row.returned_model,
            "outcome": _outcome(row),
            "failure": _failure(row),
            "finish_reason": row.finish_reason,
            "stand_in": row.stand_in,
            "anomalies": list(row.anomalies),
            "max_tokens": row.max_tokens,
            "messages": [Message(role=one["role"], content=one["content"]) for one in row.messages],
            "reply": row.reply,
            "rejected": [
                Rejected.model_validate({"check": one.check, "result": one.result, "detail": one.detail})
                for one in row.rejected
            ],
            "usage": CallUsage(
                input_tokens=row.input_tokens,
                cached_tokens=row.cached_tokens,
                output_tokens=row.output_tokens,
                reasoning_tokens=row.reasoning_tokens,
            ),
            "cost_usd": to_usd(row.cost_picos),
            "held_usd": to_usd(row.hold_picos),
            "uncertain_usd": to_usd(row.hold_picos if row.state == "uncertain" else 0),
            "timings": CallTimings(
                queue_ms=row.queue_ms, first_token_ms=row.first_token_ms, total_ms=row.total_ms
            ),
            "sent_at": row.sent_at,
            "ended_at": row.ended_at,
        }
    )


def _outcome(row: CallRow) -> str | None:
    """Say how a call ended: an answer whose price nobody knows was an answer all the same."""
    if row.state == "sent":
        return None
    return _OUTCOMES.get(row.state, "unknown" if row.finish_reason is None else "answered")


def _failure(row: CallRow) -> CallFailure | None:
    if row.failure is None:
        return None
    return CallFailure(code=FailureClass(row.failure), message=row.message, status=row.status)
