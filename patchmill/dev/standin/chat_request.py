"""A chat request: read, checked against the model's limits, and refused by name."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchmill.dev.standin.catalogue import CONTEXT_TOKENS, MODELS, ModelCard
from patchmill.dev.standin.refusal import Refusal, invalid_param
from patchmill.dev.standin.tokens import count_tokens

MAX_BODY_BYTES = 8 * 1024 * 1024


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class TextPart(_Wire):
    """A part of a message; none of the models sees images."""

    type: Literal["text"]
    text: str


class Message(_Wire):
    """One message; `content` may be absent where the assistant called tools."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class ResponseFormat(_Wire):
    """Plain text, JSON mode, or structured output."""

    type: Literal["text", "json_object", "json_schema"]


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
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning: Reasoning | None = None

    @property
    def prompt(self) -> str:
        """The text of all messages, one after the other."""
        return "".join(message.text for message in self.messages)

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


def check_limits(request: ChatRequest) -> tuple[ModelCard, int, int]:
    """The model's card, the prompt's tokens, and the most output tokens; raises Refusal 400."""
    card = MODELS.get(request.model)
    if card is None:
        message = f"The model `{request.model}` does not exist."
        raise Refusal(status=400, code="model_not_found", message=message, param="model")
    if request.max_tokens is not None and request.max_tokens > card.max_output_tokens:
        message = f"max_tokens: {card.name} answers with at most {card.max_output_tokens} tokens."
        raise invalid_param("max_tokens", message)
    if request.wants_structure and not card.structured_output:
        raise invalid_param("response_format", f"response_format: {card.name} has JSON mode only.")
    if request.wants_reasoning and not card.reasoning:
        raise invalid_param("reasoning", f"reasoning: {card.name} cannot reason.")
    prompt_tokens = count_tokens(request.prompt)
    asked = request.max_tokens or 1
    if prompt_tokens + asked > CONTEXT_TOKENS:
        message = (
            f"The context of {card.name} is {CONTEXT_TOKENS} tokens, but the request has {prompt_tokens} in "
            f"the prompt and asks for {asked} more, {prompt_tokens + asked} in all."
        )
        raise Refusal(status=400, code="context_length_exceeded", message=message, param="messages")
    room = min(card.max_output_tokens, CONTEXT_TOKENS - prompt_tokens)
    return card, prompt_tokens, request.max_tokens or room


def messages_sha256(document: dict[str, Any]) -> str:
    """Digest of the messages as they came: compact JSON, sorted keys, non-ASCII characters escaped."""
    text = json.dumps(document.get("messages"), separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
