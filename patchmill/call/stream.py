"""Bytes of an answer, streamed or plain, become its text, tool calls, finish reason and reported usage.

`SseParser` cuts bytes into events; `AnswerBuilder` adds up what the events, or one plain body, say. The
`MalformedAnswer` that both raise never leaves this package: a call that meets it ends as a typed outcome.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchmill.call.reply import Usage
from patchmill.call.storable import storable, storable_json
from patchmill.call.tool_calls import BadToolCall, ToolCallBuilder
from patchmill.call.usage import usage_of

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_EVENT_BYTES = 4 * 1024 * 1024
LONGEST_NAME = 200

_BOM = b"\xef\xbb\xbf"
_END = "[DONE]"


class MalformedAnswer(ValueError):
    """The bytes are no answer of the protocol: not JSON, of the wrong shape, or too large."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event that carries data; `name` is empty unless the stream named it."""

    data: str
    name: str = ""


class SseParser:
    """Cuts a stream into events, however the network cut it into reads.

    Only LF, CR and CRLF end a line: JSON may hold every other Unicode line separator. An event that no
    blank line ends is dropped at the end of the stream, except for `[DONE]`, which counts from its line on.
    """

    def __init__(self) -> None:
        self.done = False
        self._line = bytearray()
        self._after_cr = False
        self._first_line = True
        self._data: list[bytes] = []
        self._data_size = 0
        self._name = ""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and give the events that they complete, none after `[DONE]`.

        Raises:
            MalformedAnswer: a line or an event is larger than the caps.
        """
        if self.done or not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return []
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = data.split(b"\n")
        self._line += first
        events: list[Event] = []
        for following in others:
            self._end_line(events)
            if self.done:
                return events
            self._line += following
        if len(self._line) > MAX_LINE_BYTES:
            raise MalformedAnswer(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
        return events

    def close(self) -> list[Event]:
        """End the stream: `[DONE]` may lack its line end, anything else unfinished is dropped."""
        events: list[Event] = []
        name, _, value = bytes(self._line).partition(b":")
        if not self.done and name == b"data" and value.strip() == _END.encode():
            self._end_line(events)
        self._line.clear()
        return events

    def _end_line(self, events: list[Event]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if len(line) > MAX_LINE_BYTES:
            raise MalformedAnswer(f"a line of the stream is longer than {MAX_LINE_BYTES} bytes")
        if self._first_line:
            line = line.removeprefix(_BOM)
            self._first_line = False
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._take_data(value, events)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _take_data(self, value: bytes, events: list[Event]) -> None:
        if value.strip() == _END.encode():
            self._dispatch(events)
            events.append(Event(_END))
            self.done = True
            return
        self._data.append(value)
        self._data_size += len(value) + 1
        if self._data_size > MAX_EVENT_BYTES:
            raise MalformedAnswer(f"an event of the stream is larger than {MAX_EVENT_BYTES} bytes")

    def _dispatch(self, events: list[Event]) -> None:
        data = b"\n".join(self._data)
        if data.strip():
            events.append(Event(data.decode("utf-8", "replace"), self._name))
        self._data.clear()
        self._data_size = 0
        self._name = ""


class AnswerBuilder:
    """Adds up one answer from events or from a plain body; choice 0 alone counts.

    `finish_reason`, `returned_model`, `request_id` and `fingerprint` are None until they were said; `usage`
    is the last report, None when there was none or its numbers cannot be true; `raw_usage` is that report as
    it came. `error` is what the gateway reported as an error, of whatever shape. `ended` tells that nothing
    more can come: `[DONE]` came, or the answer was plain.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.returned_model: str | None = None
        self.request_id: str | None = None
        self.fingerprint: str | None = None
        self.usage: Usage | None = None
        self.raw_usage: object = None
        self.error: object = None
        self.error_is_last = False
        self.has_output = False
        self.more_choices = False
        self.ended = False
        self.tool_calls = ToolCallBuilder()
        self._usage_is_final = False
        self._parts: list[str] = []
        self._thoughts: list[str] = []

    @property
    def text(self) -> str:
        """The content so far, without any reasoning, as text that UTF-8 and Postgres can hold."""
        return storable("".join(self._parts))

    @property
    def reasoning(self) -> str:
        """What the model thought aloud so far, as text that UTF-8 and Postgres can hold."""
        return storable("".join(self._thoughts))

    @property
    def complete(self) -> bool:
        """Whether nothing of the answer can be missing.

        A stream without `[DONE]` is complete if the finish reason came, and usage with it or after it: an
        earlier report may be a running total.
        """
        if self.error is not None or self.finish_reason is None:
            return False
        return self.ended or self._usage_is_final

    def add_event(self, event: Event) -> None:
        """Add one event of a stream.

        Raises:
            MalformedAnswer: its data is not a chunk of an answer.
        """
        if event.data == _END:
            self.ended = True
            return
        if event.name == "error":
            self._take_error(_error_event(event.data))
            return
        self._add_document(_decode(event.data), "delta")

    def add_body(self, body: bytes) -> None:
        """Add a whole plain body; white space around it is ignored.

        Raises:
            MalformedAnswer: it is not an answer: not JSON, or without a choice.
        """
        text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
        if not text:
            raise MalformedAnswer("the body is empty")
        document = _decode(text)
        if not self._add_document(document, "message") and self.error is None:
            raise MalformedAnswer("the body has no choices")
        self.ended = True

    def _add_document(self, document: Mapping[str, Any], part_name: str) -> bool:
        """Add a decoded chunk or body; give whether choice 0 was in it."""
        self.returned_model = self.returned_model or _name(document.get("model"))
        self.request_id = self.request_id or _name(document.get("id"))
        self.fingerprint = self.fingerprint or _name(document.get("system_fingerprint"))
        # An empty report says as little as none.
        reported = document.get("usage") or None
        if reported is not None:
            self.raw_usage = storable_json(reported)
            self.usage = usage_of(reported)
        if document.get("error") is not None:
            self._take_error(document["error"])
            return False
        self.error_is_last = False
        choice = self._choice_zero(document.get("choices"))
        if choice is not None:
            self._add_choice(choice, part_name)
        if reported is not None:
            self._usage_is_final = self.finish_reason is not None and self.usage is not None
        return choice is not None

    def _choice_zero(self, choices: object) -> Mapping[str, Any] | None:
        if choices is None:
            return None
        if not isinstance(choices, list):
            raise MalformedAnswer("`choices` is not a list")
        found = None
        for choice in choices:
            if not isinstance(choice, Mapping):
                raise MalformedAnswer("a choice is not an object")
            if found is None and (choice.get("index") or 0) == 0:
                found = choice
            else:
                self.more_choices = True
        return found

    def _add_choice(self, choice: Mapping[str, Any], part_name: str) -> None:
        self.finish_reason = _name(choice.get("finish_reason")) or self.finish_reason
        part = choice.get(part_name)
        if part is None:
            # Some servers send a whole message as the one chunk of a stream, or a delta as the plain answer.
            part_name = "message" if part_name == "delta" else "delta"
            part = choice.get(part_name)
        if part is None:
            return
        if not isinstance(part, Mapping):
            raise MalformedAnswer(f"`{part_name}` is not an object")
        content = part.get("content")
        if content:
            self._parts.append(_text(content, "content"))
            self.has_output = True
        thought = part.get("reasoning_content") or part.get("reasoning")
        if thought:
            self._thoughts.append(_text(thought, "reasoning_content"))
            self.has_output = True
        if part.get("tool_calls"):
            self._add_tool_calls(part["tool_calls"], whole=part_name == "message")

    def _add_tool_calls(self, fragments: object, *, whole: bool) -> None:
        try:
            self.tool_calls.add(fragments, whole=whole)
        except BadToolCall as error:
            raise MalformedAnswer(str(error)) from error
        self.has_output = True

    def _take_error(self, error: object) -> None:
        self.error = error
        self.error_is_last = True


def _decode(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer("the gateway sent something other than JSON") from error
    if not isinstance(document, dict):
        raise MalformedAnswer("the gateway sent JSON that is not an object")
    return document


def _error_event(data: str) -> object:
    """What an event named `error` says: its `error` field, else its whole document, else its text."""
    try:
        document = _decode(data)
    except MalformedAnswer:
        return data
    error = document.get("error")
    return document if error is None else error


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedAnswer(f"`{name}` is not a string")
    return value


def _name(value: object) -> str | None:
    return storable(value)[:LONGEST_NAME] if isinstance(value, str) and value else None
