"""The queues of the installation, and pausing them."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import operator_shapes as shapes
from api.answering import json_answer
from api.auth import Admin, Operator
from api.bodies import JsonBytes, read_model
from api.database import Connection
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.operator_shapes import PauseRequest, Queues
from api.parts import PartsOf
from api.query import refuse_unknown
from patchmill.errors import InvalidFields, NotFound
from patchmill.job.pause import Part
from patchmill.job.record import Priority
from patchmill.store import pauses, queues
from patchmill.store.ids import to_edge

router = APIRouter(prefix="/v1/queues", tags=["queues"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "",
    summary="Read the queues",
    responses={
        **answers(HTTPStatus.OK, Queues, shapes.QUEUES, "The queues as they are now."),
        **problems(InvalidFields),
    },
)
def read_queues(caller: Admin, parts: PartsOf) -> Response:
    """Count what is due, waits and runs in the installation's queues; of projects, the key's own alone."""
    with parts.database.begin() as connection:
        document = _document(connection, caller.project_id)
    return json_answer(document)


@router.post(
    "/{queue}/pause",
    summary="Pause a queue",
    openapi_extra=takes(PauseRequest, shapes.PAUSE_REQUESTS),
    responses={
        **answers(HTTPStatus.OK, Queues, shapes.QUEUES, "The queues as they are now."),
        **problems(NotFound, *BODY_PROBLEMS),
    },
)
def pause_queue(queue: str, caller: Operator, body: JsonBytes, parts: PartsOf) -> Response:
    """Let no job of a queue begin, in the whole installation; one that is paused already stays as it is.

    Jobs are accepted and wait (`paused`), and calls on the wire finish. A job that runs makes no further call
    and waits, too. It needs an admin key of the project `default`.
    """
    part = Part(queue=_queue(queue))
    asked = read_model(body, PauseRequest)
    with parts.database.begin() as connection:
        pauses.pause(connection, part, asked.reason.strip(), actor=to_edge("key", caller.key_id))
        document = _document(connection, caller.project_id)
    return json_answer(document)


@router.post(
    "/{queue}/resume",
    summary="Resume a queue",
    responses={
        **answers(HTTPStatus.OK, Queues, shapes.QUEUES, "The queues as they are now."),
        **problems(NotFound, InvalidFields),
    },
)
def resume_queue(queue: str, caller: Operator, parts: PartsOf) -> Response:
    """Let the jobs of a queue begin again, at once; one that is not paused stays as it is.

    It needs an admin key of the project `default`.
    """
    part = Part(queue=_queue(queue))
    with parts.database.begin() as connection:
        pauses.resume(connection, part, actor=to_edge("key", caller.key_id))
        document = _document(connection, caller.project_id)
    parts.waker.wake()
    return json_answer(document)


def _queue(name: str) -> Priority:
    if name not in {*Priority}:
        raise NotFound(f"there is no queue {name[:100]}; there are interactive and bulk")
    return Priority(name)


def _document(connection: Connection, project_id: UUID) -> Queues:
    seen = queues.look(connection)
    own = [place for place in seen.places if place.id == project_id]
    return Queues.model_validate(queues.document(seen, own))
