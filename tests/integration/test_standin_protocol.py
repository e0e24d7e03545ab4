import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running

QUOTA_HEADERS = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-quota-remaining-credits",
    "x-org-quota-remaining-credits",
)
KEY = {"authorization": "Bearer sk-byts-stand-in"}
FILE = """File `app.py` (python), whole:
```python
import os
näme = '€'
```

Findings to fix:
1. line 1, columns 8-10: ruff F401: `os` imported but unused
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Options(keys=frozenset({"sk-byts-stand-in", "sk-byts-second"}))) as root:
        yield root


@pytest.fixture(scope="module")
def connected(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=KEY) as client:
        yield client


@pytest.fixture
def gateway(connected: httpx.Client) -> httpx.Client:
    connected.put("/standin/behaviour", json={}).raise_for_status()
    connected.delete("/standin/ledger").raise_for_status()
    return connected


def body(prompt: str = "hello", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "rules"}, {"role": "user", "content": prompt}]
    return {"model": "deepseek-v4-flash", "messages": messages, **fields}


def chat(gateway: httpx.Client, prompt: str = "hello", **fields: Any) -> httpx.Response:
    return gateway.post("/v1/chat/completions", json=body(prompt, **fields))


def frames(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def script(gateway: httpx.Client, content: str, times: int = 1) -> None:
    answers = [{"content": content, "times": times}]
    gateway.put("/standin/behaviour", json={"script": answers}).raise_for_status()


def test_a_plain_answer_has_the_fields_of_the_protocol(gateway: httpx.Client) -> None:
    script(gateway, "fine")
    response = chat(gateway)
    answer = response.json()
    assert response.status_code == 200
    assert answer["object"] == "chat.completion"
    assert answer["id"] == response.headers["x-request-id"]
    assert answer["model"] == "deepseek-v4-flash"
    assert answer["system_fingerprint"] == "stand-in"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "fine"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["prompt_tokens"] == 3
    assert answer["usage"]["completion_tokens"] == 1
    assert answer["usage"]["total_tokens"] == 4


def test_the_streamed_answer_is_the_plain_one(gateway: httpx.Client) -> None:
    plain = chat(gateway, FILE).json()
    streamed = frames(chat(gateway, FILE, stream=True, stream_options={"include_usage": True}))
    deltas = [frame["choices"][0]["delta"] for frame in streamed if frame["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == plain["choices"][0]["message"]["content"]
    assert streamed[-2]["choices"][0]["finish_reason"] == "stop"
    assert streamed[-1]["choices"] == []
    assert streamed[-1]["usage"] == plain["usage"]
    assert {frame["system_fingerprint"] for frame in streamed} == {"stand-in"}
    assert len(deltas) > 5


def test_a_stream_has_no_usage_unless_asked_for(gateway: httpx.Client) -> None:
    assert all("usage" not in frame for frame in frames(chat(gateway, stream=True)))


def test_the_same_request_gets_the_same_answer(gateway: httpx.Client) -> None:
    first, second = (chat(gateway, FILE).json()["choices"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic sk-byts-stand-in"}, 401),
        ({"authorization": "bearer sk-byts-second"}, 200),
        ({"x-api-key": "sk-byts-second"}, 200),
        ({"x-api-key": "wrong", "authorization": "Bearer sk-byts-stand-in"}, 401),
        ({"x-api-key": "sk-byts-stand-in", "authorization": "Bearer wrong"}, 200),
    ],
)
def test_the_key_decides_and_x_api_key_wins(url: str, headers: dict[str, str], status: int) -> None:
    response = httpx.post(f"{url}/v1/chat/completions", json=body(), headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": "gpt-9"}, "model_not_found", "model"),
        ({"model": 7}, "invalid_param", "model"),
        ({"messages": "hello"}, "invalid_param", "messages"),
        ({"messages": []}, "invalid_param", "messages"),
        ({"messages": [{"role": "clown", "content": "x"}]}, "invalid_param", "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "invalid_param",
            "messages",
        ),
        ({"max_tokens": 0}, "invalid_param", "max_tokens"),
        ({"max_tokens": "many"}, "invalid_param", "max_tokens"),
        ({"max_tokens": 1.5}, "invalid_param", "max_tokens"),
        ({"max_tokens": 8_193}, "invalid_param", "max_tokens"),
        ({"model": "deepseek-v3-2", "max_tokens": 8_193}, "invalid_param", "max_tokens"),
        ({"model": "deepseek-v4-pro", "max_tokens": 16_385}, "invalid_param", "max_tokens"),
        ({"n": 9}, "invalid_param", "n"),
        ({"temperature": 3}, "invalid_param", "temperature"),
        ({"stream": "yes"}, "invalid_param", "stream"),
        ({"stop": 7}, "invalid_param", "stop"),
        ({"tools": {}}, "invalid_param", "tools"),
        ({"reasoning": {"enabled": True}}, "invalid_param", "reasoning"),
        (
            {"model": "deepseek-v3-2", "response_format": {"type": "json_schema"}},
            "invalid_param",
            "response_format",
        ),
    ],
)
def test_a_bad_field_is_refused_by_name(
    gateway: httpx.Client, fields: dict[str, Any], code: str, param: str
) -> None:
    response = gateway.post("/v1/chat/completions", json={**body(), **fields})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param)
    assert error["type"] == "invalid_request_error"
    if code == "invalid_param":
        assert param in error["message"]


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(gateway: httpx.Client, content: bytes) -> None:
    response = gateway.post("/v1/chat/completions", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_param"


@pytest.mark.parametrize(("characters", "status"), [(57_344 * 4 - 5, 200), (57_344 * 4 - 4, 400)])
def test_prompt_and_answer_share_the_context(gateway: httpx.Client, characters: int, status: int) -> None:
    # "rules" has 5 bytes; with 8,192 for the answer 57,344 tokens are left to the prompt.
    response = chat(gateway, "x" * characters, max_tokens=8_192)
    assert response.status_code == status
    if status == 400:
        error = response.json()["error"]
        assert error["code"] == "context_length_exceeded"
        assert "57345" in error["message"]
        assert "65536" in error["message"]


def test_a_body_over_eight_mebibytes_is_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/v1/chat/completions", content=b" " * (8 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"


def test_unknown_paths_and_methods_are_refused_in_the_envelope(gateway: httpx.Client) -> None:
    assert gateway.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert gateway.post("/v1/nothing").status_code == 404
    wrong_method = gateway.get("/v1/chat/completions")
    assert wrong_method.status_code == 404
    assert wrong_method.json()["error"]["code"] == "not_found"


def test_every_response_carries_the_quota_headers(url: str, gateway: httpx.Client) -> None:
    responses = [
        chat(gateway),
        chat(gateway, stream=True),
        chat(gateway, n=30),
        httpx.post(f"{url}/v1/chat/completions"),
        gateway.get("/v1/nothing"),
        gateway.get("/v1/models"),
    ]
    for response in responses:
        assert [name for name in QUOTA_HEADERS if name not in response.headers] == []
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == len(responses)


def test_the_headers_show_what_is_left(gateway: httpx.Client) -> None:
    script(gateway, "x" * 4_000)
    before = gateway.get("/v1/models").headers
    chat(gateway)
    [row] = gateway.get("/standin/ledger").json()["rows"]
    after = gateway.get("/v1/models").headers
    for name in ("x-ratelimit-remaining", "x-quota-remaining-credits", "x-org-quota-remaining-credits"):
        assert round((float(before[name]) - float(after[name])) * 1e6) == -(-row["cost_picos"] // 10**6)


def test_an_answer_longer_than_max_tokens_is_really_cut(gateway: httpx.Client) -> None:
    script(gateway, "€" * 100, times=2)
    plain = chat(gateway, max_tokens=10).json()
    streamed = frames(chat(gateway, max_tokens=10, stream=True))
    assert plain["choices"][0]["finish_reason"] == "length"
    assert plain["choices"][0]["message"]["content"] == "€" * 13
    assert plain["usage"]["completion_tokens"] == 10
    assert "".join(frame["choices"][0]["delta"].get("content", "") for frame in streamed) == "€" * 13
    assert streamed[-1]["choices"][0]["finish_reason"] == "length"


def test_a_shared_beginning_is_cached_in_blocks_of_64_tokens(gateway: httpx.Client) -> None:
    beginning = "a stable beginning " * 100
    first = chat(gateway, beginning + "one").json()["usage"]
    second = chat(gateway, beginning + "another").json()["usage"]
    assert first["prompt_cache_hit_tokens"] == 0
    # 5 + 1,900 bytes are shared: 476 whole tokens, 7 whole blocks.
    assert second["prompt_cache_hit_tokens"] == 7 * 64
    assert second["prompt_tokens_details"] == {"cached_tokens": 7 * 64}
    assert second["prompt_cache_miss_tokens"] == second["prompt_tokens"] - 7 * 64


def test_models_do_not_share_their_cache(gateway: httpx.Client) -> None:
    prompt = "only for this test " * 100
    chat(gateway, prompt)
    usage = chat(gateway, prompt, model="deepseek-v4-pro").json()["usage"]
    assert usage["prompt_cache_hit_tokens"] == 0


def test_reasoning_is_apart_and_counts_as_output(gateway: httpx.Client) -> None:
    script(gateway, "done", times=2)
    ask: dict[str, Any] = {"model": "deepseek-v4-pro", "reasoning": {"enabled": True}}
    plain = chat(gateway, **ask).json()
    streamed = frames(chat(gateway, stream=True, **ask))
    message = plain["choices"][0]["message"]
    reasoning_tokens = plain["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert message["content"] == "done"
    assert plain["usage"]["completion_tokens"] == reasoning_tokens + 1
    deltas = [frame["choices"][0]["delta"] for frame in streamed]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == message["reasoning_content"]


def test_stop_ends_the_answer_before_the_text(gateway: httpx.Client) -> None:
    content = chat(gateway, stop=["not a", "model"]).json()["choices"][0]["message"]["content"]
    assert content.endswith("which is ")


def test_json_mode_answers_with_a_json_document(gateway: httpx.Client) -> None:
    answer = chat(gateway, FILE, response_format={"type": "json_object"}).json()
    assert "<<<<<<< SEARCH" in json.loads(answer["choices"][0]["message"]["content"])["answer"]


def test_the_catalogue_needs_a_key_and_lists_the_models(url: str, gateway: httpx.Client) -> None:
    assert httpx.get(f"{url}/v1/models").status_code == 401
    ids = [model["id"] for model in gateway.get("/v1/models").json()["data"]]
    assert ids == ["deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"]
