"""What a request says of the form of its answer, by what the model can be held to."""

from collections.abc import Mapping
from typing import Any

from patchmill.edit.protocol import EditFormat

_STRUCTURED = frozenset({"deepseek-v4-flash", "deepseek-v4-pro"})  # https://docs.bytespike.ai, models


def answer_form(model: str, edit_format: EditFormat) -> Mapping[str, Any] | None:
    """Give the request's `response_format`: a schema, JSON mode where the model has no more, or none."""
    schema = edit_format.answer_schema
    if schema is None:
        return None
    if model not in _STRUCTURED:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "edits", "schema": dict(schema), "strict": True}}
