"""The request of a prompt: the same for who sends it, and for who only asks what it may cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from patchmill.budget.models import ModelCapability
from patchmill.call.request import ChatRequest, JsonSchema, NamedTool, Tool
from patchmill.edit.protocol import EditFormat, OfferedTool


def edit_request(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    edit_format: EditFormat,
    *,
    max_tokens: int,
    reasoning: bool,
    able: ModelCapability,
) -> ChatRequest:
    """Ask a model for edits, as a stream, in the form that the edit format names."""
    schema, tool = edit_format.answer_schema, edit_format.tool
    # Without tools the rules of the format say what to answer in words.
    offered = None if tool is None or not able.tools else tool
    tools = () if offered is None else (_tool(offered),)
    return ChatRequest(
        model=model,
        messages=messages,
        max_tokens=max_tokens,
        stream=True,
        tools=tools,
        tool_choice=None if offered is None else NamedTool(name=offered.name),
        response_format=None if schema is None else JsonSchema(name="edits", schema=schema),
        reasoning=True if reasoning else None,
        capability=able,
    )


def _tool(offered: OfferedTool) -> Tool:
    return Tool(name=offered.name, description=offered.description, parameters=offered.parameters)
