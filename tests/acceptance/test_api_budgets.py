import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from patchmill.budget.prices import Price, Rates
from patchmill.store import prices
from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import windows
from tests.support.api import Api, User

RATES = Rates(input_picos=140_000, cached_picos=2_800, output_picos=280_000)


BAD_MONEY: list[Any] = [
    *("-1", "-0", "+1", "1e3", "1E3", "NaN", "Infinity", "-Infinity", "", " ", "abc", "0x10", "1,5", "1_000"),
    *("1 000", " 1", "1 ", "1.", "१", "0.0000000000001", "1.0000000000000000000000000001", "1.5.0"),
    *("9223372.036854775808", "99999999999", "9" * 32, "9" * 5_000),
    *(5, 5.0, True, ["1"], {"usd": "1"}),
]
BAD_TOKENS: list[Any] = [-1, 2**63, 10**30, 1.5, 1.0, True, "10", "NaN", [1]]


@pytest.fixture
def priced(api: Api) -> None:
    price = Price(model=api.settings.model, rates=RATES, valid_from=datetime(2020, 1, 1, tzinfo=UTC))
    with api.engine.begin() as connection:
        if not prices.prices_of(connection, price.model):  # other tests may have added those of other models
            prices.add_prices(connection, [(price, "test")], actor="test")


def request_for(user: User, **changes: Any) -> dict[str, Any]:
    return {
        "name": f"budget {new_id()}",
        "scope": {"kind": "project", "id": f"prj_{user.project_id.hex}"},
        "window": {"kind": "month", "time_zone": "Europe/Berlin"},
        "limit": {"usd": "5.00"},
        **changes,
    }


@pytest.mark.usefixtures("priced")
def test_a_new_budget_is_untouched(user: User) -> None:
    response = user.http.post("/v1/budgets", json=request_for(user, name=f"core {user.project_id}"))

    budget = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/budgets/{budget['id']}"
    assert budget["limit"] == budget["available"] == {"usd": "5", "tokens": None}
    assert budget["settled"] == budget["held"] == budget["uncertain"] == {"usd": "0", "tokens": 0}
    assert budget["at_limit"] == "wait"
    assert (budget["alert_percent"], budget["forecast"]) == ([], {"exhausted_at": None})
    assert budget["window"]["kind"] == "month"
    assert budget["window"]["starts_at"] < budget["created_at"] < budget["window"]["resets_at"]
    assert user.http.get(f"/v1/budgets/{budget['id']}").json() == budget


def test_a_budget_shows_what_its_window_holds(api: Api, user: User) -> None:
    budget = user.http.post(
        "/v1/budgets", json=request_for(user, limit={"usd": "1", "tokens": 10_000})
    ).json()
    budget_id = from_edge("bud", budget["id"])
    with api.engine.begin() as connection:
        connection.execute(
            windows.insert().values(
                id=new_id(),
                budget_id=budget_id,
                starts_at=datetime.fromisoformat(budget["window"]["starts_at"]),
                settled_picos=200_000_000_000,
                settled_tokens=100,
                held_picos=50_000_000_000,
                held_tokens=20,
            )
        )
        connection.execute(
            update(windows)
            .where(windows.c.budget_id == budget_id)
            .values(uncertain_picos=1_000_000_000, uncertain_tokens=3)
        )

    seen = user.http.get(f"/v1/budgets/{budget['id']}").json()

    assert seen["settled"] == {"usd": "0.2", "tokens": 100}
    assert seen["held"] == {"usd": "0.05", "tokens": 20}
    assert seen["uncertain"] == {"usd": "0.001", "tokens": 3}
    assert seen["available"] == {"usd": "0.749", "tokens": 9_877}


def test_budgets_of_project_and_key_are_listed_newest_first(user: User) -> None:
    first = user.http.post("/v1/budgets", json=request_for(user)).json()["id"]
    of_key = {"kind": "key", "id": f"key_{user.key_id.hex}"}
    second = user.http.post("/v1/budgets", json=request_for(user, scope=of_key)).json()

    page = user.http.get("/v1/budgets", params={"limit": 1}).json()
    rest = user.http.get("/v1/budgets", params={"limit": 1, "cursor": page["next_cursor"]}).json()

    assert second["scope"] == of_key
    assert [budget["id"] for budget in page["data"] + rest["data"]] == [second["id"], first]


def test_an_installation_budget_has_no_id_and_is_seen_by_every_project(api: Api, operator: User) -> None:
    body = request_for(operator, scope={"kind": "installation"}, window={"kind": "day"})
    budget = operator.http.post("/v1/budgets", json=body).json()
    other = User(api)

    assert budget["scope"] == {"kind": "installation", "id": None}
    assert other.http.get(f"/v1/budgets/{budget['id']}").status_code == 200
    other.http.close()


def test_another_projects_budget_is_as_if_it_were_not_there(api: Api, user: User) -> None:
    other = User(api)
    budget = other.http.post("/v1/budgets", json=request_for(other)).json()["id"]

    assert user.http.get(f"/v1/budgets/{budget}").status_code == 404
    assert budget not in [item["id"] for item in user.http.get("/v1/budgets").json()["data"]]
    other.http.close()


def test_a_name_is_given_once(user: User) -> None:
    body = request_for(user)
    user.http.post("/v1/budgets", json=body)

    response = user.http.post("/v1/budgets", json=body)

    assert (response.status_code, response.json()["code"]) == (409, "state_conflict")


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    "limit", [{"usd": "0"}, {"usd": "0.00007"}, {"tokens": 10}, {"usd": "5", "tokens": 0}]
)
def test_a_limit_that_no_call_fits_is_refused(user: User, limit: dict[str, Any]) -> None:
    body = request_for(user, limit=limit)

    response = user.http.post("/v1/budgets", json=body)

    assert (response.status_code, response.json()["code"]) == (422, "below_minimum_hold")
    assert body["name"] not in [item["name"] for item in user.http.get("/v1/budgets").json()["data"]]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"scope": {"kind": "team"}}, "/scope/kind"),
        ({"scope": {"kind": "project"}}, "/scope/id"),
        ({"scope": {"kind": "project", "id": f"prj_{new_id().hex}"}}, "/scope/id"),
        ({"scope": {"kind": "key", "id": f"key_{new_id().hex}"}}, "/scope/id"),
        ({"scope": {"kind": "installation", "id": "all"}}, "/scope/id"),
        ({"window": {"kind": "year"}}, "/window/kind"),
        ({"window": {"kind": "day", "time_zone": "Mars/Olympus"}}, "/window/time_zone"),
        ({"window": {"kind": "day", "time_zone": "../../etc/passwd"}}, "/window/time_zone"),
        ({"window": {"kind": "day", "time_zone": ""}}, "/window/time_zone"),
        ({"window": {"kind": "day", "time_zone": "localtime"}}, "/window/time_zone"),
        ({"window": {"kind": "day", "time_zone": "Factory"}}, "/window/time_zone"),
        ({"limit": {}}, "/limit"),
        *(({"limit": {"usd": usd}}, "/limit/usd") for usd in BAD_MONEY),
        *(({"limit": {"tokens": tokens}}, "/limit/tokens") for tokens in BAD_TOKENS),
        ({"limit": {"usd": "1", "tokens": None, "eur": "1"}}, "/limit/eur"),
        ({"alert_percent": [80, 101]}, "/alert_percent/1"),
        ({"alert_percent": [0]}, "/alert_percent/0"),
        ({"alert_percent": [80.5]}, "/alert_percent/0"),
        ({"alert_percent": [True]}, "/alert_percent/0"),
        ({"alert_percent": [80, 80]}, "/alert_percent"),
        ({"alert_percent": 80}, "/alert_percent"),
        ({"at_limit": "stop"}, "/at_limit"),
        ({"limits": {}}, "/limits"),
    ],
)
def test_a_wrong_budget_is_refused(user: User, changes: dict[str, Any], pointer: str) -> None:
    response = user.http.post("/v1/budgets", json=request_for(user, **changes))

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"limit": {"usd": 5}}, "must be text in quotes"),
        ({"window": "day"}, "must be an object"),
        ({"alert_percent": 80}, "must be a list"),
        ({"window": {"kind": "day", "time_zone": "berlin"}}, "did you mean `Europe/Berlin`?"),
        ({"window": {"kind": "day", "time_zone": "CEST"}}, "a time zone, such as UTC or Europe/Berlin"),
        ({"window": {"kind": "day", "time_zone": "GMT+2"}}, "a time zone, such as UTC or Europe/Berlin"),
    ],
)
def test_a_mistake_is_told_in_words_of_json(user: User, changes: dict[str, Any], detail: str) -> None:
    (error,) = user.http.post("/v1/budgets", json=request_for(user, **changes)).json()["errors"]

    assert detail in error["detail"]


@pytest.mark.parametrize("budget", ["bud_1", "job_" + "0" * 32, "bud_" + "0" * 32])
def test_an_unknown_budget_is_not_found(user: User, budget: str) -> None:
    assert user.http.get(f"/v1/budgets/{budget}").status_code == 404


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("axis", ["usd", "tokens"])
def test_what_is_no_json_is_no_limit(user: User, axis: str, literal: str) -> None:
    text = json.dumps(request_for(user)).replace('{"usd": "5.00"}', f'{{"{axis}": {literal}}}')

    response = user.http.post("/v1/budgets", content=text, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")


def test_the_most_that_the_ledger_holds_is_a_limit(user: User) -> None:
    limit = {"usd": "9223372.036854775807", "tokens": 2**63 - 1}

    budget = user.http.post("/v1/budgets", json=request_for(user, limit=limit)).json()

    assert budget["limit"] == budget["available"] == limit


@pytest.mark.parametrize(
    ("window", "hint"),
    [
        ({"kind": "weekly"}, "did you mean `week`?"),
        ({"kind": "year"}, "known: day, hour, month, total, week"),
        ({"kind": "day", "time_zone": "europe/berlin"}, "did you mean `Europe/Berlin`?"),
        ({"kind": "day", "time_zone": "Europe/Berlim"}, "did you mean `Europe/Berlin`?"),
        ({"kind": "day", "time_zone": "CET+1"}, "must be the name of a time zone"),
        ({"kind": "day", "time_zone": "posix/Europe/Berlin"}, "must be the name of a time zone"),
    ],
)
def test_a_window_that_does_not_exist_names_the_nearest(
    user: User, window: dict[str, str], hint: str
) -> None:
    (error,) = user.http.post("/v1/budgets", json=request_for(user, window=window)).json()["errors"]

    assert hint in error["detail"]


def test_shares_are_kept_in_order(user: User) -> None:
    budget = user.http.post("/v1/budgets", json=request_for(user, alert_percent=[95, 80, 100, 1])).json()

    assert budget["alert_percent"] == [1, 80, 95, 100]
