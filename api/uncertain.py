"""Uncertain calls: list them, and decide what became of one, with a reason that is kept for good."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from api import account_shapes
from api.account_shapes import DecisionBody, UncertainCall, UncertainList
from api.answering import json_answer
from api.auth import Admin, Reader
from api.bodies import JsonBytes, read_model
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import PartsOf
from api.query import PAGE, Cursor, Limit, from_cursor, paged, refuse_unknown
from patchmill.budget.prices import from_usd, to_usd
from patchmill.budget.reconciliation import Use
from patchmill.errors import Conflict, FieldError, InvalidFields, NotFound
from patchmill.store import decisions
from patchmill.store.decisions import DecidedCall, Decision
from patchmill.store.ids import known_id, to_edge

router = APIRouter(prefix="/v1/gateway/uncertain", tags=["gateway"], dependencies=[Depends(refuse_unknown())])

MOST_OF_A_CALL_PICOS = 10**16  # so that sums over all calls can be counted
AMOUNTS = ("usd", "input_tokens", "output_tokens")


@router.get(
    "",
    summary="List uncertain calls",
    responses={
        **answers(HTTPStatus.OK, UncertainList, account_shapes.UNCERTAIN_LIST, "A page of uncertain calls."),
        **problems(InvalidFields),
    },
)
def list_uncertain(caller: Reader, parts: PartsOf, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the project's calls of which nobody knows whether they were billed; their holds count as used."""
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        rows = decisions.uncertain_calls(
            connection, project_id=caller.project_id, before=before, limit=limit + 1
        )
    page, more = paged(rows, limit)
    return json_answer(UncertainList(data=[_document(row) for row in page], next_cursor=more))


@router.post(
    "/{call_id}/decision",
    summary="Decide an uncertain call",
    openapi_extra=takes(DecisionBody, account_shapes.DECISIONS),
    responses={
        **answers(HTTPStatus.OK, UncertainCall, account_shapes.DECIDED_CALL, "The call as it is now."),
        **problems(NotFound, Conflict, *BODY_PROBLEMS),
    },
)
def decide(call_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """End that a call is uncertain: it was billed for so much, or not at all. This cannot be taken back.

    What exceeds the call's hold is recorded as overrun, which no budget bears.
    """
    asked = read_model(body, DecisionBody)
    decision = decision_of(asked)
    with parts.database.begin() as connection:
        row = decisions.decide(
            connection,
            known_id("call", call_id),
            decision,
            actor=to_edge("key", caller.key_id),
            project_id=caller.project_id,
        )
    parts.waker.wake()
    return json_answer(_document(row))


def decision_of(asked: DecisionBody) -> Decision:
    """Read a decision; raises InvalidFields where amounts are missing, or given for what was not billed."""
    needed = "say what was billed: usd, input_tokens and output_tokens"
    unwanted = "what was not billed has cost nothing; leave it out"
    code, detail = ("missing", needed) if asked.billed else ("not_allowed", unwanted)
    wrong = [
        FieldError(f"/{name}", code, detail)
        for name in AMOUNTS
        if (getattr(asked, name) is None) is asked.billed
    ]
    if not asked.reason.strip():
        wrong.append(FieldError("/reason", "missing", "say how this is known"))
    if asked.usd is not None and from_usd(asked.usd) > MOST_OF_A_CALL_PICOS:
        most = f"is more than a call can have cost, {to_usd(MOST_OF_A_CALL_PICOS)}"
        wrong.append(FieldError("/usd", "out_of_range", most))
    if wrong:
        raise InvalidFields(wrong)
    reason = asked.reason.strip()
    if asked.usd is None:
        return Decision(billed=None, ground=decisions.OPERATOR, reason=reason)
    use = Use(
        calls=1,
        input_tokens=asked.input_tokens or 0,
        output_tokens=asked.output_tokens or 0,
        picos=from_usd(asked.usd),
    )
    return Decision(billed=use, ground=decisions.OPERATOR, reason=reason)


def _document(row: DecidedCall) -> UncertainCall:
    fields: dict[str, Any] = {
        "id": to_edge("call", row.id),
        "job": to_edge("job", row.job_id),
        "model": row.model,
        "state": row.state,
        "failure": row.failure,
        "message": row.message,
        "held": {"usd": to_usd(row.hold_picos), "tokens": row.hold_tokens},
        "cost_usd": to_usd(row.cost_picos),
        "overrun_usd": to_usd(row.overrun_picos),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "sent_at": row.sent_at,
        "ended_at": row.ended_at,
        "decision": None,
    }
    if row.at is not None:
        fields["decision"] = {
            "at": row.at,
            "actor": row.actor,
            "ground": row.ground,
            "reason": row.reason,
        }
    return UncertainCall.model_validate(fields)
