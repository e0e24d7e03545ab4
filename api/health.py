"""Whether the process is up, and whether it can serve: without a key, and without telling more than that."""

from http import HTTPStatus

import redis
from fastapi import APIRouter, Depends, Response

from api import examples
from api.answering import json_answer
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import refuse_unknown
from api.schemas import Checks, Health, Readiness
from patchmill.errors import InvalidFields, PatchmillError, Unavailable
from patchmill.store import schema

router = APIRouter(tags=["health"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "/healthz",
    summary="The process is up",
    responses={
        **answers(HTTPStatus.OK, Health, examples.HEALTH, "It is."),
        **problems(InvalidFields, everywhere=[PatchmillError]),
    },
)
async def healthz() -> Response:
    """Answer as long as the process can answer at all; looks at nothing else."""
    return json_answer(Health(status="ok"))


@router.get(
    "/readyz",
    summary="Requests can be served",
    responses={
        **answers(HTTPStatus.OK, Readiness, examples.READINESS, "They can."),
        **problems(InvalidFields, everywhere=[PatchmillError, Unavailable]),
    },
)
def readyz(parts: PartsOf) -> Response:
    """Need Postgres with the schema of this version, or a `newer` one: while that version is rolled out.

    Redis only speeds jobs up: without it, `degraded`.
    """
    standing = parts.database.schema_standing()
    if standing is schema.Standing.OLDER:
        raise Unavailable(schema.WRONG)
    checks: Checks = {"postgres": "ok", "schema": "ok", "redis": "ok"}
    if standing is schema.Standing.NEWER:
        checks["schema"] = "newer"
    try:
        parts.broker.ping()
    except redis.RedisError:
        checks["redis"] = "unreachable"
    return json_answer(Readiness(status="ready" if checks["redis"] == "ok" else "degraded", checks=checks))
