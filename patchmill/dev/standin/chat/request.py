"""A chat request as it is read: the types of its fields, refused by name."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchmill.dev.standin.refusal import invalid_param

MAX_BODY_BYTES = 8 * 1024 * 1024
MOST_CHOICES = 8
MOST_STOPS = 16
MOST_TOOLS = 128
# Longer than any answer: what a server that ignores `max_tokens` goes by.
NO_LIMIT_TOKENS = 1_000_000


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class TextPart(_Wire):
    """A part of a message; none of the models sees images."""

    type: Literal["text"]
    text: str


class CalledFunction(_Wire):
    """The function of a call that was made, with its arguments as JSON."""

    name: str
    arguments: str


class MadeCall(_Wire):
    """A call that the assistant made in an earlier turn."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Message(_Wire):
    """One message; `content` may be absent where the assistant called tools."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[MadeCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class Function(_Wire):
    """A function that may be called."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(_Wire):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(_Wire):
    """The name in a `tool_choice`."""

    name: str


class NamedTool(_Wire):
    """A `tool_choice` that names its function."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_Wire):
    """The schema of structured output."""

    name: str = Field(min_length=1, max_length=64)
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Wire):
    """Plain text, JSON mode, or structured output."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Wire):
    """Whether a stream ends with a usage chunk."""

    include_usage: bool = False


class Reasoning(_Wire):
    """Whether the model thinks aloud first."""

    enabled: bool = False


class ChatRequest(_Wire):
    """The body of `POST /v1/chat/completions`; fields that are not listed are ignored."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stop: str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None = None
    seed: int | None = None
    user: str | None = None
    tools: list[Tool] | None = Field(None, min_length=1, max_length=MOST_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning: Reasoning | None = None

    @property
    def prompt(self) -> str:
        """The text of all messages, one after the other."""
        return "".join(message.text for message in self.messages)

    @property
    def counted(self) -> str:
        """All that counts as input: the tools, the messages, and the calls made in earlier turns."""
        tools = [tool.model_dump(mode="json", exclude_none=True) for tool in self.tools or []]
        calls = [
            call.model_dump(mode="json") for message in self.messages for call in message.tool_calls or []
        ]
        return "".join([*(json.dumps(part) for part in tools), self.prompt, *(json.dumps(c) for c in calls)])

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in stop if text)

    @property
    def wants_json(self) -> bool:
        """Whether the answer has to be a JSON document."""
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def wants_structure(self) -> bool:
        """Whether the answer has to follow a schema."""
        return self.response_format is not None and self.response_format.type == "json_schema"

    @property
    def wants_reasoning(self) -> bool:
        """Whether `reasoning` is switched on."""
        return self.reasoning is not None and self.reasoning.enabled

    @property
    def wants_usage_frame(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


def read_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; raises Refusal 400."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid_param("body", f"The body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise invalid_param("body", "The body must be a JSON object.")
    return document


def check(document: dict[str, Any]) -> ChatRequest:
    """The request, once types and single values are right; raises Refusal 400 that names the parameter."""
    try:
        return ChatRequest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        param = str(first["loc"][0]) if first["loc"] else "body"
        raise invalid_param(param, f"{where}: {first['msg']}") from None


def messages_sha256(document: dict[str, Any]) -> str:
    """Digest of the messages as they came: compact JSON, sorted keys, non-ASCII characters escaped."""
    text = json.dumps(document.get("messages"), separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
