"""The worker processes of the installation."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Depends, Response

from api import operator_shapes as shapes
from api.answering import json_answer
from api.auth import Admin
from api.openapi import answers, problems
from api.operator_shapes import Worker, WorkerList
from api.parts import PartsOf
from api.query import refuse_unknown
from patchmill.errors import InvalidFields
from patchmill.store import workers
from patchmill.store.ids import to_edge
from patchmill.store.workers import Worker as WorkerRow

router = APIRouter(prefix="/v1/workers", tags=["workers"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "",
    summary="List worker processes",
    responses={
        **answers(HTTPStatus.OK, WorkerList, shapes.WORKERS, "The processes, the latest start first."),
        **problems(InvalidFields),
    },
)
def list_workers(caller: Admin, parts: PartsOf) -> Response:
    """List the installation's processes that live, and those that ended or fell silent within the hour."""
    del caller
    with parts.database.begin() as connection:
        rows = workers.list_recent(connection, lease_ttl_s=parts.lease_ttl_s)
    held = parts.slots.held()
    return json_answer(WorkerList(data=[document(row, held) for row in rows], next_cursor=None))


def document(row: WorkerRow, held: Mapping[str, int] | None) -> Worker:
    """Give a process as the API says it; `held` are slots by process, None while Redis does not say."""
    return Worker(
        id=to_edge("wrk", row.id),
        name=row.name,
        version=row.version,
        state=row.standing,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        stopped_at=row.stopped_at,
        jobs=row.jobs,
        slots=None if held is None else held.get(str(row.id), 0),
    )
