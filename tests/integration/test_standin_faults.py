import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.stack import until

KEY = {"authorization": "Bearer sk-byts-stand-in"}
CHAT = "/v1/chat/completions"


def behave(gateway: httpx.Client, **behaviour: Any) -> None:
    gateway.put("/standin/behaviour", json=behaviour).raise_for_status()


def body(prompt: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "deepseek-v4-flash", "messages": [{"role": "user", "content": prompt}], **fields}


def rows(gateway: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.get("/standin/ledger").json()["rows"]
    return found


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("400", 400, "invalid_param"),
        ("401", 401, "invalid_api_key"),
        ("400_context", 400, "context_length_exceeded"),
        ("402", 402, "insufficient_balance"),
        ("402_quota", 402, "quota_exceeded"),
        ("403", 403, "model_not_in_group"),
        ("403_address", 403, "permission_denied"),
        ("404", 404, "not_found"),
        ("413", 413, "request_too_large"),
        ("422", 422, "unprocessable_content"),
        ("429_concurrency", 429, "concurrency_limit"),
        ("429_spend", 429, "rate_limit_error"),
        ("500", 500, "internal_error"),
        ("502", 502, "upstream_error"),
        ("503", 503, "no_capacity"),
        ("504", 504, "upstream_timeout"),
    ],
)
def test_an_error_on_demand_is_in_the_envelope_and_not_billed(
    gateway: httpx.Client, fault: str, status: int, code: str
) -> None:
    behave(gateway, faults=[{"fault": fault}])
    refused = gateway.post(CHAT, json=body(stream=True))
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert "x-ratelimit-limit" in refused.headers
    assert gateway.post(CHAT, json=body()).status_code == 200
    first = rows(gateway)[0]
    assert (first["status"], first["outcome"], first["cost_picos"]) == (status, "not_billed", 0)


def test_a_spend_cap_says_exactly_when_it_resets(gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "429_spend"}])
    headers = gateway.post(CHAT, json=body()).headers
    assert 1 <= int(headers["x-ratelimit-reset"]) - time.time() <= 5
    assert float(headers["x-ratelimit-remaining"]) == 0


def test_a_fault_strikes_only_prompts_that_match_and_so_many_times(gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "503", "times": 2, "match": "unlucky"}])
    prompts = ["lucky", "an unlucky one", "lucky", "unlucky", "unlucky"]
    statuses = [gateway.post(CHAT, json=body(prompt)).status_code for prompt in prompts]
    assert statuses == [200, 503, 200, 503, 200]


def test_scripted_answers_are_used_up_in_order(gateway: httpx.Client) -> None:
    behave(
        gateway,
        script=[{"content": "for b", "match": "b"}, {"content": "first"}, {"content": "more", "times": 2}],
    )
    answers = [gateway.post(CHAT, json=body(prompt)).json() for prompt in ("a", "b", "a", "a", "a")]
    contents = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert contents[:4] == ["first", "for b", "more", "more"]
    assert contents[4].startswith("NO CHANGE: ")


def test_a_concurrency_that_is_not_set_is_shown_as_it_was_started_with(gateway: httpx.Client) -> None:
    started_with = gateway.get("/standin/behaviour").json()["concurrency"]

    shown = gateway.put("/standin/behaviour", json={"concurrency": 3}).json()
    reset = gateway.put("/standin/behaviour", json={}).json()

    assert (shown["concurrency"], reset["concurrency"]) == (3, started_with)
    assert started_with == 25


def test_behaviour_shows_what_is_left(gateway: httpx.Client) -> None:
    behave(gateway, latency_ms=1, faults=[{"fault": "500", "times": 2}, {"fault": "502"}])
    gateway.post(CHAT, json=body())
    shown = gateway.get("/standin/behaviour").json()
    assert shown["latency_ms"] == 1
    assert [(fault["fault"], fault["times"]) for fault in shown["faults"]] == [("500", 1), ("502", 1)]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'{"latency_ms": -1}', "latency_ms"),
        (b'{"latency": 1}', "latency"),
        (b'{"faults": [{"fault": "418"}]}', "faults.0.fault"),
        (b'{"script": [{"times": 1}]}', "script.0.content"),
        (b"nonsense", "body"),
        (b"[]", "body"),
    ],
)
def test_a_wrong_behaviour_is_refused_by_name(gateway: httpx.Client, content: bytes, where: str) -> None:
    refused = gateway.put("/standin/behaviour", content=content)
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith(f"{where}: ")


@pytest.mark.parametrize("stream", [False, True])
def test_truncate_closes_the_connection_in_the_middle_and_bills(gateway: httpx.Client, stream: bool) -> None:  # noqa: FBT001 - a parameter of the test
    behave(gateway, faults=[{"fault": "truncate"}], script=[{"content": "0123456789" * 10}])
    received = bytearray()

    def read() -> None:
        with gateway.stream("POST", CHAT, json=body(stream=stream)) as response:
            assert response.status_code == 200
            for part in response.iter_raw():
                received.extend(part)

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert b"[DONE]" not in received
    assert b'finish_reason":"stop' not in received
    [row] = rows(gateway)
    assert (row["outcome"], row["finish"]) == ("billed", "truncated")
    assert row["output_tokens"] == (13 if stream else 25)


def test_a_stream_error_ends_the_stream_with_an_error_frame_and_is_not_billed(
    gateway: httpx.Client,
) -> None:
    behave(gateway, faults=[{"fault": "stream_error"}], script=[{"content": "half of this"}])
    response = gateway.post(CHAT, json=body(stream=True))
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert response.status_code == 200
    assert json.loads(events[-1])["error"]["code"] == "internal_error"
    assert json.loads(events[1])["choices"][0]["delta"]["content"] == "half o"
    [row] = rows(gateway)
    assert (row["outcome"], row["finish"], row["cost_picos"]) == ("not_billed", "stream_error", 0)


def test_an_html_page_comes_with_status_200_and_is_not_billed(gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "html_200"}])
    response = gateway.post(CHAT, json=body(stream=True))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert rows(gateway)[0]["outcome"] == "not_billed"


def test_an_empty_answer_is_billed_for_its_input(gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "empty"}])
    answer = gateway.post(CHAT, json=body("four tokens here"))
    assert answer.json()["choices"][0]["message"]["content"] == ""
    [row] = rows(gateway)
    assert (row["outcome"], row["output_tokens"], row["cost_picos"]) == ("billed", 0, 4 * 140_000)


def test_a_stall_sends_headers_only_and_bills_the_input(gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "stall"}])
    with gateway.stream("POST", CHAT, json=body("12345678", stream=True), timeout=2) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        with pytest.raises(httpx.ReadTimeout):
            response.read()
    until(lambda: len(rows(gateway)) == 1, "a row")
    [row] = rows(gateway)
    assert (row["finish"], row["outcome"], row["output_tokens"]) == ("client_closed", "billed", 0)
    assert row["cost_picos"] == 2 * 140_000


def test_a_held_request_waits_for_its_release(url: str, gateway: httpx.Client) -> None:
    behave(gateway, faults=[{"fault": "hold", "times": 2}])
    with ThreadPoolExecutor(2) as threads:
        asked = [
            threads.submit(httpx.post, f"{url}{CHAT}", json=body(), headers=KEY, timeout=10) for _ in range(2)
        ]
        until(lambda: gateway.get("/standin/health").json()["holding"] == 2, "two held")
        assert not any(one.done() for one in asked)
        assert gateway.get("/standin/ledger").json()["in_flight"] == 2
        assert gateway.post("/standin/release").json() == {"released": 2}
        assert [one.result().status_code for one in asked] == [200, 200]


def test_past_the_concurrency_cap_requests_are_refused_at_once(url: str, gateway: httpx.Client) -> None:
    behave(gateway, concurrency=2, faults=[{"fault": "hold", "times": 2}])
    with ThreadPoolExecutor(2) as threads:
        asked = [
            threads.submit(httpx.post, f"{url}{CHAT}", json=body(), headers=KEY, timeout=10) for _ in range(2)
        ]
        until(lambda: gateway.get("/standin/health").json()["holding"] == 2, "two held")
        refused = gateway.post(CHAT, json=body())
        gateway.post("/standin/release")
        assert [one.result().status_code for one in asked] == [200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "concurrency_limit")
    assert gateway.post(CHAT, json=body()).status_code == 200
    assert gateway.get("/standin/ledger").json()["peak_in_flight"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_delays_are_kept(gateway: httpx.Client, stream: bool) -> None:  # noqa: FBT001 - a parameter of the test
    behave(gateway, latency_ms=60, first_token_ms=60, script=[{"content": "x"}])
    started = time.monotonic()
    gateway.post(CHAT, json=body(stream=stream))
    assert time.monotonic() - started >= 0.12
