"""An answer that calls functions, written down as one text: so it is stored, shown, and read again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledTool:
    """One call: the id to answer it by, the function's name, its arguments as the model wrote them."""

    id: str
    name: str
    arguments: str

    def document(self) -> dict[str, Any]:
        """Give the call as the chat protocol writes it."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }

    @property
    def decoded(self) -> dict[str, Any] | None:
        """The arguments as a JSON object; None if they are none, and servers refuse the call in a history."""
        try:
            value = json.loads(self.arguments)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledTools:
    """The calls of one answer, what it said beside them, and its reasoning if there is any."""

    content: str
    calls: tuple[CalledTool, ...]
    reasoning: str = ""

    def message(self) -> dict[str, Any]:
        """Give the answer as the message of a history; some models refuse one without its reasoning."""
        return {
            "role": "assistant",
            "content": self.content,
            **({"reasoning_content": self.reasoning} if self.reasoning else {}),
            "tool_calls": [call.document() for call in self.calls],
        }


def write(answer: CalledTools) -> str:
    """Write an answer down."""
    document = {
        "content": answer.content,
        **({"reasoning_content": answer.reasoning} if answer.reasoning else {}),
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in answer.calls
        ],
    }
    return json.dumps(document, ensure_ascii=False)


def read(text: str) -> CalledTools | None:
    """Read what `write` wrote; None for any other text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, Mapping) or not isinstance(document.get("tool_calls"), list):
        return None
    calls = [_call(item) for item in document["tool_calls"]]
    if not calls or None in calls:
        return None
    return CalledTools(
        content=_text(document, "content"),
        calls=tuple(call for call in calls if call is not None),
        reasoning=_text(document, "reasoning_content"),
    )


def shown(message: Mapping[str, Any]) -> dict[str, str]:
    """Give a message of a conversation as role and text: calls as they are written down."""
    content = _text(message, "content")
    made = message.get("tool_calls")
    if isinstance(made, list):
        calls = [_call({"id": item.get("id"), **item.get("function", {})}) for item in made]
        known = tuple(call for call in calls if call is not None)
        reasoning = _text(message, "reasoning_content")
        content = write(CalledTools(content=content, calls=known, reasoning=reasoning))
    return {"role": _text(message, "role"), "content": content}


def _call(item: object) -> CalledTool | None:
    if not isinstance(item, Mapping):
        return None
    values: Sequence[object] = [item.get(name) for name in ("id", "name", "arguments")]
    if not all(isinstance(value, str) for value in values):
        return None
    return CalledTool(id=item["id"], name=item["name"], arguments=item["arguments"])


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
