"""Calls of tools, made by rule: which functions are called, and with which arguments."""

import json
from dataclasses import dataclass
from typing import Any

from patchmill.dev.standin.chat.request import ChatRequest, Function
from patchmill.dev.standin.chat.schema_example import UnsupportedSchema, smallest
from patchmill.dev.standin.refusal import invalid_param


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call: an id, the function's name, and its arguments as JSON."""

    call_id: str
    name: str
    arguments: str

    def document(self) -> dict[str, Any]:
        """The call as the protocol writes it."""
        return {
            "id": self.call_id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


def calls_for(request: ChatRequest, *, request_id: str, parallel: bool) -> tuple[ToolCall, ...]:
    """The calls that answer a request, none when text does.

    A function is called when it is named in `tool_choice`; with `required`, those that the last message from
    the user names, or else the first; with `auto`, those that it names, unless tools have answered since.
    Without `parallel` only the first of them. Arguments are the smallest that the function's schema accepts.
    Raises Refusal 400 for a schema that cannot be satisfied by rule.
    """
    chosen = _chosen(request)
    kept = chosen if parallel else chosen[:1]
    return tuple(
        ToolCall(
            call_id=_call_id(request_id, number),
            name=function.name,
            arguments=_arguments(function),
        )
        for number, function in enumerate(kept)
    )


def function_for_edits(request: ChatRequest) -> Function | None:
    """The function that takes edits as its arguments, if one is offered and may be called."""
    return next((function for function in _callable(request) if _takes_edits(function)), None)


def call_with(function: Function, arguments: str, *, request_id: str) -> ToolCall:
    """One call with these arguments."""
    return ToolCall(call_id=_call_id(request_id, 0), name=function.name, arguments=arguments)


def _takes_edits(function: Function) -> bool:
    properties = (function.parameters or {}).get("properties")
    return isinstance(properties, dict) and "edits" in properties


def _callable(request: ChatRequest) -> list[Function]:
    """The functions among which the choice leaves room."""
    functions = [tool.function for tool in request.tools or []]
    choice = request.tool_choice
    if choice == "none":
        return []
    if choice is not None and not isinstance(choice, str):
        return [function for function in functions if function.name == choice.function.name]
    return functions


def _call_id(request_id: str, number: int) -> str:
    return f"call_{request_id.removeprefix('chatcmpl-')}_{number}"


def _chosen(request: ChatRequest) -> list[Function]:
    functions, choice = _callable(request), request.tool_choice
    if not functions or not (choice is None or isinstance(choice, str)):
        return functions
    answered = request.messages[-1].role == "tool"
    asked = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    named = [function for function in functions if function.name in asked]
    if choice == "required":
        return named or functions[:1]
    return [] if answered else named


def _arguments(function: Function) -> str:
    if function.parameters is None:
        return "{}"
    try:
        value = smallest(function.parameters)
    except UnsupportedSchema as error:
        raise invalid_param("tools", f"tools: the parameters of {function.name}: {error}.") from None
    return json.dumps(value if isinstance(value, dict) else {})
