"""What a trial asks: one small request for each thing to be found out, and what its answer shows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from patchmill.budget.models import ModelCapability
from patchmill.call.reply import Answered
from patchmill.call.request import ChatRequest, JsonObject, JsonSchema, Tool
from patchmill.call.tokens import count_tokens

COUNTED_TOKENS = 8  # a fraction of what counting to 50 takes
ANSWER_TOKENS = 64
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"enum": ["yes", "no"]}},
    "required": ["answer"],
    "additionalProperties": False,
}
NOTE = Tool(
    name="note",
    description="Notes a number.",
    parameters={"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]},
)


class Feature(StrEnum):
    """Something that a model may be able to do, beyond answering."""

    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    TOOLS = "tools"
    REASONING = "reasoning"


class Found(StrEnum):
    """What came of trying a feature."""

    WORKS = "works"
    FENCED = "fenced"  # the JSON stands within a Markdown fence
    CUT = "cut"  # the answer was too long to tell
    UNUSABLE = "unusable"  # taken, and without the effect that it should have
    REFUSED = "refused"
    FAILED = "failed"  # the call came to something else than an answer or a refusal of this
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of a feature; `said` is the gateway's word for it, or the reason why it was not tried."""

    found: Found
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How one feature is tried: the request, the fields that stand for it, how its answer is read."""

    request: ChatRequest
    fields: frozenset[str]
    read: Callable[[Answered], Finding]


def counting(model: str, able: ModelCapability) -> ChatRequest:
    """Ask for far more than `max_tokens` allows, as a stream that tells usage."""
    return _request(model, able, "Count from 1 to 50.", max_tokens=COUNTED_TOKENS, stream=True)


def keeps_max_tokens(answer: Answered) -> bool | None:
    """Say whether the answer to `counting` was cut where it had to be; None if it was too short to tell."""
    if answer.usage is not None:
        tokens = answer.usage.output_tokens
    else:
        # The count is an estimate where the vocabulary is another model's.
        tokens = count_tokens(answer.text + answer.reasoning) // 2
    if tokens > COUNTED_TOKENS:
        return False
    return True if answer.finish_reason == "length" else None


def probe(feature: Feature, model: str, able: ModelCapability) -> Probe:
    """Give the probe of a feature, for a model that can be asked by `able`; none of them is streamed."""
    match feature:
        case Feature.JSON_OBJECT:
            content = 'Answer with the JSON object {"ok": true} and nothing else.'
            asked = _request(model, able, content, response_format=JsonObject())
            return Probe(request=asked, fields=frozenset({"response_format"}), read=_read_json)
        case Feature.JSON_SCHEMA:
            content = 'Is water wet? Answer in JSON: {"answer": "yes"} or {"answer": "no"}.'
            wished = JsonSchema(name="answer", schema=SCHEMA)
            asked = _request(model, able, content, response_format=wished)
            return Probe(request=asked, fields=frozenset({"response_format"}), read=_read_schema)
        case Feature.TOOLS:
            content = "Call the function note with the value 7."
            asked = _request(model, able, content, tools=[NOTE], tool_choice="required")
            return Probe(request=asked, fields=frozenset({"tools"}), read=_read_tools)
        case Feature.REASONING:
            asked = _request(model, able, "What is 17 + 25?", reasoning=True)
            return Probe(request=asked, fields=frozenset({"reasoning"}), read=_read_reasoning)


def _request(
    model: str,
    able: ModelCapability,
    content: str,
    *,
    max_tokens: int = ANSWER_TOKENS,
    stream: bool = False,
    **wishes: Any,
) -> ChatRequest:
    return ChatRequest(
        model=model,
        messages=[{"role": "user", "content": content}],
        max_tokens=max_tokens,
        stream=stream,
        capability=able,
        **wishes,
    )


def _read_json(answer: Answered) -> Finding:
    return _json_finding(answer, lambda value: isinstance(value, dict))


def _read_schema(answer: Answered) -> Finding:
    return _json_finding(answer, lambda value: value in ({"answer": "yes"}, {"answer": "no"}))


def _json_finding(answer: Answered, fits: Callable[[object], bool]) -> Finding:
    text = answer.text.strip()
    inner = text.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        value = json.loads(inner)
    except (ValueError, RecursionError):
        if answer.finish_reason == "length":
            return Finding(found=Found.CUT, said=f"cut at {ANSWER_TOKENS} tokens")
        return Finding(found=Found.UNUSABLE, said="a blank answer" if not text else "an answer without JSON")
    if not fits(value):
        return Finding(found=Found.UNUSABLE, said="JSON of another shape")
    return Finding(found=Found.WORKS if inner == text else Found.FENCED)


def _read_tools(answer: Answered) -> Finding:
    calls = [call for call in answer.tool_calls if call.name == NOTE.name]
    if calls and all(type(call.arguments.get("value")) is int for call in calls):
        return Finding(found=Found.WORKS)
    if answer.finish_reason == "length":
        return Finding(found=Found.CUT, said=f"cut at {ANSWER_TOKENS} tokens")
    said = "other arguments than its schema allows" if calls else "an answer that calls none"
    return Finding(found=Found.UNUSABLE, said=said)


def _read_reasoning(answer: Answered) -> Finding:
    told = answer.usage is not None and answer.usage.reasoning_tokens > 0
    if answer.reasoning.strip() or told:
        return Finding(found=Found.WORKS)
    return Finding(found=Found.UNUSABLE, said="an answer without any")
