"""The outcome of a call as a typed value; nothing else in the code interprets HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchmill.job.failure import Failure


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
    """Milliseconds from sending: to the first token (None when plain or none came), and in all."""

    first_token_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A complete answer: billed. `usage` is None when the gateway did not say what it costs."""

    text: str
    finish_reason: str
    usage: Usage | None
    returned_model: str | None
    gateway_request_id: str | None
    stand_in: bool
    timings: CallTimings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Refused, or never sent: not billed."""

    failure: Failure
    status: int | None
    code: str | None
    timings: CallTimings


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Sent, and no complete answer came: may be billed. `partial` is what had arrived."""

    failure: Failure
    partial: str
    usage: Usage | None
    timings: CallTimings


CallOutcome = Answered | Rejected | Unknown
