"""The numbers of the moment."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Response

from api import live_examples
from api.answering import json_answer
from api.auth import Reader
from api.live_shapes import GatewayState, JobNumbers, Slots, Stats
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import refuse_unknown
from patchmill.budget.prices import to_usd
from patchmill.errors import InvalidFields
from patchmill.store import stats

router = APIRouter(prefix="/v1/stats", tags=["stats"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "",
    summary="Read the numbers of the moment",
    responses={
        **answers(HTTPStatus.OK, Stats, live_examples.STATS, "The numbers of this moment."),
        **problems(InvalidFields),
    },
)
def read_stats(caller: Reader, parts: PartsOf) -> Response:
    """Count the project's jobs and money; slots, gateway and workers are the whole installation's."""
    with parts.database.begin() as connection:
        now = stats.stats(connection, caller.project_id, lease_ttl_s=parts.lease_ttl_s)
    slots = parts.slots.read(on_the_wire=now.on_the_wire)
    document = Stats(
        at=now.at,
        jobs=JobNumbers(
            queued=now.queued, waiting=now.waiting, dispatched=now.dispatched, running=now.running
        ),
        oldest_queued_s=round(now.oldest_queued_s, 3),
        rate_per_min={"in": now.in_per_min, "out": now.out_per_min},
        slots=Slots(limit=slots.limit, used=slots.used),
        gateway=GatewayState.model_validate({"state": now.gateway, "reason": now.gateway_reason}),
        workers=now.workers,
        spend_today_usd=to_usd(now.spend_today_picos),
    )
    return json_answer(document)
