"""The request of a prompt: the same for who sends it, and for who only asks what it may cost."""

from collections.abc import Mapping, Sequence

from patchmill.budget.models import ModelCapability
from patchmill.call.request import ChatRequest, JsonSchema
from patchmill.edit.protocol import EditFormat


def edit_request(
    model: str,
    messages: Sequence[Mapping[str, str]],
    edit_format: EditFormat,
    *,
    max_tokens: int,
    reasoning: bool,
    able: ModelCapability,
) -> ChatRequest:
    """Ask a model for edits, as a stream, in the form that the edit format names."""
    schema = edit_format.answer_schema
    return ChatRequest(
        model=model,
        messages=messages,
        max_tokens=max_tokens,
        stream=True,
        response_format=None if schema is None else JsonSchema(name="edits", schema=schema),
        reasoning=True if reasoning else None,
        capability=able,
    )
