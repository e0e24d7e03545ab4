import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchmill.budget.models import CAPABILITIES, OPTIONAL_FIELDS, UNKNOWN, ModelCapability, capability_of
from patchmill.call.request import ChatRequest, JsonObject, JsonSchema, NamedTool, Tool, request_body

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
EVERYTHING = ChatRequest(
    model="deepseek-v4-pro",
    messages=[{"role": "user", "content": "As JSON, please"}],
    max_tokens=64,
    stream=True,
    tools=[Tool(name="look", description="Looks", parameters=SCHEMA)],
    tool_choice="auto",
    response_format=JsonSchema(name="answer", schema=SCHEMA),
    reasoning=True,
    temperature=0.0,
    top_p=1.0,
    seed=7,
    stop=["END"],
)
ALWAYS = {"model", "messages", "max_tokens", "stream"}


def sent(request: ChatRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request_body(request))
    return document


@pytest.mark.parametrize(
    ("model", "optional"),
    [
        ("deepseek-v4-flash", {"tools", "response_format", "stream_options"}),
        ("deepseek-v4-pro", {*OPTIONAL_FIELDS} - {"stream"}),
        ("deepseek-v3-2", {*OPTIONAL_FIELDS} - {"stream", "reasoning"}),
        ("somebody/else", {"stream_options"}),
    ],
)
def test_a_model_gets_the_fields_that_it_takes_and_no_other(model: str, optional: set[str]) -> None:
    assert set(sent(replace(EVERYTHING, model=model))) == ALWAYS | optional


def test_everything_is_written_as_the_protocol_has_it() -> None:
    document = sent(EVERYTHING)

    assert document["stream_options"] == {"include_usage": True}
    assert document["reasoning"] == {"enabled": True}
    assert (document["temperature"], document["seed"], document["stop"]) == (0.0, 7, ["END"])
    assert document["tools"] == [
        {"type": "function", "function": {"name": "look", "description": "Looks", "parameters": SCHEMA}}
    ]
    assert document["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }


@pytest.mark.parametrize("model", [*CAPABILITIES, "somebody/else"])
def test_c17_no_user_is_ever_named(model: str) -> None:
    # The gateway keeps a cache for each of them, so that no beginning would be shared.
    assert not {"user", "user_id"} & set(sent(replace(EVERYTHING, model=model)))


def test_one_tool_can_be_chosen_and_no_choice_goes_without_tools() -> None:
    chosen = replace(EVERYTHING, tool_choice=NamedTool(name="look"))

    assert sent(chosen)["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert "tool_choice" not in sent(replace(EVERYTHING, tools=()))


def test_what_has_json_mode_alone_is_asked_for_json() -> None:
    assert sent(replace(EVERYTHING, model="deepseek-v3-2"))["response_format"] == {"type": "json_object"}
    asked = replace(EVERYTHING, response_format=JsonObject())
    assert sent(asked)["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("name", sorted({*OPTIONAL_FIELDS} - {"stream"}))
def test_a_refused_field_is_left_out(name: str) -> None:
    able = capability_of("deepseek-v4-pro").without(name)

    assert name not in sent(replace(EVERYTHING, capability=able))
    assert not able.takes(name)
    assert able.dropped == {name}


@pytest.mark.parametrize(
    "able",
    [
        pytest.param(replace(UNKNOWN, usage_in_streams=False), id="no usage in streams"),
        pytest.param(UNKNOWN.without("stream_options"), id="usage cannot be asked for"),
        pytest.param(UNKNOWN.without("stream"), id="no streams"),
    ],
)
def test_a_model_whose_stream_would_not_say_its_cost_is_called_without_one(able: Any) -> None:
    request = replace(EVERYTHING, capability=able)

    assert not request.streamed
    assert sent(request)["stream"] is False
    assert "stream_options" not in sent(request)


def test_the_table_says_what_the_pages_say() -> None:
    limits = {name: (able.context_tokens, able.output_tokens) for name, able in CAPABILITIES.items()}

    assert limits == {
        "deepseek-v4-flash": (65_536, 8_192),
        "deepseek-v4-pro": (65_536, 16_384),
        "deepseek-v3-2": (65_536, 8_192),
    }
    assert [name for name, able in CAPABILITIES.items() if able.reasoning] == ["deepseek-v4-pro"]
    assert [name for name, able in CAPABILITIES.items() if not able.json_schema] == ["deepseek-v3-2"]
    assert all(able.tools and able.json_object and able.streams for able in CAPABILITIES.values())
    assert not UNKNOWN.tools


@given(
    dropped=st.sets(st.sampled_from(OPTIONAL_FIELDS)),
    fields=st.sets(st.sampled_from(OPTIONAL_FIELDS)),
    usage=st.booleans(),
)
def test_no_field_is_sent_that_the_model_does_not_take(
    dropped: set[str], fields: set[str], *, usage: bool
) -> None:
    able = ModelCapability(
        context_tokens=None,
        output_tokens=1,
        fields=frozenset(fields),
        dropped=frozenset(dropped),
        usage_in_streams=usage,
        json_object=True,
    )

    assert set(sent(replace(EVERYTHING, capability=able))) <= ALWAYS | (fields - dropped)
