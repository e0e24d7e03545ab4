"""Budgets: set a limit, change it, end it, and read what is left of it."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import budget_shapes as shapes
from api.answering import json_answer
from api.auth import Admin, Caller, Reader, refuse_for_installation
from api.bodies import JsonBytes, read_model
from api.budget_documents import budget_detail, budget_document
from api.budget_limits import limits_of, refuse_useless
from api.budget_shapes import BudgetChange, BudgetDetail, BudgetList, BudgetRequest
from api.database import Connection
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import PartsOf
from api.query import PAGE, Cursor, Limit, from_cursor, paged, refuse_unknown
from patchmill.budget.windows import WindowKind
from patchmill.errors import BelowMinimumHold, Conflict, FieldError, InvalidFields, NotFound
from patchmill.store import access, auditing, budget_waiters, budgets, shared_time
from patchmill.store.budgets import BudgetRow
from patchmill.store.engine import allow_long
from patchmill.store.ids import from_edge, to_edge

# What those who wait for a budget wait for.
_FOR_WAITERS = frozenset({"limit_picos", "limit_tokens", "at_limit"})

router = APIRouter(prefix="/v1/budgets", tags=["budgets"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "",
    summary="Set a budget",
    status_code=HTTPStatus.CREATED,
    openapi_extra=takes(BudgetRequest, shapes.BUDGET_REQUESTS),
    responses={
        **answers(HTTPStatus.CREATED, BudgetDetail, shapes.BUDGET_DETAIL, "The budget."),
        **problems(Conflict, *BODY_PROBLEMS, BelowMinimumHold),
    },
)
def create_budget(caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Limit what the installation, the caller's project, or one of its keys may spend in each window.

    A budget of the installation is set, changed and ended by keys of the project `default`.
    """
    asked = read_model(body, BudgetRequest)
    now = shared_time.now()
    limits = limits_of(asked.limit)
    with parts.database.begin() as connection:
        project_id, key_id = _scope(connection, asked, caller)
        refuse_useless(connection, parts, limits, now)
        budget_id = budgets.add_budget(
            connection,
            name=asked.name,
            scope=asked.scope.kind,
            project_id=project_id,
            key_id=key_id,
            window=WindowKind(asked.window.kind),
            time_zone=asked.window.time_zone,
            limit_picos=limits["limit_picos"],
            limit_tokens=limits["limit_tokens"],
            at_limit=asked.at_limit,
            alert_percent=asked.alert_percent,
        )
        _record(connection, caller, "budget.create", budget_id, asked.model_dump(mode="json"))
        document = budget_detail(connection, _find(connection, caller, to_edge("bud", budget_id)), now)
    return json_answer(document, HTTPStatus.CREATED, {"Location": f"/v1/budgets/{document.id}"})


@router.get(
    "",
    summary="List budgets",
    responses={
        **answers(HTTPStatus.OK, BudgetList, shapes.BUDGET_LIST, "A page of budgets, newest first."),
        **problems(InvalidFields),
    },
)
def list_budgets(caller: Reader, parts: PartsOf, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the budgets that bear on the caller's project, with their use in the current window."""
    now = shared_time.now()
    before = from_cursor(cursor)
    with parts.database.begin() as connection:
        rows = budgets.project_budgets(connection, caller.project_id, before=before, limit=limit + 1)
        page, more = paged(rows, limit)
        documents = [budget_document(connection, row, now) for row in page]
    return json_answer(BudgetList(data=documents, next_cursor=more))


@router.get(
    "/{budget_id}",
    summary="Read a budget",
    responses={
        **answers(
            HTTPStatus.OK, BudgetDetail, shapes.BUDGET_DETAIL, "The budget and the course of its window."
        ),
        **problems(NotFound, InvalidFields),
    },
)
def read_budget(budget_id: str, caller: Reader, parts: PartsOf) -> Response:
    """Read one of the budgets that bear on the caller's project, with how its current window was spent."""
    with parts.database.begin() as connection:
        row = _find(connection, caller, budget_id)
        document = budget_detail(connection, row, shared_time.now())
    return json_answer(document)


@router.patch(
    "/{budget_id}",
    summary="Change a budget",
    openapi_extra=takes(BudgetChange, shapes.BUDGET_CHANGES),
    responses={
        **answers(HTTPStatus.OK, BudgetDetail, shapes.BUDGET_DETAIL, "The budget as it is now."),
        **problems(NotFound, Conflict, *BODY_PROBLEMS, BelowMinimumHold),
    },
)
def change_budget(budget_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Change a budget's name, limit, policy or alerts, for calls that are made from now on.

    A limit may be set below what is spent: no call is admitted then, and nothing else changes. Jobs that wait
    for a budget look again once its limit or its policy is another.
    """
    asked = read_model(body, BudgetChange)
    now = shared_time.now()
    with parts.database.begin() as connection:
        row = _to_change(connection, caller, budget_id)
        changes = _changes(row, asked)
        if asked.limit is not None:
            refuse_useless(connection, parts, {**_limits(row), **changes}, now)
        if changes:
            row = budgets.change_budget(connection, row, changes)
            told = asked.model_dump(mode="json", exclude_unset=True)
            _record(connection, caller, "budget.change", row.id, told)
        woken = 0
        if not _FOR_WAITERS.isdisjoint(changes):
            woken = _let_look_again(connection, row)
        document = budget_detail(connection, row, now)
    if woken:
        parts.waker.wake()
    return json_answer(document)


@router.delete(
    "/{budget_id}",
    summary="End a budget",
    status_code=HTTPStatus.NO_CONTENT,
    responses={
        204: {"description": "It limits nothing any more, and its name is free.", "content": {}},
        **problems(NotFound, InvalidFields),
    },
)
def end_budget(budget_id: str, caller: Admin, parts: PartsOf) -> Response:
    """End a budget: it limits no call from now on; those admitted before count on in its windows."""
    with parts.database.begin() as connection:
        row = _to_change(connection, caller, budget_id)
        budgets.end_budget(connection, row)
        _record(connection, caller, "budget.end", row.id, {"name": row.name})
        woken = _let_look_again(connection, row)
    if woken:
        parts.waker.wake()
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _find(connection: Connection, caller: Caller, text: str, *, locked: bool = False) -> BudgetRow:
    identity = from_edge("bud", text)
    row = (
        None
        if identity is None
        else budgets.project_budget(connection, caller.project_id, identity, locked=locked)
    )
    if row is None:
        raise NotFound(f"there is no budget {text[:100]}")
    return row


def _to_change(connection: Connection, caller: Caller, text: str) -> BudgetRow:
    """Find a budget that the caller may change, locked; those of the installation are for its own keys."""
    row = _find(connection, caller, text, locked=True)
    if row.scope == "installation":
        refuse_for_installation(connection, caller)
    return row


def _changes(row: BudgetRow, asked: BudgetChange) -> dict[str, Any]:
    """The columns that become others."""
    wanted: dict[str, Any] = {} if asked.limit is None else limits_of(asked.limit, of=_limits(row))
    if asked.name is not None:
        wanted["name"] = asked.name
    if asked.at_limit is not None:
        wanted["at_limit"] = asked.at_limit
    changes = {name: value for name, value in wanted.items() if value != getattr(row, name)}
    if asked.alert_percent is not None and tuple(asked.alert_percent) != row.alert_percent:
        changes["alert_percent"] = asked.alert_percent
    return changes


def _limits(row: BudgetRow) -> dict[str, int | None]:
    return {"limit_picos": row.limit_picos, "limit_tokens": row.limit_tokens}


def _let_look_again(connection: Connection, row: BudgetRow) -> int:
    """Make the jobs due that wait for a budget, of which there may be many."""
    allow_long(connection)
    return budget_waiters.wake(connection, row)


def _record(
    connection: Connection, caller: Caller, action: str, budget_id: UUID, details: dict[str, Any]
) -> None:
    auditing.record(
        connection,
        actor=to_edge("key", caller.key_id),
        action=action,
        subject=to_edge("bud", budget_id),
        details=details,
    )


def _scope(connection: Connection, asked: BudgetRequest, caller: Caller) -> tuple[UUID | None, UUID | None]:
    """The project or key that a budget is for; both None for the installation."""
    kind, text = asked.scope.kind, asked.scope.id
    if kind == "installation":
        if text is not None:
            raise _wrong_scope("the installation has no id; leave it out")
        refuse_for_installation(connection, caller)
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
