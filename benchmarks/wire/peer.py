"""The `openai` SDK, used as its documentation shows, and what came of a case with it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import openai
from openai import AsyncOpenAI

from benchmarks.wire.expectations import FINE, TOOL_NAME, Expected, Knows, Outcome
from benchmarks.wire.ours import CLOCKS, DEADLINE_S, MAX_TOKENS, MODEL, PARAMETERS, PROMPT
from benchmarks.wire.stand_in import KEY, Bill

PATIENCE_S = DEADLINE_S + 2.0
_LONGEST_REASON = 100


class Verdict(StrEnum):
    """What came of a case."""

    RIGHT = "right"
    WRONG = "wrong"
    HANGS = "hangs"
    UNTYPED = "raises untyped"


@dataclass(slots=True, kw_only=True)
class Got:
    """What the SDK gave back, or `error`."""

    text: str = ""
    finish: str | None = None
    usage: tuple[Any, Any] | None = None
    tools: list[tuple[Any, Any]] = field(default_factory=list)
    error: BaseException | None = None
    hung: bool = False


def _fields() -> dict[str, Any]:
    function = {"name": TOOL_NAME, "description": "Reads a file", "parameters": PARAMETERS}
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": MAX_TOKENS,
        "tools": [{"type": "function", "function": function}],
    }


async def _created(client: AsyncOpenAI) -> Got:
    return _read(await client.chat.completions.create(**_fields()))


async def _streamed(client: AsyncOpenAI) -> Got:
    """Add up the chunks of `create(stream=True)`, as the SDK's guide to streaming does."""
    got, calls = Got(), dict[int, Any]()
    asked: Any = client.chat.completions.create
    stream = await asked(**_fields(), stream=True, stream_options={"include_usage": True})
    async for chunk in stream:
        if chunk.usage is not None:
            got.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        if not chunk.choices:
            continue
        choice = chunk.choices[0]
        got.text += choice.delta.content or ""
        got.finish = choice.finish_reason or got.finish
        for call in choice.delta.tool_calls or []:
            if call.index not in calls:
                calls[call.index] = call
            else:
                calls[call.index].function.arguments += call.function.arguments
    got.tools = [(call.function.name, call.function.arguments) for call in calls.values()]
    return got


async def _helped(client: AsyncOpenAI) -> Got:
    """Let the SDK's streaming helper add up the chunks."""
    asked: Any = client.chat.completions.stream
    async with asked(**_fields(), stream_options={"include_usage": True}) as stream:
        return _read(await stream.get_final_completion())


def _read(completion: Any) -> Got:
    message = completion.choices[0].message
    usage = completion.usage
    return Got(
        text=message.content or "",
        finish=completion.choices[0].finish_reason,
        usage=None if usage is None else (usage.prompt_tokens, usage.completion_tokens),
        tools=[(call.function.name, call.function.arguments) for call in message.tool_calls or []],
    )


Way = Callable[[AsyncOpenAI], Awaitable[Got]]
WAYS: Mapping[str, tuple[Way, Way]] = {  # for a stream, and for a plain answer
    "openai create()": (_streamed, _created),
    "openai stream()": (_helped, _created),
}


def ask(url: str, way: Way) -> Got:
    """Make one call, with no retries and our own limits of time where the SDK has them."""

    async def call() -> Got:
        # A call that is given up leaves generators behind, whose closing is not what is measured.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=CLOCKS.progress_s) as client:
            try:
                return await asyncio.wait_for(way(client), PATIENCE_S)
            except TimeoutError as error:
                return Got(hung=True, error=error)
            except Exception as error:  # noqa: BLE001 - which one it is, is what is measured
                return Got(error=error)

    return asyncio.run(call())


def verdict(expected: Expected, got: Got, bill: Bill) -> tuple[Verdict, str]:
    """Judge what the SDK gave back, and say why; an error that it typed itself is right where none is due.

    What a caller can see counts as told: a finish reason other than a good one, no text, arguments that are
    no JSON. Text without a finish reason is not told, for that is how a stream that is cut looks.
    """
    if got.hung:
        return Verdict.HANGS, f"still waiting after {PATIENCE_S:g} s"
    if got.error is not None and not isinstance(got.error, openai.OpenAIError):
        return Verdict.UNTYPED, _short(got.error)
    if expected.outcome is Outcome.ANSWERED and expected.failure is None:
        wrong = _about_answer(expected, got, bill)
    elif got.error is not None or _is_told(expected, got):
        wrong = None
    elif expected.either:
        wrong = _about_answer(FINE, got, bill)
    else:
        wrong = f"taken for an answer: {got.text!r}, finish {got.finish!r}"[:_LONGEST_REASON]
    return (Verdict.RIGHT, "") if wrong is None else (Verdict.WRONG, wrong)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]


def _is_told(expected: Expected, got: Got) -> bool:
    """Whether a caller can see that what came back is no good answer."""
    if got.finish is not None and got.finish not in {"stop", "tool_calls"}:
        return True
    if expected.outcome is not Outcome.ANSWERED:
        return False
    if got.finish == "tool_calls":
        return not got.tools or any(_arguments(written) is None for _, written in got.tools)
    return not got.text.strip() and not got.tools


def _about_answer(expected: Expected, got: Got, bill: Bill) -> str | None:
    """Say what is wrong about an answer that ought to be a good one."""
    ended = isinstance(got.error, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError)
    if ended and expected.finish in {None, "length", "content_filter"}:
        return None
    if got.error is not None:
        return _short(got.error)
    called = list(zip(got.tools, expected.tools, strict=False))
    faults = {
        f"text {got.text!r}": expected.text not in {None, got.text},
        f"finish {got.finish!r}": expected.finish not in {None, got.finish},
        f"tool calls {got.tools}": len(got.tools) != len(expected.tools)
        or not all(_is_call(call, arguments) for call, arguments in called),
        f"usage {got.usage}": expected.usage is not Knows.NOTHING
        and got.usage != (bill.input_tokens, bill.output_tokens),
    }
    return next((fault[:_LONGEST_REASON] for fault, found in faults.items() if found), None)


def _is_call(call: tuple[Any, Any], arguments: Mapping[str, Any]) -> bool:
    name, written = call
    return bool(name == TOOL_NAME and _arguments(written) == arguments)


def _arguments(written: Any) -> Any:
    """Decode the arguments as a caller would; None where they are no JSON."""
    if not written:
        return {}
    try:
        return json.loads(written) if isinstance(written, str) else written
    except ValueError:
        return None
