from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from patchmill.cli.installation import PRICES
from patchmill.job.circuit import Condition, Trip, Why
from patchmill.store import circuits, models
from patchmill.store.prices import add_prices_if_none
from patchmill.store.tables import prices
from tests.support.api import Api, User, running_api
from tests.support.prices import changeable_prices

FLASH, PRO, OLDER = "deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"


@pytest.fixture
def priced(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    with running_api(database_url, redis_url, tmp_path) as api:
        with api.engine.begin() as connection:
            add_prices_if_none(connection, PRICES, "test")
        yield api


@pytest.fixture
def reader(priced: Api) -> Iterator[User]:
    made = User(priced)
    yield made
    made.http.close()


def listed(user: User) -> dict[str, dict[str, Any]]:
    answer = user.http.get("/v1/models")
    assert answer.status_code == 200, answer.text
    assert answer.json()["next_cursor"] is None
    return {each["model"]: each for each in answer.json()["data"]}


def test_models_are_told_as_they_are_documented_with_price_and_role(reader: User) -> None:
    told = listed(reader)

    assert list(told) == sorted([FLASH, PRO, OLDER])
    assert [told[name]["roles"] for name in (FLASH, PRO, OLDER)] == [["first"], ["escalation"], ["fallback"]]
    assert told[FLASH]["price"] == {
        "input_usd_per_million": "0.14",
        "cached_usd_per_million": "0.003",
        "output_usd_per_million": "0.28",
    }
    assert (told[PRO]["context_tokens"], told[PRO]["output_tokens"]) == (65_536, 16_384)
    assert (told[PRO]["reasoning"], told[FLASH]["reasoning"]) == (True, False)
    assert (told[OLDER]["json_object"], told[OLDER]["json_schema"]) == (True, False)
    assert (told[FLASH]["state"], told[FLASH]["reason"], told[FLASH]["tried_at"]) == ("ok", None, None)


def test_what_was_learned_takes_the_place_of_the_documents(priced: Api, reader: User) -> None:
    with priced.engine.begin() as connection:
        models.store_capability(connection, "local", {"json_object": True, "output_tokens": 99})
        models.store_capability(connection, FLASH, {"usage_in_streams": False})
        models.drop_parameter(connection, FLASH, "response_format")

    told = listed(reader)

    assert (told["local"]["output_tokens"], told["local"]["context_tokens"]) == (99, None)
    assert (told["local"]["documented"], told["local"]["price"], told["local"]["roles"]) == (False, None, [])
    assert told["local"]["tried_at"]
    assert (told[FLASH]["streamed"], told[FLASH]["dropped"]) == (False, ["response_format"])
    assert (told[FLASH]["json_object"], told[FLASH]["json_schema"]) == (False, False)
    assert "response_format" not in told[FLASH]["fields"]


def test_a_model_that_is_out_of_reach_says_so(priced: Api, reader: User) -> None:
    trip = Trip(name=PRO, state=Condition.OFF, why=Why.MODEL_NOT_IN_GROUP, message="not yours")
    with priced.engine.begin() as connection:
        circuits.trip(connection, trip, probe_after_s=None)

    told = listed(reader)[PRO]

    assert (told["state"], told["reason"], told["message"]) == ("off", "model_not_in_group", "not yours")


def test_roles_are_those_of_the_project(reader: User) -> None:
    policy = {"policy": {"model": PRO, "fallback_model": PRO, "escalation_model": OLDER}}
    project = reader.http.get("/v1/projects").json()["data"][0]["id"]
    assert reader.http.patch(f"/v1/projects/{project}", json=policy).status_code == 200

    told = listed(reader)

    roles = [told[name]["roles"] for name in (PRO, OLDER, FLASH)]
    assert roles == [["first", "fallback"], ["escalation"], []]


def test_a_price_that_ended_is_none(priced: Api, reader: User) -> None:
    with changeable_prices(priced.engine) as connection:
        connection.execute(update(prices).where(prices.c.model == OLDER).values(valid_to="2026-01-02"))

    assert listed(reader)[OLDER]["price"] is None


def test_a_key_is_needed_and_unknown_parameters_are_refused(priced: Api, reader: User) -> None:
    with priced.client() as nobody:
        assert nobody.get("/v1/models").status_code == 401
    assert reader.http.get("/v1/models?page=2").status_code == 422
