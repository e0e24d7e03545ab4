"""Behaviour on demand: delays, faults and scripted answers, and how they are used up."""

import time
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from patchmill.dev.standin.refusal import Refusal, concurrency_limit, invalid_api_key, invalid_param

SPEND_RESET_S = 3


class FaultKind(StrEnum):
    """What can go wrong with one request."""

    INTERNAL = "500"
    BAD_GATEWAY = "502"
    NO_CAPACITY = "503"
    UPSTREAM_TIMEOUT = "504"
    CONCURRENCY = "429_concurrency"
    SPEND = "429_spend"
    KEY = "401"
    BALANCE = "402"
    GROUP = "403"
    PARAM = "400"
    STALL = "stall"
    TRUNCATE = "truncate"
    STREAM_ERROR = "stream_error"
    HTML = "html_200"
    EMPTY = "empty"
    HOLD = "hold"


class _Control(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultRule(_Control):
    """A fault for the next `times` requests, or the next whose prompt contains `match`."""

    fault: FaultKind
    times: int = Field(1, ge=1)
    match: str | None = None


class ScriptedAnswer(_Control):
    """Text to answer verbatim to the next `times` requests, or the next whose prompt contains `match`."""

    content: str
    times: int = Field(1, ge=1)
    match: str | None = None


class Behaviour(_Control):
    """How the stand-in behaves from now on.

    `latency_ms` passes before the headers, `first_token_ms` between headers and first token, `chunk_delay_ms`
    between the chunks of a stream. `concurrency` None means the option that the stand-in was started with.
    """

    latency_ms: int = Field(0, ge=0)
    first_token_ms: int = Field(0, ge=0)
    chunk_delay_ms: int = Field(0, ge=0)
    concurrency: int | None = Field(None, ge=1)
    faults: list[FaultRule] = Field(default_factory=list)
    script: list[ScriptedAnswer] | None = None

    def take_fault(self, prompt: str) -> FaultKind | None:
        """Use up one fault that applies to this prompt; the first in the list wins."""
        rule = _take(self.faults, prompt)
        return None if rule is None else rule.fault

    def take_answer(self, prompt: str) -> str | None:
        """Use up one scripted answer that applies to this prompt."""
        answer = _take(self.script or [], prompt)
        return None if answer is None else answer.content


_Rule = TypeVar("_Rule", FaultRule, ScriptedAnswer)


def _take(rules: list[_Rule], prompt: str) -> _Rule | None:
    for index, rule in enumerate(rules):
        if rule.match is None or rule.match in prompt:
            rule.times -= 1
            if rule.times == 0:
                del rules[index]
            return rule
    return None


_ERRORS: dict[FaultKind, tuple[int, str, str]] = {
    FaultKind.INTERNAL: (500, "internal_error", "Something went wrong inside."),
    FaultKind.BAD_GATEWAY: (502, "upstream_error", "The upstream answered badly."),
    FaultKind.NO_CAPACITY: (503, "no_capacity", "No capacity for this model now."),
    FaultKind.UPSTREAM_TIMEOUT: (504, "upstream_timeout", "The upstream took too long."),
    FaultKind.SPEND: (429, "rate_limit_error", "The key's spend cap is reached."),
    FaultKind.BALANCE: (402, "insufficient_balance", "The organisation's wallet is empty."),
    FaultKind.GROUP: (403, "model_not_in_group", "The key's routing group does not reach this model."),
}


def refusal_of(fault: FaultKind, *, concurrency: int) -> Refusal | None:
    """The refusal that a fault stands for; None for one that spoils a 200."""
    if fault is FaultKind.CONCURRENCY:
        return concurrency_limit(concurrency)
    if fault is FaultKind.KEY:
        return invalid_api_key()
    if fault is FaultKind.PARAM:
        return invalid_param("messages", "messages: refused on demand.")
    if fault not in _ERRORS:
        return None
    status, code, message = _ERRORS[fault]
    return Refusal(status=status, code=code, message=message, headers=_headers(fault))


def _headers(fault: FaultKind) -> dict[str, str]:
    """The quota headers that go with an error about money."""
    if fault is FaultKind.SPEND:
        # Rounded up, so that a client that waits until then has really waited.
        reset = int(time.time()) + 1 + SPEND_RESET_S
        return {"X-RateLimit-Remaining": "0.000000", "X-RateLimit-Reset": str(reset)}
    if fault is FaultKind.BALANCE:
        return {"X-Org-Quota-Remaining-Credits": "0.000000"}
    return {}
