"""The outcome of a call as a typed value; nothing else in the code interprets HTTP."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from patchmill.edit.called import CalledTool
from patchmill.job.failure import Failure

STAND_IN_FINGERPRINT = "stand-in"


class Anomaly(StrEnum):
    """What is odd about an answer without spoiling it; stored and counted."""

    NO_DONE = "no_done"  # the stream ended without `[DONE]`
    USAGE_MISSING = "usage_missing"
    USAGE_IMPOSSIBLE = "usage_impossible"  # its numbers cannot be true
    CACHED_DIFFER = "cached_differ"  # the two spellings of cached tokens, or hit + miss and the prompt
    CACHED_OVER_INPUT = "cached_over_input"
    REASONING_OVER_OUTPUT = "reasoning_over_output"
    TOTAL_DIFFERS = "total_differs"  # from prompt + completion
    OUTPUT_OVER_MAX = "output_over_max"  # more tokens than `max_tokens` asked for
    INPUT_OVER_BOUND = "input_over_bound"  # more tokens than the request can have
    MODEL_DIFFERS = "model_differs"  # another model's name than the one that was asked
    MORE_CHOICES = "more_choices"  # others than choice 0, which alone was asked for
    FINISH_DIFFERS = "finish_differs"  # tools were called, and the finish reason is `stop`


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the gateway reported them; `raw` is the report verbatim.

    `cached_tokens` is a part of `input_tokens`, `reasoning_tokens` of `output_tokens`.
    """

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimings:
    """Milliseconds since the call was asked for: until its request left, its first token, and its end.

    `queue_ms` is what passed before the wire, connecting included. `first_token_ms` is None for a plain
    answer, and where no token came.
    """

    queue_ms: int = 0
    first_token_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the gateway's headers said of money, in US dollars; None for what they did not say.

    `limit_usd` and `remaining_usd` are of the spend window closest to its cap, which ends at `reset_at`;
    `key_usd` is left on the key for life, `org_usd` in the organisation's wallet.
    """

    limit_usd: Decimal | None = None
    remaining_usd: Decimal | None = None
    reset_at: datetime | None = None
    key_usd: Decimal | None = None
    org_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One tool that the model asks for: the id to answer it by, its name, its arguments as decoded JSON."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What came back, whatever the outcome; None and empty for what did not come.

    `raw_usage` is the last usage report as it was sent, also where `usage` is None because its numbers cannot
    be true. `reasoning` is never a part of the text.
    """

    timings: CallTimings
    status: int | None = None
    usage: Usage | None = None
    raw_usage: object = None
    returned_model: str | None = None
    system_fingerprint: str | None = None
    gateway_request_id: str | None = None
    quota: Quota = field(default_factory=Quota)
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()

    @property
    def stand_in(self) -> bool:
        """Whether the stand-in gateway answered, in place of a model."""
        return self.system_fingerprint == STAND_IN_FINGERPRINT


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(_Seen):
    """A complete answer: billed. `usage` is None when the gateway did not say what it costs.

    `called` are its tool calls as the model wrote them, also those that cannot be made. `fault` says why a
    complete answer is of no use: it is blank (`EMPTY`), or not what the protocol allows (`PROTOCOL`): tool
    markup in the text, arguments that are no JSON, an unknown finish reason.
    """

    text: str
    finish_reason: str
    fault: Failure | None = None
    called: tuple[CalledTool, ...] = ()

    def as_message(self) -> dict[str, Any]:
        """Give the answer as the message that stands for it in the next turn.

        Where tools were called, the reasoning goes back with them, because some models refuse a history
        without it; elsewhere it would only cost.
        """
        if not self.tool_calls:
            return {"role": "assistant", "content": self.text}
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":")),
                },
            }
            for call in self.tool_calls
        ]
        return {
            "role": "assistant",
            "content": self.text,
            "reasoning_content": self.reasoning,
            "tool_calls": calls,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(_Seen):
    """Refused, or never sent: not billed.

    `parameter` is the optional field of the request that a refusal named: without it the request may pass.
    """

    failure: Failure
    code: str | None
    parameter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(_Seen):
    """Sent, and no complete answer came: may be billed. `partial` is what had arrived."""

    failure: Failure
    partial: str


CallOutcome = Answered | Rejected | Unknown
