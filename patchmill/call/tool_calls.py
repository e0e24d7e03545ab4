"""The fragments of tool calls, as servers really cut and number them, become whole calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchmill.call.reply import ToolCall
from patchmill.call.storable import storable, storable_json
from patchmill.edit.called import CalledTool


class BadToolCall(ValueError):
    """A tool call that cannot be made: without a name, or its arguments are no JSON object."""


@dataclass(slots=True)
class _Pending:
    """One call so far; `arguments` are its parts, or one object where the server sent it decoded."""

    id: str | None
    index: int | None
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    decoded: Mapping[str, Any] | None = None

    @property
    def begun(self) -> bool:
        """Whether any of its arguments have come."""
        return self.decoded is not None or bool(self.arguments)

    def whole(self) -> bool:
        """Whether its arguments could be complete."""
        try:
            _arguments(self)
        except BadToolCall:
            return False
        return True


class ToolCallBuilder:
    """Puts tool calls together from the `tool_calls` of deltas, or of one whole message.

    Servers differ in what they repeat: an index may be missing or always 0, an id may come once, every time,
    changed, or never. A known id decides; then the index; then the call that is being written.
    """

    def __init__(self) -> None:
        self._calls: list[_Pending] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, fragments: object, *, whole: bool) -> None:
        """Take the `tool_calls` of one delta, or with `whole` of one message, where each is a call.

        Raises:
            BadToolCall: they are of another shape.
        """
        if fragments is None:
            return
        if not isinstance(fragments, list):
            raise BadToolCall("`tool_calls` is not a list")
        for fragment in fragments:
            if not isinstance(fragment, Mapping):
                raise BadToolCall("a tool call is not an object")
            self._add_one(fragment, whole=whole)

    def built(self) -> tuple[ToolCall, ...]:
        """Give the calls, in the order in which they began.

        Raises:
            BadToolCall: one of them is not whole.
        """
        return tuple(_finished(call, number) for number, call in enumerate(self._calls))

    def written(self) -> tuple[CalledTool, ...]:
        """Give the calls as they were written, whether or not they are whole."""
        return tuple(_as_written(call, number) for number, call in enumerate(self._calls))

    def _add_one(self, fragment: Mapping[str, Any], *, whole: bool) -> None:
        function = fragment.get("function") or {}
        if not isinstance(function, Mapping):
            raise BadToolCall("`function` is not an object")
        call_id, index, name = fragment.get("id"), fragment.get("index"), function.get("name")
        call_id = call_id if isinstance(call_id, str) and call_id else None
        index = index if type(index) is int else None
        name = name if isinstance(name, str) else ""
        call = None if whole else self._continued(call_id, index, name)
        if call is None:
            call = _Pending(call_id, index)
            self._calls.append(call)
        call.id = call.id or call_id
        if name != call.name:
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            call.decoded = arguments
        elif isinstance(arguments, str):
            call.arguments += [arguments] if arguments else []
        elif arguments is not None:
            raise BadToolCall("the arguments of a tool call are neither text nor an object")

    def _continued(self, call_id: str | None, index: int | None, name: str) -> _Pending | None:
        """Find the call that a fragment goes on with; None when it begins another."""
        if call_id is not None:
            for call in self._calls:
                if call.id == call_id:
                    return call
        written = self._at(index)
        if written is None:
            return None
        if call_id is not None and written.id is not None and name:
            return None  # a new id with a name is a new call, whatever its index
        if name and written.begun and (name != written.name or written.whole()):
            return None
        return written

    def _at(self, index: int | None) -> _Pending | None:
        """Give the last call with this index, or without one the last of all."""
        for call in reversed(self._calls):
            if index is None or call.index == index:
                return call
        return None


def _finished(call: _Pending, number: int) -> ToolCall:
    if not call.name:
        raise BadToolCall("a tool call has no name")
    return ToolCall(
        id=storable(call.id or f"call_{number}"), name=storable(call.name), arguments=_arguments(call)
    )


def _as_written(call: _Pending, number: int) -> CalledTool:
    text = "".join(call.arguments)
    if call.decoded is not None and not text.strip():
        text = json.dumps(storable_json(call.decoded), ensure_ascii=False)
    return CalledTool(
        id=storable(call.id or f"call_{number}"), name=storable(call.name), arguments=storable(text)
    )


def _arguments(call: _Pending) -> dict[str, Any]:
    text = "".join(call.arguments)
    if call.decoded is not None and not text.strip():
        value: object = call.decoded
    else:
        try:
            value = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError):
            raise BadToolCall("the arguments of a tool call are no JSON; they may be cut off") from None
    if not isinstance(value, Mapping):
        raise BadToolCall("the arguments of a tool call are no object")
    stored: dict[str, Any] = storable_json(value)
    return stored
