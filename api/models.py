"""The models: what each takes, costs, and is to the key's project."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Depends, Response

from api import model_shapes
from api.auth import Reader
from api.gateway import circuit_fields
from api.model_shapes import Model, ModelList, ModelPrice
from api.openapi import answers, problems
from api.parts import PartsOf
from api.query import refuse_unknown
from patchmill.budget.models import CAPABILITIES, capability_of, with_learned
from patchmill.budget.prices import Price, rates_at, to_usd
from patchmill.errors import InvalidFields
from patchmill.job.circuit import Circuit
from patchmill.job.ladder import Policy
from patchmill.store import access, circuits, models, shared_time
from patchmill.store.models import LearnedModel
from patchmill.store.prices import prices_of

router = APIRouter(prefix="/v1/models", tags=["gateway"], dependencies=[Depends(refuse_unknown())])

_PER = 10**6


@router.get(
    "",
    summary="List models",
    responses={
        **answers(HTTPStatus.OK, ModelList, model_shapes.MODEL_LIST, "The models, by name; all on one page."),
        **problems(InvalidFields),
    },
)
def list_models(caller: Reader, parts: PartsOf) -> Response:
    """Say of each model what it takes, what it costs now, and whether it can be called."""
    with parts.database.begin() as connection:
        policy = parts.policy.changed(access.project(connection, caller.project_id).policy)
        names = {*models.known_names(connection), *filter(None, _ladder(policy).values())}
        learned = models.learned(connection)
        states = circuits.every_one(connection)
        prices = {name: prices_of(connection, name) for name in names}
    listed = ModelList(
        data=[
            _document(name, learned.get(name), prices[name], states.get(name), policy)
            for name in sorted(names)
        ],
        next_cursor=None,
    )
    return Response(listed.model_dump_json(), media_type="application/json")


def _document(
    name: str, row: LearnedModel | None, prices: Sequence[Price], circuit: Circuit | None, policy: Policy
) -> Model:
    documented = capability_of(name)
    able = documented if row is None else with_learned(documented, row.capability, row.dropped)
    return Model.model_validate(
        {
            **circuit_fields(circuit),
            "model": name,
            "roles": [role for role, model in _ladder(policy).items() if model == name],
            "price": _price(prices),
            "context_tokens": able.context_tokens,
            "output_tokens": able.output_tokens,
            "fields": sorted(able.fields - able.dropped),
            "streamed": able.streams,
            "json_object": able.json_object and able.takes("response_format"),
            "json_schema": able.json_schema and able.takes("response_format"),
            "tools": able.tools,
            "reasoning": able.reasoning,
            "documented": name in CAPABILITIES,
            "dropped": sorted(able.dropped),
            "tried_at": None if row is None else row.tried_at,
        }
    )


def _ladder(policy: Policy) -> dict[str, str | None]:
    return {
        "first": policy.model,
        "escalation": policy.escalation_model,
        "fallback": policy.fallback_model,
    }


def _price(prices: Sequence[Price]) -> ModelPrice | None:
    rates = rates_at(prices, shared_time.now())
    if rates is None:
        return None
    return ModelPrice(
        input_usd_per_million=to_usd(rates.input_picos * _PER),
        cached_usd_per_million=to_usd(rates.cached_picos * _PER),
        output_usd_per_million=to_usd(rates.output_picos * _PER),
    )
