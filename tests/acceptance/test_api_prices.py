"""The price list over HTTP: read, added to, and never changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from patchmill.store.ids import new_id
from patchmill.store.tables import audit
from tests.acceptance.test_api_budgets import BAD_MONEY
from tests.support.api import Api, User


def price(**changes: Any) -> dict[str, Any]:
    return {
        "model": f"model-{new_id()}",
        "input_usd_per_million": "0.14",
        "cached_usd_per_million": "0.0028",
        "output_usd_per_million": "0.28",
        **changes,
    }


def added(user: User, **changes: Any) -> dict[str, Any]:
    response = user.http.post("/v1/prices", json=price(**changes))
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def listed(user: User, **query: Any) -> list[dict[str, Any]]:
    response = user.http.get("/v1/prices", params=query)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def test_a_price_is_added_listed_and_written_down(api: Api, operator: User) -> None:
    peak = {"time_zone": "Asia/Shanghai", "hours": ["9-18"]}
    made = added(operator, peak=peak, source="a page", valid_to="2999-01-01T00:00:00Z")

    assert made["status"] == "current"
    assert made["peak"] == peak
    assert (made["input_usd_per_million"], made["cached_usd_per_million"]) == ("0.14", "0.0028")
    assert made["valid_to"] == "2999-01-01T00:00:00.000000Z"
    assert datetime.fromisoformat(made["valid_from"]) <= datetime.now(UTC) + timedelta(minutes=1)
    assert listed(operator, model=made["model"]) == [made]
    with api.engine.connect() as connection:
        (row,) = connection.execute(select(audit).where(audit.c.subject == made["id"])).all()
    assert (row.action, row.actor) == ("price.add", f"key_{operator.key_id.hex}")
    assert row.details["output_usd_per_million"] == "0.28"


def test_current_prices_come_first_and_pages_follow_each_other(operator: User) -> None:
    model = f"model-{new_id()}"
    past = added(operator, model=model, valid_from="2026-01-01T00:00:00Z")
    upcoming = added(operator, model=model, valid_from="2999-01-01T00:00:00Z")
    current = added(operator, model=model, input_usd_per_million="0.2")

    all_of_it = listed(operator, model=model)
    first = operator.http.get("/v1/prices", params={"model": model, "limit": 2}).json()
    second = operator.http.get(
        "/v1/prices", params={"model": model, "limit": 2, "cursor": first["next_cursor"]}
    ).json()

    assert [each["id"] for each in all_of_it] == [each["id"] for each in (current, upcoming, past)]
    assert [each["status"] for each in all_of_it] == ["current", "upcoming", "past"]
    assert first["data"] + second["data"] == all_of_it
    assert second["next_cursor"] is None
    assert operator.http.get("/v1/prices", params={"cursor": "prc_0"}).status_code == 422


def test_a_model_is_called_from_its_first_price_on(operator: User) -> None:
    made = added(operator)

    models = {each["model"]: each["price"] for each in operator.http.get("/v1/models").json()["data"]}

    assert models[made["model"]]["output_usd_per_million"] == "0.28"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        *(({"input_usd_per_million": rate}, "/input_usd_per_million") for rate in BAD_MONEY),
        ({"cached_usd_per_million": "0.0000001"}, "/cached_usd_per_million"),
        ({"output_usd_per_million": "1000001"}, "/output_usd_per_million"),
        ({"model": ""}, "/model"),
        ({"model": None}, "/model"),
        ({"source": ""}, "/source"),
        ({"valid_from": "yesterday"}, "/valid_from"),
        ({"valid_from": "0001-01-01T00:00:00Z"}, "/valid_from"),
        ({"valid_from": "1999-12-31T23:59:59Z"}, "/valid_from"),
        ({"valid_to": "3000-01-01T00:00:00Z"}, "/valid_to"),
        ({"valid_to": "9999-12-31T23:59:59.999999Z"}, "/valid_to"),
        ({"valid_from": "2026-01-02T00:00:00Z", "valid_to": "2026-01-02T00:00:00Z"}, "/valid_to"),
        ({"valid_to": "2020-01-01T00:00:00Z"}, "/valid_to"),
        ({"peak": "9-18"}, "/peak"),
        ({"peak": {"time_zone": "Asia/Shanghai", "hours": []}}, "/peak/hours"),
        ({"peak": {"time_zone": "Asia/Shanghai", "hours": ["9-25"]}}, "/peak/hours"),
        ({"peak": {"time_zone": "Asia/Shanghai", "hours": [9]}}, "/peak/hours/0"),
        ({"peak": {"time_zone": "Mars/Olympus", "hours": ["9-18"]}}, "/peak/time_zone"),
        ({"peak": {"time_zone": "localtime", "hours": ["9-18"]}}, "/peak/time_zone"),
        ({"price": "1"}, "/price"),
    ],
)
def test_a_wrong_price_adds_nothing(operator: User, changes: dict[str, Any], pointer: str) -> None:
    body = price(**changes)

    response = operator.http.post("/v1/prices", json=body)

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    if body["model"]:
        assert listed(operator, model=body["model"]) == []


def test_reading_needs_a_reader_and_adding_an_admin(api: Api, operator: User) -> None:
    made = added(operator)
    reader, nobody = User(api, ("jobs:read",)), User(api, ("jobs:write",))

    assert listed(reader, model=made["model"]) == [made]
    assert reader.http.post("/v1/prices", json=price()).status_code == 403
    assert nobody.http.get("/v1/prices").status_code == 403
    for someone in (reader, nobody):
        someone.http.close()
