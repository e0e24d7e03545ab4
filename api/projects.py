"""The project of a key: how its jobs climb, how much is done for it at once, how long what ended is kept."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from api import gateway_shapes
from api.answering import json_answer
from api.auth import Admin, Caller, Reader, refuse_for_installation
from api.bodies import JsonBytes, read_model
from api.database import Connection
from api.gateway_shapes import PolicyFields, Project, ProjectChange, ProjectList, Share
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import Parts, PartsOf
from api.query import PAGE, Cursor, Limit, from_cursor, refuse_unknown
from api.schemas import Pause
from patchmill.budget.prices import rates_at
from patchmill.errors import FieldError, InvalidFields, NotFound
from patchmill.store import access, auditing, pauses, shared_time
from patchmill.store.access import ProjectRow
from patchmill.store.ids import from_edge, to_edge
from patchmill.store.prices import prices_of
from patchmill.store.queues import pause_document

router = APIRouter(prefix="/v1/projects", tags=["projects"], dependencies=[Depends(refuse_unknown())])

_MODELS = ("model", "escalation_model", "fallback_model")


@router.get(
    "",
    summary="List projects",
    responses={
        **answers(HTTPStatus.OK, ProjectList, gateway_shapes.PROJECT_LIST, "The key's own project."),
        **problems(InvalidFields),
    },
)
def list_projects(caller: Reader, parts: PartsOf, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """List the projects that the key may see: its own."""
    del limit
    after = from_cursor(cursor)
    with parts.database.begin() as connection:
        own = project_document(connection, access.project(connection, caller.project_id), parts)
    data = [own] if after is None else []
    listed = ProjectList(data=data, next_cursor=None)
    return json_answer(listed)


@router.get(
    "/{project_id}",
    summary="Read a project",
    responses={
        **answers(HTTPStatus.OK, Project, gateway_shapes.PROJECT, "The project."),
        **problems(NotFound, InvalidFields),
    },
)
def read_project(project_id: str, caller: Reader, parts: PartsOf) -> Response:
    """Read the key's project with its policy, its share, and how long it keeps what ended."""
    refuse_other(project_id, caller)
    with parts.database.begin() as connection:
        document = project_document(connection, access.project(connection, caller.project_id), parts)
    return json_answer(document)


@router.patch(
    "/{project_id}",
    summary="Change a project",
    openapi_extra=takes(ProjectChange, gateway_shapes.PROJECT_CHANGES),
    responses={
        **answers(HTTPStatus.OK, Project, gateway_shapes.PROJECT, "The project as it is now."),
        **problems(NotFound, *BODY_PROBLEMS),
    },
)
def change_project(project_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Set how the project's jobs climb, for calls made from now on, how much is done at once, what is kept.

    What is older than a lower `retention_days` begins to be pruned within a minute, and does not come back.
    A share is at the expense of other projects, so it needs a key of the project `default`; on the host
    `patchmill projects share --project` sets that of any.
    """
    asked = read_model(body, ProjectChange)
    refuse_other(project_id, caller)
    policy = {} if asked.policy is None else asked.policy.model_dump(exclude_unset=True)
    share = {} if asked.share is None else asked.share.model_dump(exclude_unset=True)
    ages = "retention_days" in asked.model_fields_set
    if not policy and not share and not ages:
        detail = "give a field of policy, one of share, or retention_days"
        raise InvalidFields([FieldError("", "missing", detail)])
    with parts.database.begin() as connection:
        if policy:
            _refuse_unpriced(connection, policy)
            access.change_policy(connection, caller.project_id, policy)
            _record(connection, caller, "project.policy", policy)
        if share:
            refuse_for_installation(connection, caller)
            access.change_share(connection, caller.project_id, share)
            _record(connection, caller, "project.share", share)
        if ages:
            access.change_retention(connection, caller.project_id, asked.retention_days)
            _record(connection, caller, "project.retention", {"days": asked.retention_days})
        document = project_document(connection, access.project(connection, caller.project_id), parts)
    return json_answer(document)


def _record(connection: Connection, caller: Caller, action: str, changes: dict[str, Any]) -> None:
    auditing.record(
        connection,
        actor=to_edge("key", caller.key_id),
        action=action,
        subject=to_edge("prj", caller.project_id),
        details=changes,
    )


def refuse_other(text: str, caller: Caller) -> None:
    """Refuse a project that is not the key's own, as one that is not there."""
    if from_edge("prj", text) != caller.project_id:
        raise NotFound(f"there is no project {text[:100]}")


def _refuse_unpriced(connection: Connection, changes: dict[str, Any]) -> None:
    """Refuse a model without a price: it would never be called."""
    now = shared_time.now()
    wrong = [
        FieldError(
            f"/policy/{name}", "not_allowed", "no price is known for this model, so it is never called"
        )
        for name in _MODELS
        if changes.get(name) is not None and rates_at(prices_of(connection, changes[name]), now) is None
    ]
    if wrong:
        raise InvalidFields(wrong)


def project_document(connection: Connection, row: ProjectRow, parts: Parts) -> Project:
    """Give a project with what it has not set itself filled in."""
    pause = pause_document(pauses.of_project(pauses.standing(connection), row.id))
    return Project(
        id=to_edge("prj", row.id),
        name=row.name,
        policy=PolicyFields.model_validate(asdict(parts.policy.changed(row.policy))),
        own_policy=row.policy,
        share=Share(
            weight=row.weight, max_in_flight=row.max_in_flight, tokens_per_minute=row.tokens_per_minute
        ),
        retention_days=parts.retention_days if row.retention_days is None else row.retention_days,
        own_retention_days=row.retention_days,
        paused=None if pause is None else Pause.model_validate(pause),
        created_at=row.created_at,
    )
