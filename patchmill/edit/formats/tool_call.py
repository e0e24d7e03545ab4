"""The edit format `tool`: the model calls one function, whose arguments are the edits.

How an answer is read:

- Several calls are one proposal; an edit that two of them repeat counts once.
- A call of another function is `unknown_tool`. Arguments that are no JSON to their end, or have no
  `edits`, are `unterminated`.
- An answer in words is searched for the same object: so a model that cannot call functions answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchmill.edit import called
from patchmill.edit.answer_object import ANSWER_SCHEMA, EXAMPLE_AND_RULES, proposal_in
from patchmill.edit.called import CalledTool, CalledTools
from patchmill.edit.protocol import (
    AnyEdit,
    Message,
    OfferedTool,
    Proposal,
    Rejection,
    RejectionReason,
    told,
)

TOOL = OfferedTool(
    name="propose_edits",
    description="Proposes edits of the file, or says why nothing should be changed.",
    parameters=ANSWER_SCHEMA,
)
_WITH_THE_OTHERS = "Rejected together with the first call; see there."

_INSTRUCTIONS = f"""\
Call {TOOL.name} once, with all edits; if you cannot call functions, answer with its arguments as JSON alone:

{EXAMPLE_AND_RULES}"""


class ToolCallEdits:
    """A call of `propose_edits` with a title, an explanation, edits, and the reason where there are none."""

    name = "tool"
    instructions = _INSTRUCTIONS
    answer_schema: Mapping[str, Any] | None = None
    tool: OfferedTool | None = TOOL

    def shown(self, number: int, line: str) -> str:  # noqa: ARG002 - places are found by text alone
        """Write a line of the file as it is."""
        return line

    def parse(self, text: str) -> Proposal:
        """Read an answer as `edit.called` writes it down, or in words; never raises, whatever the text."""
        answer = called.read(text)
        return proposal_in(text) if answer is None else _joined([_proposed(call) for call in answer.calls])

    def turn(self, answer: str, said: str) -> Sequence[Message]:
        """Write the calls that failed, and what is said to the first of them; each id gets its answer.

        What a server could not read as a call goes back as words.
        """
        read = called.read(answer)
        if read is None or not all(call.decoded is not None for call in read.calls):
            return told(answer if read is None else _in_words(read), said)
        first, *others = dict.fromkeys(call.id for call in read.calls)  # a model may give one twice
        results = {first: said, **dict.fromkeys(others, _WITH_THE_OTHERS)}
        return [
            read.message(),
            *({"role": "tool", "tool_call_id": of, "content": result} for of, result in results.items()),
        ]


def _in_words(answer: CalledTools) -> str:
    return "\n".join(part for part in (answer.content, *(call.arguments for call in answer.calls)) if part)


def _proposed(call: CalledTool) -> Proposal:
    if call.name != TOOL.name:
        detail = f"there is no function {call.name[:64]!r}; the one to call is {TOOL.name}"
        return _rejected(RejectionReason.UNKNOWN_TOOL, detail)
    proposal = proposal_in(call.arguments)
    if proposal.edits or proposal.rejections or proposal.declined is not None:
        return proposal
    if "edits" in (call.decoded or {}):
        return proposal
    detail = f"the arguments of {TOOL.name} have no edits"
    return _rejected(RejectionReason.UNTERMINATED, detail)


def _rejected(reason: RejectionReason, detail: str) -> Proposal:
    rejection = Rejection(edit=0, reason=reason, detail=detail)
    return Proposal(title="", explanation="", edits=(), rejections=(rejection,))


def _joined(proposals: Sequence[Proposal]) -> Proposal:
    """Join the proposals of several calls; edits are numbered before all rejections."""
    if len(proposals) == 1:
        return proposals[0]
    edits: tuple[AnyEdit, ...] = tuple(
        dict.fromkeys(edit for proposal in proposals for edit in proposal.edits)
    )
    rejections = [rejection for proposal in proposals for rejection in proposal.rejections]
    declined = next((each.declined for each in proposals if each.declined is not None), None)
    return Proposal(
        title=next((each.title for each in proposals if each.title), ""),
        explanation=next((each.explanation for each in proposals if each.explanation), ""),
        edits=edits,
        rejections=tuple(
            replace(rejection, edit=number) for number, rejection in enumerate(rejections, start=len(edits))
        ),
        declined=None if edits or rejections else declined,
    )
