"""Prices: read the list, and add to it. A price is never changed: a later row replaces it."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from api import price_shapes as shapes
from api.answering import json_answer
from api.auth import Operator, Reader
from api.bodies import JsonBytes, read_model
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import PartsOf
from api.price_shapes import PriceDocument, PriceList, PriceRequest
from api.query import PAGE, Cursor, Limit, Text, refuse_unknown
from patchmill.budget.price_rows import (
    EDGE,
    RATES,
    calendar_from,
    document_of,
    make_price,
    rate_of,
    sorted_rows,
    status_of,
)
from patchmill.budget.prices import Price
from patchmill.errors import FieldError, InvalidFields
from patchmill.store import prices, shared_time
from patchmill.store.ids import to_edge

router = APIRouter(prefix="/v1/prices", tags=["prices"], dependencies=[Depends(refuse_unknown())])


@router.get(
    "",
    summary="List prices",
    responses={
        **answers(HTTPStatus.OK, PriceList, shapes.PRICE_LIST, "A page of prices, current ones first."),
        **problems(InvalidFields),
    },
)
def list_prices(
    caller: Reader, parts: PartsOf, *, model: Text = None, limit: Limit = PAGE, cursor: Cursor = None
) -> Response:
    """List what tokens cost, cost before, and will cost, of one model or of all."""
    del caller
    with parts.database.begin() as connection:
        rows = prices.list_prices(connection, model)
    documents = [document_of(row, status) for row, status in sorted_rows(rows, shared_time.now())]
    start = 0 if cursor is None else _after(cursor, documents)
    page = documents[start : start + limit]
    more = page[-1]["id"] if start + limit < len(documents) else None
    listed = {"data": [PriceDocument.model_validate(each) for each in page], "next_cursor": more}
    return json_answer(PriceList.model_validate(listed))


@router.post(
    "",
    summary="Add a price",
    status_code=HTTPStatus.CREATED,
    openapi_extra=takes(PriceRequest, shapes.PRICE_REQUESTS),
    responses={
        **answers(HTTPStatus.CREATED, PriceDocument, shapes.PRICE, "The new row."),
        **problems(*BODY_PROBLEMS),
    },
)
def add_price(caller: Operator, body: JsonBytes, parts: PartsOf) -> Response:
    """Add a row to the price list of the installation; what was settled before stays as it was.

    It needs an admin key of the project `default`.
    """
    asked = read_model(body, PriceRequest)
    now = shared_time.now()
    price = _price(asked, now)
    with parts.database.begin() as connection:
        (row,) = prices.add_prices(connection, [(price, asked.source)], actor=to_edge("key", caller.key_id))
        rows = prices.list_prices(connection, price.model)
    parts.waker.wake()
    document = document_of(row, status_of(row, rows, now))
    return json_answer(PriceDocument.model_validate(document), HTTPStatus.CREATED)


def _price(asked: PriceRequest, now: datetime) -> Price:
    peak = asked.peak
    try:
        return make_price(
            asked.model,
            {name: rate_of(getattr(asked, EDGE[name])) for name in RATES},
            valid_from=asked.valid_from or now,
            valid_to=asked.valid_to,
            calendar=None if peak is None else calendar_from(peak.time_zone, peak.hours),
        )
    except ValueError as error:
        raise InvalidFields([FieldError("/valid_to", "out_of_range", str(error))]) from None


def _after(cursor: str, documents: list[dict[str, Any]]) -> int:
    """The place after a row, wherever it stands now."""
    for place, document in enumerate(documents):
        if document["id"] == cursor:
            return place + 1
    detail = "is not a cursor that this service gave"
    raise InvalidFields([FieldError("/query/cursor", "not_allowed", detail)])
