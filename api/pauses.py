"""Pausing all calls, and a project; the queues have it in `queues`."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api import gateway_shapes
from api import operator_shapes as shapes
from api.answering import json_answer
from api.auth import Admin, Caller, Operator
from api.bodies import JsonBytes, read_model
from api.gateway import gateway_document
from api.gateway_shapes import Gateway, Project
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.operator_shapes import PauseRequest
from api.parts import PartsOf
from api.projects import project_document, refuse_other
from api.query import refuse_unknown
from patchmill.errors import InvalidFields, NotFound
from patchmill.job.circuit import GATEWAY
from patchmill.job.pause import Part
from patchmill.store import access, circuits, pauses
from patchmill.store.ids import to_edge

router = APIRouter(prefix="/v1", dependencies=[Depends(refuse_unknown())])
_GATEWAY = answers(HTTPStatus.OK, Gateway, gateway_shapes.GATEWAY, "The gateway as it is now.")
_PROJECT = answers(HTTPStatus.OK, Project, gateway_shapes.PROJECT, "The project as it is now.")


@router.post(
    "/gateway/pause",
    tags=["gateway"],
    summary="Pause all calls",
    openapi_extra=takes(PauseRequest, shapes.PAUSE_REQUESTS),
    responses={**_GATEWAY, **problems(*BODY_PROBLEMS)},
)
def pause_gateway(caller: Operator, body: JsonBytes, parts: PartsOf) -> Response:
    """Let nobody call, in the whole installation; what an operator has paused already stays as it is.

    Jobs are accepted, and what costs nothing is done; those that need a model wait (`paused`). Calls on the
    wire finish. It needs an admin key of the project `default`.
    """
    asked = read_model(body, PauseRequest)
    with parts.database.begin() as connection:
        circuits.pause(connection, asked.reason.strip(), actor=_actor(caller))
    return json_answer(gateway_document(parts, caller.project_id))


@router.post(
    "/gateway/resume",
    tags=["gateway"],
    summary="Resume calls",
    responses={**_GATEWAY, **problems(NotFound, InvalidFields)},
)
def resume_gateway(
    caller: Operator,
    parts: PartsOf,
    model: Annotated[
        str | None, Query(max_length=200, description="calls of this model, which was down or out of reach")
    ] = None,
) -> Response:
    """Let calls go on, whatever had paused them, and wake the jobs that wait for that.

    It needs an admin key of the project `default`.
    """
    with parts.database.begin() as connection:
        if model is not None and model not in circuits.every_one(connection):
            raise NotFound(f"model {model} has never been down or out of reach")
        circuits.resume(connection, model or GATEWAY, actor=_actor(caller))
    parts.waker.wake()
    return json_answer(gateway_document(parts, caller.project_id))


@router.post(
    "/projects/{project_id}/pause",
    tags=["projects"],
    summary="Pause a project",
    openapi_extra=takes(PauseRequest, shapes.PAUSE_REQUESTS),
    responses={**_PROJECT, **problems(NotFound, *BODY_PROBLEMS)},
)
def pause_project(project_id: str, caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Let no job of the key's project begin; a project that is paused already stays as it is.

    Jobs are accepted and wait (`paused`), and calls on the wire finish. A job that runs makes no further call
    and waits, too.
    """
    asked = read_model(body, PauseRequest)
    refuse_other(project_id, caller)
    part = Part(project_id=caller.project_id)
    with parts.database.begin() as connection:
        pauses.pause(connection, part, asked.reason.strip(), actor=_actor(caller))
    return _project(parts, caller.project_id)


@router.post(
    "/projects/{project_id}/resume",
    tags=["projects"],
    summary="Resume a project",
    responses={**_PROJECT, **problems(NotFound, InvalidFields)},
)
def resume_project(project_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Let the jobs of the key's project begin again, at once; one that is not paused stays as it is."""
    refuse_other(project_id, caller)
    with parts.database.begin() as connection:
        pauses.resume(connection, Part(project_id=caller.project_id), actor=_actor(caller))
    parts.waker.wake()
    return _project(parts, caller.project_id)


def _project(parts: PartsOf, project_id: UUID) -> Response:
    with parts.database.begin() as connection:
        document = project_document(connection, access.project(connection, project_id), parts)
    return json_answer(document)


def _actor(caller: Caller) -> str:
    return to_edge("key", caller.key_id)
