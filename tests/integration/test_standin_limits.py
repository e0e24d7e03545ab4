import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from tests.support import plain_http

KEY = {"authorization": "Bearer sk-byts-stand-in"}
SECOND = {"x-api-key": "sk-byts-second"}
CHAT = "/v1/chat/completions"
# A prompt of a hundred tokens that nobody sent before, and an answer of one.
COST = Decimal(100 * 140_000 + 280_000).scaleb(-12)


@pytest.fixture(scope="module")
def connected() -> Iterator[httpx.Client]:
    with (
        running(Options(keys=frozenset({"sk-byts-stand-in", "sk-byts-second"}))) as root,
        plain_http.client(root, headers=KEY, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def gateway(connected: httpx.Client) -> httpx.Client:
    connected.put("/standin/behaviour", json={}).raise_for_status()
    connected.delete("/standin/ledger").raise_for_status()
    return connected


def limit(gateway: httpx.Client, **limits: Any) -> None:
    behaviour = {"limits": limits, "script": [{"content": "ok", "times": 1000}]}
    gateway.put("/standin/behaviour", json=behaviour).raise_for_status()


def spend(gateway: httpx.Client, number: int, **headers: str) -> httpx.Response:
    prompt = f"{number:04d}".ljust(400, "x")
    body = {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": prompt}]}
    return gateway.post(CHAT, json=body, headers=headers)


def test_a_spend_cap_is_reached_by_real_use_and_opens_at_its_reset(gateway: httpx.Client) -> None:
    limit(gateway, spend_caps=[{"window_s": 4, "usd": str(COST * 2)}])
    first = [spend(gateway, number) for number in range(2)]
    refused = spend(gateway, 2)

    assert [answer.status_code for answer in first] == [200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_error")
    assert Decimal(refused.headers["x-ratelimit-remaining"]) == 0
    reset = int(refused.headers["x-ratelimit-reset"])
    assert time.time() < reset <= time.time() + 5
    assert spend(gateway, 3, **SECOND).status_code == 200
    threading.Event().wait(max(0.0, reset - time.time()))
    assert spend(gateway, 4).status_code == 200


def test_the_tightest_of_several_caps_wins(gateway: httpx.Client) -> None:
    caps = [
        {"window_s": 18_000, "usd": "5"},
        {"window_s": 86_400, "usd": "0.5"},
        {"window_s": 604_800, "usd": "0"},
    ]
    limit(gateway, spend_caps=caps)
    assert spend(gateway, 10).headers["x-ratelimit-limit"] == "0.500000"
    after = gateway.get("/v1/models").headers
    left = (Decimal("0.5") - COST).quantize(Decimal("0.000001"), rounding="ROUND_DOWN")
    assert Decimal(after["x-ratelimit-remaining"]) == left
    assert int(after["x-ratelimit-reset"]) - time.time() == pytest.approx(86_400, abs=5)


def test_the_lifetime_quota_is_the_keys_and_the_wallet_is_everybodys(gateway: httpx.Client) -> None:
    limit(gateway, spend_caps=[], key_quota_usd=str(COST), wallet_usd=str(COST * 2))
    codes = [
        spend(gateway, 20),
        spend(gateway, 21),
        spend(gateway, 22, **SECOND),
        spend(gateway, 23, **SECOND),
    ]
    assert [answer.status_code for answer in codes] == [200, 402, 200, 402]
    assert [codes[1].json()["error"]["code"], codes[3].json()["error"]["code"]] == [
        "quota_exceeded",
        "insufficient_balance",
    ]
    assert Decimal(codes[1].headers["x-quota-remaining-credits"]) == 0
    assert Decimal(codes[3].headers["x-org-quota-remaining-credits"]) == 0
    balance = gateway.get("/api/v1/me/account").json()["balance"]
    assert balance == {"available_usd": "0", "low_balance_flagged": True}


def test_models_that_are_missing_or_of_another_group_are_refused_and_not_listed(
    gateway: httpx.Client,
) -> None:
    behaviour = {"missing_models": ["deepseek-v3-2"], "models_not_in_group": ["deepseek-v4-pro"]}
    gateway.put("/standin/behaviour", json=behaviour).raise_for_status()

    def code(model: str) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
        return str(gateway.post(CHAT, json=body).json()["error"]["code"])

    assert (code("deepseek-v3-2"), code("deepseek-v4-pro")) == ("model_not_found", "model_not_in_group")
    listed = [model["id"] for model in gateway.get("/v1/models").json()["data"]]
    allowed = [model["model"] for model in gateway.get("/api/v1/me/account").json()["allowed_models"]]
    assert listed == ["deepseek-v4-flash", "deepseek-v4-pro"]
    assert allowed == ["deepseek-v4-flash"]


@pytest.mark.parametrize(
    ("model", "fields", "refused"),
    [
        ("deepseek-v4-flash", {"max_tokens": 5, "response_format": {"type": "json_object"}}, None),
        ("deepseek-v4-flash", {"temperature": 0}, "temperature"),
        ("deepseek-v4-flash", {"stream": True, "stream_options": {"include_usage": True}}, "stream_options"),
        ("deepseek-v4-pro", {"temperature": 0, "seed": 1, "reasoning": {"enabled": True}}, None),
        ("deepseek-v3-2", {"temperature": 0, "reasoning": {"enabled": False}}, "reasoning"),
    ],
)
def test_strict_fields_refuses_by_name_what_the_models_page_leaves_out(
    gateway: httpx.Client, model: str, fields: dict[str, Any], refused: str | None
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}], **fields}
    assert gateway.post(CHAT, json=body).status_code == 200
    gateway.put("/standin/behaviour", json={"odd": {"strict_fields": True}}).raise_for_status()
    answer = gateway.post(CHAT, json=body)
    if refused is None:
        assert answer.status_code == 200
    else:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_param", refused)
        assert refused in error["message"]


TOOL = {"type": "function", "function": {"name": "read"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
SCHEMA = {"name": "x", "schema": {"type": "string", "pattern": "^a"}}
USER = {"role": "user", "content": "read"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tools": []}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools"),
        ({"tools": [{"type": "retrieval"}]}, "tools"),
        (
            {"tools": [{"type": "function", "function": {"name": "read", "parameters": {"type": "wood"}}}]},
            "tools",
        ),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "write"}}},
            "tool_choice",
        ),
        ({"messages": [USER, {"role": "tool", "content": "x", "tool_call_id": "c1"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_object", "json_schema": SCHEMA}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, "response_format"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"top_p": 1.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"seed": "one"}, "seed"),
        ({"user": 7}, "user"),
    ],
)
def test_fields_that_contradict_each_other_are_refused_by_name(
    gateway: httpx.Client, fields: dict[str, Any], param: str
) -> None:
    body = {"model": "deepseek-v4-flash", "messages": [USER], **fields}
    error = gateway.post(CHAT, json=body).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_param", param)
    assert gateway.get("/standin/ledger").json()["rows"][0]["outcome"] == "not_billed"


def test_tools_count_as_input(gateway: httpx.Client) -> None:
    body = {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": "hello"}]}
    without = gateway.post(CHAT, json=body).json()["usage"]["prompt_tokens"]
    with_tools = gateway.post(CHAT, json={**body, "tools": [TOOL]}).json()["usage"]["prompt_tokens"]
    assert with_tools > without
