"""How the gateway and its models are: whether calls can be made, and if not, why and until when."""

from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api import gateway_shapes
from api.account import account_of
from api.answering import json_answer
from api.auth import Reader
from api.gateway_shapes import Gateway, ModelState, Quota
from api.live_shapes import Slots
from api.openapi import answers, problems
from api.parts import Parts, PartsOf
from api.paused import that_concern
from api.query import refuse_unknown
from patchmill.errors import InvalidFields
from patchmill.job.circuit import GATEWAY, Circuit
from patchmill.store import circuits, pauses, shared_time, stats
from patchmill.store.circuits import Quota as QuotaRow

router = APIRouter(prefix="/v1/gateway", tags=["gateway"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "",
    summary="Read how the gateway is",
    responses={
        **answers(HTTPStatus.OK, Gateway, gateway_shapes.GATEWAY, "The gateway, its models and the slots."),
        **problems(InvalidFields),
    },
)
def read_gateway(caller: Reader, parts: PartsOf) -> Response:
    """Say whether calls can be made. While the account is paused, jobs wait and nothing fails."""
    return json_answer(gateway_document(parts, caller.project_id))


def gateway_document(parts: Parts, project_id: UUID) -> Gateway:
    """Give the gateway as it is now, with the pauses that concern a project."""
    with parts.database.begin() as connection:
        known = circuits.every_one(connection)
        quota = circuits.quota(connection)
        on_the_wire = stats.on_the_wire(connection)
        account = account_of(connection, shared_time.now())
        paused = that_concern(pauses.standing(connection), project_id)
    slots = parts.slots.read(on_the_wire=on_the_wire)
    return Gateway.model_validate(
        {
            **circuit_fields(known.pop(GATEWAY, None)),
            "models": [ModelState(model=name, **circuit_fields(each)) for name, each in known.items()],
            "slots": Slots(limit=slots.limit, used=slots.used),
            "quota": None if quota is None else quota_document(quota),
            "balance": account.balance,
            "forecast": account.forecast,
            "reconciliation": account.reconciliation,
            "pauses": paused,
        }
    )


def circuit_fields(circuit: Circuit | None) -> dict[str, Any]:
    """Give the fields of a `CircuitState`; a circuit that there is no row for has always been closed."""
    return {
        "state": "ok" if circuit is None else circuit.state,
        "reason": None if circuit is None else circuit.why,
        "message": None if circuit is None else circuit.message or None,
        "since": None if circuit is None else circuit.since,
        "resumes_at": None if circuit is None else circuit.until,
        "next_probe_at": None if circuit is None else circuit.probe_at,
        "actor": None if circuit is None else circuit.actor,
    }


def quota_document(row: QuotaRow) -> Quota:
    """Give what the gateway's headers said last, as the API says it."""
    said: Mapping[str, Any] = row.said
    return Quota(
        limit_usd=_usd(said.get("limit_usd")),
        remaining_usd=_usd(said.get("remaining_usd")),
        resets_at=said.get("resets_at"),
        key_remaining_usd=_usd(said.get("key_remaining_usd")),
        account_remaining_usd=_usd(said.get("account_remaining_usd")),
        at=row.at,
    )


def _usd(text: str | None) -> str | None:
    """Write an amount as this API writes money: without an exponent or trailing zeros."""
    if text is None:
        return None
    plain = f"{Decimal(text):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
