"""What must hold between the fields of a chat request, and what its model allows."""

from collections.abc import Collection, Mapping
from typing import Any

from patchmill.dev.standin.catalogue import CONTEXT_TOKENS, MODELS, ModelCard
from patchmill.dev.standin.chat.request import ChatRequest, Message
from patchmill.dev.standin.refusal import Refusal, invalid_param
from patchmill.dev.standin.tokens import count_tokens


def refuse_fields(document: Mapping[str, Any], refused: Collection[str], *, strict: bool) -> None:
    """Raise Refusal 400 for a field in `refused` or, when `strict`, one that is not on the model's page."""
    card = MODELS.get(str(document.get("model")))
    for name in document:
        undocumented = strict and card is not None and name not in card.fields
        if name in refused or undocumented:
            raise invalid_param(name, f"Unrecognized request parameter: {name}")


def check_rules(request: ChatRequest) -> tuple[ModelCard, int, int]:
    """The model's card, the prompt's tokens, and the most output tokens; raises Refusal 400."""
    card = MODELS.get(request.model)
    if card is None:
        raise model_not_found(request.model)
    if request.max_tokens is not None and request.max_tokens > card.max_output_tokens:
        message = f"max_tokens: {card.name} answers with at most {card.max_output_tokens} tokens."
        raise invalid_param("max_tokens", message)
    _check_format(request, card)
    _check_tools(request)
    if request.stream_options is not None and not request.stream:
        raise invalid_param("stream_options", "stream_options: only goes with stream.")
    prompt_tokens = count_tokens(request.counted)
    asked = request.max_tokens or 1
    if prompt_tokens + asked > CONTEXT_TOKENS:
        message = (
            f"The context of {card.name} is {CONTEXT_TOKENS} tokens, but the request has {prompt_tokens} in "
            f"the prompt and asks for {asked} more, {prompt_tokens + asked} in all."
        )
        raise Refusal(status=400, code="context_length_exceeded", message=message, param="messages")
    room = min(card.max_output_tokens, CONTEXT_TOKENS - prompt_tokens)
    return card, prompt_tokens, request.max_tokens or room


def model_not_found(model: str) -> Refusal:
    """400: there is no such model."""
    message = f"The model `{model}` does not exist."
    return Refusal(status=400, code="model_not_found", message=message, param="model")


def model_not_in_group(model: str) -> Refusal:
    """403: the key's routing group does not reach the model."""
    message = f"The key's routing group does not reach the model `{model}`."
    return Refusal(status=403, code="model_not_in_group", message=message, param="model")


def _check_format(request: ChatRequest, card: ModelCard) -> None:
    if request.wants_structure and not card.structured_output:
        raise invalid_param("response_format", f"response_format: {card.name} has JSON mode only.")
    if request.response_format is not None and (
        request.wants_structure is (request.response_format.json_schema is None)
    ):
        raise invalid_param(
            "response_format", "response_format: json_schema goes with its type, and only so."
        )
    if request.wants_reasoning and not card.reasoning:
        raise invalid_param("reasoning", f"reasoning: {card.name} cannot reason.")


def _check_tools(request: ChatRequest) -> None:
    names = [tool.function.name for tool in request.tools or []]
    if len(set(names)) != len(names):
        raise invalid_param("tools", "tools: two functions have one name.")
    choice = request.tool_choice
    if choice is not None and not names:
        raise invalid_param("tool_choice", "tool_choice: only goes with tools.")
    if choice is not None and not isinstance(choice, str) and choice.function.name not in names:
        raise invalid_param("tool_choice", f"tool_choice: tools has no function {choice.function.name}.")
    _check_turns(request.messages)


def _check_turns(messages: list[Message]) -> None:
    """Whether each answer of a tool follows a call, and only the assistant calls."""
    called: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if message.tool_calls and message.role != "assistant":
            raise invalid_param("messages", f"{where}.tool_calls: only the assistant calls tools.")
        called.update(call.id for call in message.tool_calls or [])
        if message.role == "tool" and message.tool_call_id not in called:
            raise invalid_param("messages", f"{where}.tool_call_id: no call before it has this id.")
        if message.content is None and not message.tool_calls:
            raise invalid_param("messages", f"{where}.content: is missing.")
