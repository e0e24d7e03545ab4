"""What is answered to a request: its choices, each cut at `max_tokens`, and the usage of all."""

import asyncio
import json
from dataclasses import dataclass

from patchmill.dev.standin.catalogue import MODELS
from patchmill.dev.standin.chat.json_answers import as_json, wants_edits, wants_json
from patchmill.dev.standin.chat.request import ChatRequest
from patchmill.dev.standin.chat.schema_example import UnsupportedSchema, smallest
from patchmill.dev.standin.chat.tool_calls import ToolCall, call_with, calls_for, function_for_edits
from patchmill.dev.standin.model import Turn
from patchmill.dev.standin.players import Played, Player
from patchmill.dev.standin.refusal import invalid_param
from patchmill.dev.standin.tokens import count_tokens, cut

REASONING = "The stand-in gateway does not reason; this sentence takes the place of reasoning."


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer: what was reasoned, said and called, and why it ended."""

    reasoning: str
    content: str
    calls: tuple[ToolCall, ...]
    finish: str

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the reasoning; a part of the output."""
        return count_tokens(self.reasoning)

    @property
    def output_tokens(self) -> int:
        """All tokens of this answer."""
        called = sum(count_tokens(call.name) + count_tokens(call.arguments) for call in self.calls)
        return self.reasoning_tokens + count_tokens(self.content) + called


def cut_choice(content: str, *, reasoning: str = "", max_tokens: int) -> Choice:
    """A choice in words alone, cut at `max_tokens`."""
    thought = cut(reasoning, max_tokens)
    kept = cut(content, max_tokens - count_tokens(thought))
    return Choice(reasoning=thought, content=kept, calls=(), finish="stop" if kept == content else "length")


def called_choice(calls: tuple[ToolCall, ...], *, reasoning: str, max_tokens: int) -> Choice:
    """A choice that calls tools; arguments past `max_tokens` are cut, and the calls after them dropped."""
    thought = cut(reasoning, max_tokens)
    room = max_tokens - count_tokens(thought)
    kept: list[ToolCall] = []
    for call in calls:
        room -= count_tokens(call.name)
        if room <= 0:
            break
        arguments = cut(call.arguments, room)
        room -= count_tokens(arguments)
        kept.append(ToolCall(call_id=call.call_id, name=call.name, arguments=arguments))
    finish = "tool_calls" if tuple(kept) == calls else "length"
    return Choice(reasoning=thought, content="", calls=tuple(kept), finish=finish)


async def choose(
    request: ChatRequest,
    scripted: str | None,
    *,
    player: Player,
    request_id: str,
    max_tokens: int,
    fenced_json: bool = False,
) -> list[Choice]:
    """The choices for a request, `n` of them; a scripted answer takes the place of the rules, verbatim.

    Raises Refusal 400 for a schema that cannot be satisfied by rule.
    """
    reasoning = REASONING if request.wants_reasoning else ""
    parallel = MODELS[request.model].parallel_tools
    calls: tuple[ToolCall, ...] = ()
    if scripted is None:
        calls = await edits_called(request, player, request_id=request_id) or calls_for(
            request, request_id=request_id, parallel=parallel
        )
    if calls:
        choice = called_choice(calls, reasoning=reasoning, max_tokens=max_tokens)
    else:
        content = await content_for(request, player) if scripted is None else scripted
        if fenced_json and scripted is None and request.wants_json:
            content = f"```json\n{content}\n```"
        choice = cut_choice(content, reasoning=reasoning, max_tokens=max_tokens)
    return [choice] * (request.n or 1)


async def edits_called(request: ChatRequest, player: Player, *, request_id: str) -> tuple[ToolCall, ...]:
    """The call of the function that takes edits, with those of the player; none if none is offered."""
    function = function_for_edits(request)
    if function is None or not wants_edits(request):
        return ()
    played = await _played(request, player)
    arguments = _spoilt(played, as_json(played.text, request))
    return (call_with(function, arguments, request_id=request_id),)


async def content_for(request: ChatRequest, player: Player) -> str:
    """The words that answer a request, as the player gives them."""
    structured = None if request.response_format is None else request.response_format.json_schema
    if structured is not None and not wants_edits(request):
        try:
            return json.dumps(smallest(structured.schema_))
        except UnsupportedSchema as error:
            raise invalid_param("response_format", f"response_format: the schema: {error}.") from None
    played = await _played(request, player)
    text = _spoilt(played, as_json(played.text, request) if wants_json(request) else played.text)
    ends = [text.index(stop) for stop in request.stops if stop in text]
    return text[: min(ends)] if ends else text


async def _played(request: ChatRequest, player: Player) -> Played:
    """What the player says to the conversation."""
    turns = [Turn(role=message.role, text=message.text) for message in request.messages]
    return await asyncio.to_thread(player.play, turns)


def _spoilt(played: Played, text: str) -> str:
    return text if played.spoil is None else played.spoil(text)
