from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from patchmill.dev.standin.wire_cases import CASES, Ending
from tests.support.stack import until

KEYS = ("sk-byts-stand-in", "sk-byts-second")
MODELS = ("deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2", "no-such-model")
CHAT = "/v1/chat/completions"
FAULTS = ("500", "429_spend", "402", "truncate", "stream_error", "html_200", "empty", "stall")
ENDING = [name for name, case in CASES.items() if case.ending is not Ending.STALL and "S10" not in name]
TOOL = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}

REQUESTS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "stream": st.booleans(),
        "prompt": st.text(alphabet="aé€ \n", max_size=300),
    },
    optional={
        "max_tokens": st.integers(0, 9000),
        "n": st.integers(1, 3),
        "tools": st.just([TOOL]),
        "tool_choice": st.just("required"),
        "response_format": st.just({"type": "json_object"}),
        "reasoning": st.just({"enabled": True}),
    },
)
STRIKES = st.one_of(
    st.none(),
    st.sampled_from(FAULTS).map(lambda name: {"fault": name}),
    st.sampled_from(ENDING).map(lambda name: {"wire_case": name}),
)
STEPS = st.lists(st.tuples(REQUESTS, STRIKES, st.sampled_from(KEYS), st.booleans()), max_size=8)

PATIENCE_S = 30.0  # for what is asked beside the requests under test


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with (
        running(Options(keys=frozenset(KEYS))) as root,
        httpx.Client(base_url=root, headers={"x-api-key": KEYS[0]}, timeout=0.3) as client,
    ):
        yield client


def ask(gateway: httpx.Client, request: dict[str, Any], key: str, *, leaves: bool) -> None:
    """Send one request; some clients leave after the first bytes, and no client minds what it gets."""
    fields = {name: value for name, value in request.items() if name != "prompt"}
    sent = {**fields, "messages": [{"role": "user", "content": request["prompt"]}]}
    try:
        with gateway.stream("POST", CHAT, json=sent, headers={"x-api-key": key}) as answer:
            for _ in answer.iter_raw():
                if leaves:
                    break
    except httpx.TransportError:
        pass


def settled(gateway: httpx.Client) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        ledger: dict[str, Any] = gateway.get("/standin/ledger", timeout=PATIENCE_S).json()
        return ledger if ledger["in_flight"] == 0 else None

    ended: dict[str, Any] = until(look, "no request in flight")
    return ended


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_request_has_one_row_and_every_total_is_the_sum_of_the_rows(
    gateway: httpx.Client, steps: list[tuple[dict[str, Any], dict[str, Any] | None, str, bool]]
) -> None:
    gateway.delete("/standin/ledger", timeout=PATIENCE_S).raise_for_status()
    for request, strike, key, leaves in steps:
        faults = [] if strike is None else [strike]
        changed = gateway.put("/standin/behaviour", json={"faults": faults}, timeout=PATIENCE_S)
        changed.raise_for_status()
        ask(gateway, request, key, leaves=leaves)

    ledger = settled(gateway)
    rows = ledger["rows"]
    assert len(rows) == ledger["requests"] == len(steps)
    assert len({row["request_id"] for row in rows}) == len(rows)
    for row in rows:
        if row["outcome"] == "not_billed" or row["status"] >= 400:
            assert row["cost_picos"] == row["input_tokens"] == row["output_tokens"] == 0
    billed = [row for row in rows if row["outcome"] == "billed"]
    spent = Decimal(sum(row["cost_picos"] for row in billed)).scaleb(-12)
    buckets = gateway.get("/api/v1/me/usage", params={"group_by": "hour,model"}, timeout=PATIENCE_S).json()[
        "data"
    ]
    assert sum(Decimal(bucket["total_usd"]) for bucket in buckets) == spent
    for name in ("input_tokens", "output_tokens"):
        assert sum(bucket[name] for bucket in buckets) == sum(row[name] for row in billed)
    assert sum(bucket["call_count"] for bucket in buckets) == len(billed)
    account = gateway.get("/api/v1/me/account", timeout=PATIENCE_S)
    assert Decimal(account.json()["balance"]["available_usd"]) == 1_000 - spent
    of_key = Decimal(sum(row["cost_picos"] for row in billed if row["key"] == KEYS[0])).scaleb(-12)
    left = {"x-ratelimit-remaining": 50 - of_key, "x-quota-remaining-credits": 500 - of_key}
    for header, amount in left.items():
        assert Decimal(account.headers[header]) == amount.quantize(Decimal("1e-6"), rounding="ROUND_DOWN")
