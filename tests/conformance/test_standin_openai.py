"""OpenAI's own client against the stand-in, whose protocol is documented to be OpenAI's."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from patchmill.dev.standin.server import running
from tests.support import plain_http

KEY = "sk-byts-stand-in"
FLASH, PRO, OLD = "deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Use read_file, then list_files."}]
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "minLength": 3},
        "first_line": {"type": "integer", "minimum": 1},
        "encoding": {"enum": ["utf-8", "latin-1"]},
    },
    "required": ["path", "first_line", "encoding"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "edits": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/edit"}},
        "why": {"type": ["string", "null"]},
    },
    "required": ["edits", "why"],
    "$defs": {"edit": {"type": "object", "properties": {"line": {"type": "integer"}}, "required": ["line"]}},
}


def tool(name: str, parameters: dict[str, Any] | None = None) -> ChatCompletionToolParam:
    return {"type": "function", "function": {"name": name, "parameters": parameters or {"type": "object"}}}


TOOLS = [tool("read_file", PARAMETERS), tool("list_files"), tool("delete_all")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as root:
        yield root


@pytest.fixture(scope="module")
def connected(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def client(url: str, connected: openai.OpenAI) -> openai.OpenAI:
    behave(url)
    plain_http.send("DELETE", f"{url}/standin/ledger").raise_for_status()
    return connected


def behave(url: str, **behaviour: Any) -> None:
    plain_http.send("PUT", f"{url}/standin/behaviour", json=behaviour).raise_for_status()


def rows(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain_http.get(f"{url}/standin/ledger").json()["rows"]
    return found


def test_plain_and_streamed_answers_are_one(client: openai.OpenAI, url: str) -> None:
    behave(url, script=[{"content": "one answer, of some length, with a €", "times": 2}])
    plain = client.chat.completions.create(model=FLASH, messages=ASKED, max_tokens=100)
    streamed = list(
        client.chat.completions.create(
            model=FLASH, messages=ASKED, max_tokens=100, stream=True, stream_options={"include_usage": True}
        )
    )

    said = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
    assert said == plain.choices[0].message.content == "one answer, of some length, with a €"
    assert [chunk.choices[0].finish_reason for chunk in streamed if chunk.choices][-1] == "stop"
    assert plain.usage is not None
    assert streamed[-1].usage is not None
    assert streamed[-1].usage.total_tokens == plain.usage.total_tokens
    for row in rows(url):
        assert row["input_tokens"] == plain.usage.prompt_tokens
        assert row["output_tokens"] == plain.usage.completion_tokens
    assert plain.usage.prompt_tokens_details is not None
    assert plain.usage.prompt_tokens_details.cached_tokens == rows(url)[0]["cached_tokens"]


def test_several_choices_are_all_billed_and_the_input_once(client: openai.OpenAI, url: str) -> None:
    behave(url, script=[{"content": "12345678", "times": 2}])
    plain = client.chat.completions.create(model=PRO, messages=ASKED, n=3)
    streamed = client.chat.completions.create(model=PRO, messages=ASKED, n=3, stream=True)

    assert [choice.message.content for choice in plain.choices] == ["12345678"] * 3
    said = ["", "", ""]
    for chunk in streamed:
        said[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert said == ["12345678"] * 3
    assert [row["output_tokens"] for row in rows(url)] == [6, 6]
    assert plain.usage is not None
    assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (rows(url)[0]["input_tokens"], 6)


@pytest.mark.parametrize(("model", "names"), [(FLASH, ["read_file"]), (PRO, ["read_file", "list_files"])])
def test_tools_that_the_user_names_are_called_and_by_pro_in_parallel(
    client: openai.OpenAI, model: str, names: list[str]
) -> None:
    message = (
        client.chat.completions.create(model=model, messages=ASKED, tools=TOOLS, max_tokens=200)
        .choices[0]
        .message
    )
    with client.chat.completions.stream(model=model, messages=ASKED, tools=TOOLS, max_tokens=200) as stream:
        final = stream.get_final_completion().choices[0]

    assert message.tool_calls is not None
    assert message.content is None
    assert final.finish_reason == "tool_calls"
    for calls in (message.tool_calls, final.message.tool_calls or []):
        functions = [call.function for call in calls if call.type == "function"]
        assert [function.name for function in functions] == names
        jsonschema.validate(json.loads(functions[0].arguments), PARAMETERS)
    assert len({call.id for call in message.tool_calls}) == len(names)


def test_a_tools_answer_is_answered_in_words(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=FLASH, messages=ASKED, tools=TOOLS).choices[0].message
    assert first.tool_calls is not None
    called: Any = first.model_dump(exclude_none=True)
    answered: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": first.tool_calls[0].id,
        "content": "import os\n",
    }

    second = client.chat.completions.create(model=FLASH, messages=[*ASKED, called, answered], tools=TOOLS)

    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content
    assert second.choices[0].message.tool_calls is None


def test_tool_choice_is_obeyed(client: openai.OpenAI) -> None:
    silent: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]

    def names(messages: list[ChatCompletionMessageParam], choice: Any) -> list[str]:
        answer = client.chat.completions.create(
            model=FLASH, messages=messages, tools=TOOLS, tool_choice=choice
        )
        calls = answer.choices[0].message.tool_calls or []
        return [call.function.name for call in calls if call.type == "function"]

    assert names(ASKED, "none") == []
    assert names(silent, "auto") == []
    assert names(silent, "required") == ["read_file"]
    named = {"type": "function", "function": {"name": "delete_all"}}
    assert names(silent, named) == ["delete_all"]


@pytest.mark.parametrize("model", [FLASH, PRO])
@pytest.mark.parametrize("stream", [False, True])
def test_structured_output_follows_its_schema(client: openai.OpenAI, model: str, stream: bool) -> None:  # noqa: FBT001 - a parameter of the test
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "edits", "schema": SCHEMA}}
    if stream:
        with client.chat.completions.stream(model=model, messages=ASKED, response_format=wanted) as answer:
            content = answer.get_final_completion().choices[0].message.content
    else:
        plain = client.chat.completions.create(model=model, messages=ASKED, response_format=wanted)
        content = plain.choices[0].message.content

    jsonschema.validate(json.loads(content or ""), SCHEMA)


def test_json_mode_answers_in_json_with_each_model(client: openai.OpenAI) -> None:
    for model in (FLASH, PRO, OLD):
        answer = client.chat.completions.create(
            model=model, messages=ASKED, response_format={"type": "json_object"}
        )
        assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_reasoning_is_pros_alone(client: openai.OpenAI) -> None:
    asked = {"reasoning": {"enabled": True}}
    answer = client.chat.completions.create(model=PRO, messages=ASKED, extra_body=asked)
    message: Any = answer.choices[0].message
    assert message.reasoning_content
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    reasoning_tokens = answer.usage.completion_tokens_details.reasoning_tokens
    assert reasoning_tokens is not None
    assert 0 < reasoning_tokens < answer.usage.completion_tokens
    for model in (FLASH, OLD):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model=model, messages=ASKED, extra_body=asked)
        assert (refused.value.code, refused.value.param) == ("invalid_param", "reasoning")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("400", (openai.BadRequestError, "invalid_param")),
        ("400_context", (openai.BadRequestError, "context_length_exceeded")),
        ("401", (openai.AuthenticationError, "invalid_api_key")),
        ("402", (openai.APIStatusError, "insufficient_balance")),
        ("402_quota", (openai.APIStatusError, "quota_exceeded")),
        ("403", (openai.PermissionDeniedError, "model_not_in_group")),
        ("403_address", (openai.PermissionDeniedError, "permission_denied")),
        ("404", (openai.NotFoundError, "not_found")),
        ("413", (openai.APIStatusError, "request_too_large")),
        ("422", (openai.UnprocessableEntityError, "unprocessable_content")),
        ("429_concurrency", (openai.RateLimitError, "concurrency_limit")),
        ("429_spend", (openai.RateLimitError, "rate_limit_error")),
        ("500", (openai.InternalServerError, "internal_error")),
        ("502", (openai.InternalServerError, "upstream_error")),
        ("503", (openai.InternalServerError, "no_capacity")),
        ("504", (openai.InternalServerError, "upstream_timeout")),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_of_the_clients_own_classes(
    client: openai.OpenAI,
    url: str,
    fault: str,
    expected: tuple[type[openai.APIStatusError], str],
    stream: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    error, code = expected
    behave(url, faults=[{"fault": fault}])
    with pytest.raises(error) as refused:
        client.chat.completions.create(model=FLASH, messages=ASKED, stream=stream)

    assert refused.value.code == code
    assert str(refused.value.status_code) == fault[:3]
    assert "x-ratelimit-reset" in refused.value.response.headers
    assert rows(url)[0]["outcome"] == "not_billed"


def test_an_error_inside_a_stream_is_raised(client: openai.OpenAI, url: str) -> None:
    behave(url, faults=[{"fault": "stream_error"}])
    stream = client.chat.completions.create(model=FLASH, messages=ASKED, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)
    assert rows(url)[0]["outcome"] == "not_billed"


def test_the_catalogue_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [FLASH, PRO, OLD]


def test_an_odd_server_refuses_by_name_what_it_does_not_know(client: openai.OpenAI, url: str) -> None:
    plain_http.send("POST", f"{url}/standin/scenario", json={"name": "odd"}).raise_for_status()
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=FLASH, messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    assert (refused.value.code, refused.value.param) == ("invalid_param", "stream_options")

    chunks = list(client.chat.completions.create(model=FLASH, messages=ASKED, stream=True, max_tokens=1))
    assert {chunk.model for chunk in chunks} == {"local-model"}
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    answer = client.chat.completions.create(
        model=FLASH, messages=ASKED, response_format={"type": "json_object"}
    )
    assert (answer.choices[0].message.content or "").startswith("```json\n")
