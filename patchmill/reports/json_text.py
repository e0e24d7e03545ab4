"""JSON whose every value knows its place, so that what is wrong with a report can be said exactly."""

import json
import re
from collections.abc import Iterator
from typing import Any, Self

from patchmill.reports.report import UnreadableReport

MAX_VALUES = 500_000  # of one report; counted by its punctuation, before anything is built
MAX_INT = 2**31 - 1
_SHOWN = 200  # characters of a place in a sentence
_BOM = "\ufeff"
# What a whole value may begin with that is none by itself.
_MAY_BREAK_OFF = ("true", "false", "null", "NaN", "-Infinity", ".", "e+", "e-", "E+", "E-")
_ESCAPE_LENGTH = len("u12ab")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SUSPECT = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|[\ud800-\udfff]")  # may hide what is no text


def read_json(content: str) -> "Node":
    """Read a report's text.

    Raises:
        UnreadableReport: it is not JSON, is nested too deeply, or has too many values.
    """
    if content.count(",") + content.count("[") + content.count("{") > MAX_VALUES:
        raise UnreadableReport(f"has more than {MAX_VALUES:,} values; make several runs of it")
    try:
        document = Node(json.loads(content.removeprefix(_BOM), parse_constant=_refuse_constant))
    except json.JSONDecodeError as error:
        raise UnreadableReport(_wrong(error)) from None
    except RecursionError:
        raise UnreadableReport("is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, UnreadableReport):
            raise
        raise UnreadableReport("has a number with too many digits") from None
    if _SUSPECT.search(content):
        document.refuse_what_is_no_text()
    return document


def _wrong(error: json.JSONDecodeError) -> str:
    """Say where text stops being JSON, and if that is only because the rest of it is missing."""
    text = error.doc.rstrip(" \t\r\n")
    rest = text[error.pos :]
    unfinished = (
        not rest
        or error.msg.startswith("Unterminated string")
        or any(whole.startswith(rest) for whole in _MAY_BREAK_OFF)
        or (error.msg.startswith("Invalid \\u") and len(rest) <= _ESCAPE_LENGTH)
    )
    if not text or not unfinished or error.msg == "Extra data":
        return f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n") - 1
    return f"is cut off: it ends at line {line}, column {column}, in the middle of a value"


def _refuse_constant(name: str) -> Any:
    raise UnreadableReport(f"is not JSON: {name} is no number")


class Node:
    """A value of a report, and the way to it; what is null counts as absent."""

    __slots__ = ("_value", "parent", "step")

    def __init__(self, value: Any, parent: Self | None = None, step: int | str = "") -> None:
        self._value = value
        self.parent = parent
        self.step = step  # from the parent to this

    def wrong(self, what: str) -> UnreadableReport:
        """Make the error that says what is wrong here."""
        steps = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            steps.append(str(node.step).replace("~", "~0").replace("/", "~1"))
            node = node.parent
        place = "".join(f"/{step}" for step in reversed(steps))
        return UnreadableReport(f"at {place[:_SHOWN] or 'the top'}: {what}")

    def get(self, name: str) -> "Node | None":
        """Give a member, or None without one; raises UnreadableReport if this is no object."""
        value = self._member(name)
        return None if value is None else Node(value, self, name)

    def _member(self, name: str) -> Any:
        if not isinstance(self._value, dict):
            raise self.wrong("must be an object")
        return self._value.get(name)

    def need(self, name: str) -> "Node":
        """Give a member; raises UnreadableReport without one."""
        found = self.get(name)
        if found is None:
            raise self.wrong(f"lacks `{name}`")
        return found

    def items(self) -> Iterator["Node"]:
        """Give each item; raises UnreadableReport if this is no array."""
        if not isinstance(self._value, list):
            raise self.wrong("must be an array")
        return (Node(value, self, number) for number, value in enumerate(self._value))

    def items_of(self, name: str) -> Iterator["Node"]:
        """Give each item of a member; none without the member."""
        found = self.get(name)
        return iter(()) if found is None else found.items()

    def at(self, index: int) -> "Node | None":
        """Give an item by its index, or None if there is none."""
        if not isinstance(self._value, list):
            raise self.wrong("must be an array")
        if not 0 <= index < len(self._value) or self._value[index] is None:
            return None
        return Node(self._value[index], self, index)

    def text(self) -> str:
        """Give a text; raises UnreadableReport for anything else."""
        if not isinstance(self._value, str):
            raise self.wrong("must be a string")
        return self._value

    def refuse_what_is_no_text(self) -> None:
        """Look at every text in here for what cannot be stored; raises UnreadableReport at the first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            value = node._value  # noqa: SLF001 - of its own class
            if isinstance(value, dict | list):
                steps = value.items() if isinstance(value, dict) else enumerate(value)
                waiting += [Node(item, node, step) for step, item in steps if item]
            elif isinstance(value, str) and "\0" in value:
                raise node.wrong("holds a NUL character, which no text does")
            elif isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
                raise node.wrong("holds half of a surrogate pair, which is no character")

    def text_of(self, name: str) -> str | None:
        """Give a member's text, or None without one."""
        value = self._member(name)
        if isinstance(value, str):
            return value
        return None if value is None else Node(value, self, name).text()

    def short_of(self, name: str, limit: int) -> str | None:
        """Give a member's text of at most so many characters; an empty one counts as absent."""
        text = (self.text_of(name) or "").strip()
        if len(text) > limit:
            raise Node(text, self, name).wrong(f"has more than {limit} characters")
        return text or None

    def number(self, *, low: int = 0) -> int:
        """Give a whole number from `low` to 2³¹ - 1; raises UnreadableReport for anything else."""
        value = self._value
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong("must be a whole number")
        if not low <= value <= MAX_INT:
            raise self.wrong(f"must be a whole number from {low} to {MAX_INT}")
        return value

    def number_of(self, name: str, *, low: int = 0) -> int | None:
        """Give a member's number, or None without one."""
        value = self._member(name)
        if type(value) is int and low <= value <= MAX_INT:
            return value
        return None if value is None else Node(value, self, name).number(low=low)

    def need_number(self, name: str, *, low: int = 0) -> int:
        """Give a member's number; raises UnreadableReport without one."""
        number = self.number_of(name, low=low)
        return self.need(name).number(low=low) if number is None else number
