"""Faults: what can go wrong with a request, which requests are struck, and what each is refused with."""

import time
from enum import StrEnum
from typing import Annotated, Protocol, Self

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
    QUOTA = "402_quota"
    GROUP = "403"
    ADDRESS = "403_address"
    PARAM = "400"
    CONTEXT = "400_context"
    NOT_FOUND = "404"
    TOO_LARGE = "413"
    UNPROCESSABLE = "422"
    STALL = "stall"
    TRUNCATE = "truncate"
    STREAM_ERROR = "stream_error"
    HTML = "html_200"
    EMPTY = "empty"
    HOLD = "hold"


class Strike(Protocol):
    """What strikes a request: a fault or a wire case, never both."""

    @property
    def fault(self) -> FaultKind | None:
        """The fault."""

    @property
    def wire_case(self) -> str | None:
        """The name of the wire case."""


class _Struck(BaseModel):
    """A fault or a wire case, and the prompts that it is for.

    A wire case waits for a request that it can be played to: some are for streams or plain answers only.
    """

    model_config = ConfigDict(extra="forbid")

    fault: FaultKind | None = None
    wire_case: str | None = None
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
        """Whether it is for this request."""
        case = None if self.wire_case is None else CASES[self.wire_case]
        return (self.match is None or self.match in prompt) and (case is None or case.fits(stream=stream))


class FaultRule(_Struck):
    """A fault or a wire case for the next `times` requests, or the next whose prompt contains `match`."""

    times: int = Field(1, ge=1)


class FaultShare(_Struck):
    """A fault or a wire case for a share of all requests, or of those whose prompt contains `match`."""

    share: float = Field(gt=0, le=1)


Seconds = Annotated[float, Field(ge=0)]


class Outage(BaseModel):
    """A time in which every request is refused, or every one for `model`.

    From `from_s` until `until_s` seconds after the behaviour was set, or for `for_s` of every `every_s`.
    """

    model_config = ConfigDict(extra="forbid")

    fault: FaultKind = FaultKind.NO_CAPACITY
    model: str | None = None
    from_s: Seconds = 0
    until_s: Seconds | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None
    for_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.every_s is None) is not (self.for_s is None):
            raise ValueError("every_s and for_s go together")
        if self.every_s is None and self.until_s is None:
            raise ValueError("give until_s, or every_s and for_s")
        if self.until_s is not None and self.until_s <= self.from_s:
            raise ValueError("until_s is not after from_s")
        return self

    @property
    def wire_case(self) -> None:
        """An outage is never a wire case."""

    def strikes(self, model: str, elapsed_s: float) -> bool:
        """Whether it lasts at this time, for this model."""
        since_s = elapsed_s - self.from_s
        if (self.model is not None and self.model != model) or since_s < 0:
            return False
        if self.until_s is not None and elapsed_s >= self.until_s:
            return False
        return self.every_s is None or self.for_s is None or since_s % self.every_s < self.for_s


_ERRORS: dict[FaultKind, tuple[int, str, str]] = {
    FaultKind.INTERNAL: (500, "internal_error", "Something went wrong inside."),
    FaultKind.BAD_GATEWAY: (502, "upstream_error", "The upstream answered badly."),
    FaultKind.NO_CAPACITY: (503, "no_capacity", "No capacity for this model now."),
    FaultKind.UPSTREAM_TIMEOUT: (504, "upstream_timeout", "The upstream took too long."),
    FaultKind.SPEND: (429, "rate_limit_error", "The key's spend cap is reached."),
    FaultKind.BALANCE: (402, "insufficient_balance", "The organisation's wallet is empty."),
    FaultKind.QUOTA: (402, "quota_exceeded", "The key's lifetime quota is used up."),
    FaultKind.GROUP: (403, "model_not_in_group", "The key's routing group does not reach this model."),
    FaultKind.ADDRESS: (403, "permission_denied", "Requests from this address are not allowed."),
    FaultKind.CONTEXT: (400, "context_length_exceeded", "The prompt and max_tokens exceed the context."),
    FaultKind.NOT_FOUND: (404, "not_found", "Not Found."),
    FaultKind.TOO_LARGE: (413, "request_too_large", "The body is too large."),
    FaultKind.UNPROCESSABLE: (422, "unprocessable_content", "The content cannot be processed."),
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
    if fault is FaultKind.QUOTA:
        return {"X-Quota-Remaining-Credits": "0.000000"}
    return {}
