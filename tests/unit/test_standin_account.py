from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from tests.support import plain_http

KEY = {"authorization": "Bearer sk-byts-stand-in"}
ROUTES = ("/api/v1/me/account", "/api/v1/me/usage", "/api/v1/me/billing/transactions", "/v1/models")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Options(keys=frozenset({"sk-byts-stand-in", "sk-byts-second"}))) as root:
        yield root


@pytest.fixture
def gateway(url: str) -> Iterator[httpx.Client]:
    with plain_http.client(url, headers=KEY) as client:
        client.delete("/standin/ledger").raise_for_status()
        client.put("/standin/behaviour", json={}).raise_for_status()
        yield client


def chat(gateway: httpx.Client, model: str = "deepseek-v4-flash", **headers: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
    return gateway.post("/v1/chat/completions", json=body, headers=headers)


def usage(gateway: httpx.Client, **query: str) -> list[dict[str, Any]]:
    answer = gateway.get("/api/v1/me/usage", params=query)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def billed(gateway: httpx.Client) -> list[dict[str, Any]]:
    rows = gateway.get("/standin/ledger").json()["rows"]
    return [row for row in rows if row["outcome"] == "billed"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_key_is_asked_for_as_by_the_chat_route(url: str, route: str) -> None:
    for headers in ({}, {"authorization": "Bearer sk-wrong"}, {**KEY, "x-api-key": "sk-wrong"}):
        answer = plain_http.get(url + route, headers=headers)

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("route", [*ROUTES, "/api/v1/me/nowhere"])
def test_every_answer_carries_the_quota_headers(gateway: httpx.Client, route: str) -> None:
    headers = gateway.get(route).headers

    for name in ("limit", "remaining", "reset"):
        assert f"x-ratelimit-{name}" in headers
    assert {"x-quota-remaining-credits", "x-org-quota-remaining-credits"} <= set(headers)


def test_the_account_shows_what_is_left_and_the_models(gateway: httpx.Client) -> None:
    before = gateway.get("/api/v1/me/account").json()
    assert chat(gateway).status_code == 200
    after = gateway.get("/api/v1/me/account").json()

    spent = Decimal(before["balance"]["available_usd"]) - Decimal(after["balance"]["available_usd"])
    assert spent == Decimal(billed(gateway)[0]["cost_picos"]).scaleb(-12)
    assert spent > 0
    assert after["balance"]["low_balance_flagged"] is False
    catalogue = {model["id"] for model in gateway.get("/v1/models").json()["data"]}
    assert {model["model"] for model in after["allowed_models"]} == catalogue


def test_a_wallet_that_runs_low_is_flagged() -> None:
    with running(Options(org_quota_usd=0)) as root:
        balance = plain_http.get(f"{root}/api/v1/me/account", headers=KEY).json()["balance"]

    assert balance == {"available_usd": "0", "low_balance_flagged": True}


def test_usage_is_the_truth_ledger_in_buckets_for_all_keys(gateway: httpx.Client) -> None:
    chat(gateway)
    chat(gateway, "deepseek-v4-pro")
    chat(gateway, **{"x-api-key": "sk-byts-second"})
    assert chat(gateway, "no-such-model").status_code == 400

    rows = billed(gateway)
    by_model = {bucket["model"]: bucket for bucket in usage(gateway, group_by="hour,model")}

    assert [by_model[name]["call_count"] for name in sorted(by_model)] == [2, 1]
    for name, bucket in by_model.items():
        mine = [row for row in rows if row["model"] == name]
        assert Decimal(bucket["total_usd"]).scaleb(12) == sum(row["cost_picos"] for row in mine)
        assert bucket["input_tokens"] == sum(row["input_tokens"] for row in mine)
        assert bucket["output_tokens"] == sum(row["output_tokens"] for row in mine)
        assert datetime.fromisoformat(bucket["hour"]).minute == 0
    (whole,) = usage(gateway)
    assert whole["call_count"] == 3


def test_usage_is_cut_to_the_span_that_is_asked_for(gateway: httpx.Client) -> None:
    chat(gateway)
    now = datetime.now(UTC)

    assert usage(gateway, until=(now - timedelta(hours=1)).isoformat()) == []
    assert usage(gateway, since=(now + timedelta(hours=1)).isoformat(), until="2999-01-01T00:00:00Z") == []
    assert len(usage(gateway, since="1999-01-01T00:00:00Z", group_by="model")) == 1
    told = gateway.get("/api/v1/me/usage", params={"since": "1999-01-01T00:00:00Z"}).json()["since"]
    assert now - datetime.fromisoformat(told) < timedelta(days=91)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"since": "0001-01-01T00:00:00+23:59"}, "since"),
        ({"until": "1999-01-01T00:00:00Z"}, "until"),
        ({"group_by": "key"}, "group_by"),
    ],
)
def test_a_wrong_question_is_refused_by_the_name_of_the_field(
    gateway: httpx.Client, query: dict[str, str], param: str
) -> None:
    answer = gateway.get("/api/v1/me/usage", params=query)

    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("invalid_param", param)


def test_the_one_payment_says_that_it_is_made_up(gateway: httpx.Client) -> None:
    (payment,) = gateway.get("/api/v1/me/billing/transactions").json()["data"]

    assert (payment["type"], payment["amount_usd"]) == ("top_up", "1000")
    assert "stand-in" in payment["description"]


FAULTS = {"401": 401, "404": 404, "500": 500, "503": 503, "html_200": 200, "garbage": 200}


@pytest.mark.parametrize("name", ["account", "usage", "billing/transactions"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_account_that_is_to_fail_tells_nothing(gateway: httpx.Client, name: str, fault: str) -> None:
    gateway.post("/standin/behaviour", json={"account": {"fault": fault}}).raise_for_status()

    answer = gateway.get(f"/api/v1/me/{name}")

    assert answer.status_code == FAULTS[fault]
    assert "available_usd" not in answer.text
    assert "total_usd" not in answer.text


def test_buckets_lag_and_are_filed_by_another_clock(gateway: httpx.Client) -> None:
    chat(gateway)

    def hours(**account: float) -> list[str]:
        gateway.post("/standin/behaviour", json={"account": account}).raise_for_status()
        told = gateway.get("/api/v1/me/usage", params={"group_by": "hour"}).json()["data"]
        return [bucket["hour"] for bucket in told]

    [on_time] = hours()
    [earlier] = hours(clock_s=-7200)

    assert hours(lag_s=3600) == []
    assert datetime.fromisoformat(on_time) - datetime.fromisoformat(earlier) == timedelta(hours=2)
