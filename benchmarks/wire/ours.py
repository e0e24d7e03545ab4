"""Our client, and what it got wrong of a case."""

from collections.abc import Iterator
from datetime import UTC, datetime

import uvloop

from benchmarks.wire.expectations import TOOL_NAME, Expected, Knows, Outcome
from benchmarks.wire.stand_in import KEY, Bill, Play
from patchmill.call.clocks import Clocks
from patchmill.call.gateway import Gateway
from patchmill.call.reply import Answered, CallOutcome, Rejected, Unknown
from patchmill.call.request import ChatRequest, Tool
from patchmill.job.failure import FailureClass

CLOCKS = Clocks(connect_s=1.0, first_data_s=1.0, progress_s=1.0)
DEADLINE_S = 4.0
MAX_TOKENS = 200
MODEL = "deepseek-v4-flash"
PROMPT = "four tokens here"
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}}
_TYPES = {Outcome.ANSWERED: Answered, Outcome.REJECTED: Rejected, Outcome.UNKNOWN: Unknown}


def ask(url: str, play: Play) -> CallOutcome:
    """Make one call, as a worker would."""
    tools = [Tool(name=TOOL_NAME, description="Reads a file", parameters=PARAMETERS)]
    request = ChatRequest(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=MAX_TOKENS,
        stream=play.stream,
        tools=tools,
    )

    async def call() -> CallOutcome:
        gateway = Gateway(base_url=url, api_key=KEY, now=lambda: datetime.now(UTC), clocks=CLOCKS)
        try:
            return await gateway.chat(request, deadline_s=DEADLINE_S)
        finally:
            await gateway.aclose()

    return uvloop.run(call())


def complaints(expected: Expected, outcome: CallOutcome, bill: Bill) -> Iterator[str]:
    """Say in what the outcome differs from what is expected, and from what was billed."""
    if not isinstance(outcome, _TYPES[expected.outcome]):
        yield f"{type(outcome).__name__.lower()} ({_failure(outcome)}) for {expected.outcome}"
        return
    if isinstance(outcome, Rejected) and bill.billed:
        yield "rejected, and billed all the same"
    failure = _failure(outcome)
    if failure is not expected.failure:
        yield f"failure {failure} for {expected.failure}"
    if {*outcome.anomalies} != expected.anomalies and expected.outcome is Outcome.ANSWERED:
        yield f"anomalies {sorted(outcome.anomalies)} for {sorted(expected.anomalies)}"
    if bool(outcome.reasoning) is not expected.reasoning:
        yield f"reasoning {outcome.reasoning!r}"
    if isinstance(outcome, Answered):
        yield from _about_answer(expected, outcome, bill)
    elif isinstance(outcome, Rejected):
        yield from _about_refusal(expected, outcome)
    elif expected.text not in {None, outcome.partial}:
        yield f"partial {outcome.partial!r} for {expected.text!r}"


def _failure(outcome: CallOutcome) -> FailureClass | None:
    failure = outcome.fault if isinstance(outcome, Answered) else outcome.failure
    return None if failure is None else failure.failure


def _about_answer(expected: Expected, outcome: Answered, bill: Bill) -> Iterator[str]:
    if expected.text not in {None, outcome.text}:
        yield f"text {outcome.text!r} for {expected.text!r}"
    if expected.finish not in {None, outcome.finish_reason}:
        yield f"finish {outcome.finish_reason!r} for {expected.finish!r}"
    called = [(call.name, call.arguments) for call in outcome.tool_calls]
    if called != [(TOOL_NAME, arguments) for arguments in expected.tools]:
        yield f"tool calls {called}"
    usage = outcome.usage
    if (usage is None) is not (expected.usage is Knows.NOTHING):
        yield f"usage {usage}"
    if usage is None:
        return
    if (usage.input_tokens, usage.output_tokens) != (bill.input_tokens, bill.output_tokens):
        yield f"usage {usage} for {bill}"
    if expected.usage is Knows.TRUE and usage.cached_tokens != bill.cached_tokens:
        yield f"{usage.cached_tokens} cached tokens for {bill.cached_tokens}"


def _about_refusal(expected: Expected, outcome: Rejected) -> Iterator[str]:
    if outcome.parameter != expected.parameter:
        yield f"parameter {outcome.parameter} for {expected.parameter}"
    wait_s, wished = outcome.failure.retry_after_s, expected.retry_after_s
    if (wait_s is None) is not (wished is None) or (
        wait_s is not None and wished is not None and not wished[0] <= wait_s <= wished[1]
    ):
        yield f"a wait of {wait_s} for {wished}"
