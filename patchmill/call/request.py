"""What is asked of a model, and the exact bytes that say so to a gateway."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from patchmill.budget.models import ModelCapability, capability_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may ask for; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTool:
    """The choice of one tool, by its name."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """JSON mode: the answer is to be one JSON object; the messages must speak of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    """Structured output: the answer is to follow a schema, which no gateway is trusted to enforce."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What is asked: `messages` are the protocol's, in order; `max_tokens` bounds answer and reasoning.

    Everything with a default is a wish: what the model's `capability` does not take is not sent, and of
    structured output JSON mode may be left. A None among the capabilities means what the table says of the
    model. `stream` is a wish too: `streamed` tells what is done.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    stream: bool
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    response_format: JsonObject | JsonSchema | None = None
    reasoning: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    capability: ModelCapability | None = None

    @property
    def structured(self) -> bool:
        """Whether the answer is to be JSON or a call, so that the chat template has more to say."""
        return self.response_format is not None or bool(self.tools)

    @property
    def able(self) -> ModelCapability:
        """What the model can be asked."""
        return capability_of(self.model) if self.capability is None else self.capability

    @property
    def streamed(self) -> bool:
        """Whether the answer is to come as a stream."""
        return self.stream and self.able.streams


def request_document(request: ChatRequest) -> dict[str, Any]:
    """Build the request's body as a JSON value, with no field that the model does not take."""
    able, streamed = request.able, request.streamed
    tools = [_tool(tool) for tool in request.tools]
    wishes = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "tools": tools or None,
        "tool_choice": _choice(request.tool_choice) if tools and able.tools else None,
        "response_format": _format(request.response_format, able),
        "reasoning": None if request.reasoning is None else {"enabled": request.reasoning},
        "stream_options": {"include_usage": True} if streamed else None,
    }
    return {
        "model": request.model,
        "messages": [dict(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "stream": streamed,
        **{name: value for name, value in wishes.items() if value is not None and able.takes(name)},
    }


def request_body(request: ChatRequest) -> bytes:
    """Build the exact bytes of the request's body; their number bounds its prompt tokens.

    Raises:
        UnicodeEncodeError: a message holds half of a surrogate pair.
    """
    document = request_document(request)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice | None) -> object:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _format(wished: JsonObject | JsonSchema | None, able: ModelCapability) -> object:
    if isinstance(wished, JsonSchema) and able.json_schema:
        schema = {"name": wished.name, "schema": dict(wished.schema), "strict": True}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if wished is not None and able.json_object else None
