"""Budgets: set a limit, and read what is left of it."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import examples
from api.answering import json_answer
from api.auth import Admin, Caller, Reader
from api.bodies import JsonBytes, read_model
from api.database import Connection
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import Parts, PartsOf
from api.query import PAGE, Cursor, Limit, from_cursor, paged, refuse_unknown
from api.requests import BudgetRequest
from api.schemas import Budget, BudgetList
from patchmill.budget.ledger import Amount, smallest_hold
from patchmill.budget.models import capability_of
from patchmill.budget.prices import from_usd, highest_rates, to_usd
from patchmill.budget.windows import WindowKind
from patchmill.edit.formats import DEFAULT, EDIT_FORMATS
from patchmill.errors import BelowMinimumHold, Conflict, FieldError, InvalidFields, NotFound
from patchmill.kinds import KINDS
from patchmill.store import access, budgets
from patchmill.store.budgets import BudgetRow
from patchmill.store.ids import from_edge, to_edge

router = APIRouter(prefix="/v1/budgets", tags=["budgets"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "",
    summary="Set a budget",
    status_code=HTTPStatus.CREATED,
    openapi_extra=takes(BudgetRequest, examples.BUDGET_REQUESTS),
    responses={
        **answers(HTTPStatus.CREATED, Budget, examples.BUDGET, "The budget."),
        **problems(Conflict, *BODY_PROBLEMS, BelowMinimumHold),
    },
)
def create_budget(caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Limit what the installation, the caller's project, or one of its keys may spend in each window."""
    asked = read_model(body, BudgetRequest)
    now = datetime.now(UTC)
    limit_picos = None if asked.limit.usd is None else from_usd(asked.limit.usd)
    with parts.database.begin() as connection:
        project_id, key_id = _scope(connection, asked, caller)
        _refuse_useless(connection, parts, limit_picos, asked.limit.tokens, now)
        if budgets.budget_named(connection, asked.name):
            raise Conflict(f"there is a budget named {asked.name} already")
        budget_id = budgets.add_budget(
            connection,
            name=asked.name,
            scope=asked.scope.kind,
            project_id=project_id,
            key_id=key_id,
            window=WindowKind(asked.window.kind),
            time_zone=asked.window.time_zone,
            limit_picos=limit_picos,
            limit_tokens=asked.limit.tokens,
            at_limit=asked.at_limit,
        )
        document = _read(connection, caller, budget_id, now)
    return json_answer(document, HTTPStatus.CREATED, {"Location": f"/v1/budgets/{document.id}"})


@router.get(
    "",
    summary="List budgets",
    responses={
        **answers(HTTPStatus.OK, BudgetList, examples.BUDGET_LIST, "A page of budgets, newest first."),
        **problems(InvalidFields),
    },
)
def list_budgets(caller: Reader, parts: PartsOf, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the budgets that bear on the caller's project, with their use in the current window."""
    now = datetime.now(UTC)
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        rows = budgets.project_budgets(connection, caller.project_id, before=before, limit=limit + 1)
        page, more = paged(rows, limit)
        documents = [_document(connection, row, now) for row in page]
    return json_answer(BudgetList(data=documents, next_cursor=more))


@router.get(
    "/{budget_id}",
    summary="Read a budget",
    responses={
        **answers(HTTPStatus.OK, Budget, examples.BUDGET, "The budget and its use in the current window."),
        **problems(NotFound, InvalidFields),
    },
)
def read_budget(budget_id: str, caller: Reader, parts: PartsOf) -> Response:
    """Read one of the budgets that bear on the caller's project."""
    identity = from_edge("bud", budget_id)
    if identity is None:
        raise NotFound(f"there is no budget {budget_id[:100]}")
    with parts.database.begin() as connection:
        document = _read(connection, caller, identity, datetime.now(UTC))
    return json_answer(document)


def _scope(connection: Connection, asked: BudgetRequest, caller: Caller) -> tuple[UUID | None, UUID | None]:
    """The project or key that a budget is for; both None for the installation."""
    kind, text = asked.scope.kind, asked.scope.id
    if kind == "installation":
        if text is not None:
            raise _wrong_scope("the installation has no id; leave it out")
        return None, None
    identity = from_edge("prj" if kind == "project" else "key", text or "")
    if kind == "project":
        if identity != caller.project_id:
            raise _wrong_scope("must be the id of this key's project, prj_…")
        return caller.project_id, None
    if identity is None or access.project_key(connection, caller.project_id, identity) is None:
        raise _wrong_scope("must be the id of a key of this project, key_…")
    return None, identity


def _wrong_scope(detail: str) -> InvalidFields:
    return InvalidFields([FieldError("/scope/id", "not_allowed", detail)])


def _refuse_useless(
    connection: Connection, parts: Parts, limit_picos: int | None, limit_tokens: int | None, now: datetime
) -> None:
    """Refuse a limit that no call could ever fit; without a price there is no call to compare with."""
    if limit_picos is None and limit_tokens is None:
        raise InvalidFields([FieldError("/limit", "missing", "give usd, tokens, or both")])
    until = now + timedelta(seconds=parts.call_deadline_s)
    rates = highest_rates(budgets.prices_of(connection, parts.policy.model), now, until)
    if rates is None:
        return
    rules, able = EDIT_FORMATS[DEFAULT].instructions, capability_of(parts.policy.model)
    smallest = min(
        (
            smallest_hold(len(f"{kind.rules}{rules}".encode()), kind.floor_tokens, able, rates)
            for kind in KINDS.values()
        ),
        key=lambda hold: hold.picos,
    )
    if limit_picos is not None and limit_picos < smallest.picos:
        raise BelowMinimumHold(
            f"the smallest call to {parts.policy.model} holds {to_usd(smallest.picos)} US dollars"
        )
    if limit_tokens is not None and limit_tokens < smallest.tokens:
        raise BelowMinimumHold(f"the smallest call to {parts.policy.model} holds {smallest.tokens} tokens")


def _read(connection: Connection, caller: Caller, budget_id: UUID, now: datetime) -> Budget:
    row = budgets.project_budget(connection, caller.project_id, budget_id)
    if row is None:
        raise NotFound(f"there is no budget {to_edge('bud', budget_id)}")
    return _document(connection, row, now)


def _document(connection: Connection, row: BudgetRow, now: datetime) -> Budget:
    use = budgets.use_of(connection, row, now)
    spoken_for = [use.settled, use.held, use.uncertain]
    owner = to_edge("prj", row.project_id) if row.project_id else None
    return Budget.model_validate(
        {
            "id": to_edge("bud", row.id),
            "name": row.name,
            "scope": {"kind": row.scope, "id": to_edge("key", row.key_id) if row.key_id else owner},
            "window": {
                "kind": row.window,
                "time_zone": row.time_zone,
                "starts_at": use.bounds.starts_at,
                "resets_at": use.bounds.resets_at,
            },
            "limit": _limit(row.limit_picos, row.limit_tokens),
            "settled": _spending(use.settled),
            "held": _spending(use.held),
            "uncertain": _spending(use.uncertain),
            "available": _limit(
                _left(row.limit_picos, [part.picos for part in spoken_for]),
                _left(row.limit_tokens, [part.tokens for part in spoken_for]),
            ),
            "at_limit": row.at_limit,
            "alert_percent": [],
            "forecast": {"exhausted_at": None},
            "created_at": row.created_at,
        }
    )


def _left(limit: int | None, spoken_for: list[int]) -> int | None:
    """What may still be held; a limit lowered below what is in use leaves nothing."""
    return None if limit is None else max(0, limit - sum(spoken_for))


def _limit(picos: int | None, tokens: int | None) -> dict[str, Any]:
    return {"usd": None if picos is None else to_usd(picos), "tokens": tokens}


def _spending(amount: Amount) -> dict[str, Any]:
    return {"usd": to_usd(amount.picos), "tokens": amount.tokens}
