"""Behaviour on demand: delays, faults and scripted answers, and how they are used up."""

import time
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from patchmill.dev.standin.refusal import Refusal, concurrency_limit, invalid_api_key, invalid_param
from patchmill.dev.standin.wire_cases import CASES

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
    """A fault or a wire case for the next `times` requests, or the next whose prompt contains `match`.

    A wire case waits for a request that it can be played to: some are for streams or plain answers only.
    """

    fault: FaultKind | None = None
    wire_case: str | None = None
    times: int = Field(1, ge=1)
    match: str | None = None

    @field_validator("wire_case")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in CASES:
            raise ValueError(f"there is no wire case {name!r}")
        return name

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.fault is None) is (self.wire_case is None):
            raise ValueError("give either fault or wire_case")
        return self

    def fits(self, prompt: str, *, stream: bool) -> bool:
        """Whether it strikes this request."""
        case = None if self.wire_case is None else CASES[self.wire_case]
        return (self.match is None or self.match in prompt) and (case is None or case.fits(stream=stream))


class ScriptedAnswer(_Control):
    """Text to answer verbatim to the next `times` requests, or the next whose prompt contains `match`."""

    content: str
    times: int = Field(1, ge=1)
    match: str | None = None

    def fits(self, prompt: str, *, stream: bool) -> bool:  # noqa: ARG002 - as a fault's
        """Whether it answers this request."""
        return self.match is None or self.match in prompt


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

    def take_fault(self, prompt: str, *, stream: bool) -> FaultRule | None:
        """Use up one fault that applies to this request; the first in the list wins."""
        return _take(self.faults, prompt, stream=stream)

    def take_answer(self, prompt: str) -> str | None:
        """Use up one scripted answer that applies to this prompt."""
        answer = _take(self.script or [], prompt, stream=False)
        return None if answer is None else answer.content


_Rule = TypeVar("_Rule", FaultRule, ScriptedAnswer)


def _take(rules: list[_Rule], prompt: str, *, stream: bool) -> _Rule | None:
    for index, rule in enumerate(rules):
        if rule.fits(prompt, stream=stream):
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
