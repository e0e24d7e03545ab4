"""The edit format `json`: one JSON object whose edits hold old lines and the lines that take their place.

The object may stand in a fence or between other text. The first one that has `edits` or `no_change` counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from patchmill.edit.answer_object import ANSWER_SCHEMA, EXAMPLE_AND_RULES, proposal_in
from patchmill.edit.protocol import Message, OfferedTool, Proposal, told

_INSTRUCTIONS = f"""\
Answer with one JSON object and nothing else:

{EXAMPLE_AND_RULES}"""


class JsonEdits:
    """A JSON object of a title, an explanation, edits, and the reason where nothing should be changed."""

    name = "json"
    instructions = _INSTRUCTIONS
    answer_schema: Mapping[str, Any] | None = ANSWER_SCHEMA
    tool: OfferedTool | None = None

    def shown(self, number: int, line: str) -> str:  # noqa: ARG002 - places are found by text alone
        """Write a line of the file as it is."""
        return line

    def parse(self, text: str) -> Proposal:
        """Read an answer; never raises, whatever the text. See `proposal_in`."""
        return proposal_in(text)

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write an answer that failed, and what is said to it."""
        return told(answer, said)
