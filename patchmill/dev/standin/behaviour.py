"""How a stand-in behaves: delays, faults, limits, oddities and scripted answers, all in one document."""

import random
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from patchmill.dev.standin.catalogue import PICOS_PER_USD
from patchmill.dev.standin.delays import KINDS, Delay
from patchmill.dev.standin.faults import FaultRule, FaultShare, Outage, Strike
from patchmill.dev.standin.spending import WINDOWS_S, Money

_ROUNDING = 1e-9
_YEAR_S = 365 * 86_400

CachedFields = Literal["both", "hit_miss", "details", "none"]
AccountFault = Literal["401", "404", "500", "503", "html_200", "garbage", "hang"]
StreamedUsage = Literal["asked", "always", "never", "on_finish"]
# Amounts have at most twelve places: a pico-dollar is the smallest.
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=19, decimal_places=12)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScriptedAnswer(_Part):
    """Text to answer verbatim to the next `times` requests, or the next whose prompt contains `match`."""

    content: str
    times: int = Field(1, ge=1)
    match: str | None = None

    def fits(self, prompt: str) -> bool:
        """Whether it answers this request."""
        return self.match is None or self.match in prompt


class SpendCap(_Part):
    """What a key may spend in any so many seconds on end; 0 for no cap."""

    window_s: int = Field(ge=1)
    usd: Usd


class Limits(_Part):
    """Limits on money, in US dollars."""

    spend_caps: list[SpendCap] = [SpendCap(window_s=WINDOWS_S[0], usd=Decimal(50))]
    key_quota_usd: Usd = Decimal(500)
    wallet_usd: Usd = Decimal(1_000)

    @property
    def money(self) -> Money:
        """The limits in pico-dollars."""
        return Money(
            caps=tuple((cap.window_s, _picos(cap.usd)) for cap in self.spend_caps),
            key_quota_picos=_picos(self.key_quota_usd),
            wallet_picos=_picos(self.wallet_usd),
        )


class Oddities(_Part):
    """Ways in which a server differs from the documents.

    `strict_fields` refuses request fields that the model's page leaves out, `refused_fields` refuses these.
    `fenced_json` wraps JSON in a Markdown fence; `returned_model` is the name that answers give themselves.
    """

    strict_fields: bool = False
    refused_fields: list[str] = []
    ignores_max_tokens: bool = False
    streamed_usage: StreamedUsage = "asked"
    cached_fields: CachedFields = "both"
    fenced_json: bool = False
    returned_model: str | None = None
    quota_headers: bool = True


class AccountApi(_Part):
    """How the account under `/api/v1/me` answers.

    With a `fault` it tells nothing. Calls of the last `lag_s` seconds are in no bucket of use yet, and all
    are filed `clock_s` seconds later than they came, or earlier if that is below zero.
    """

    fault: AccountFault | None = None
    lag_s: float = Field(0, ge=0, le=_YEAR_S, allow_inf_nan=False)
    clock_s: float = Field(0, ge=-_YEAR_S, le=_YEAR_S, allow_inf_nan=False)


class Behaviour(_Part):
    """How the stand-in behaves from now on.

    `latency_ms` passes before the headers, `first_token_ms` between headers and first token, `chunk_delay_ms`
    between the chunks of a stream. `concurrency` and `limits` None mean what the stand-in was started with.
    `every_wire_case` plays one wire case after the other to requests that nothing else strikes.
    """

    seed: int = 0
    latency_ms: Delay = 0
    first_token_ms: Delay = 0
    chunk_delay_ms: Delay = 0
    concurrency: int | None = Field(None, ge=1)
    limits: Limits | None = None
    missing_models: list[str] = []
    models_not_in_group: list[str] = []
    odd: Oddities = Oddities()
    account: AccountApi = AccountApi()
    faults: list[FaultRule] = Field(default_factory=list)
    shares: list[FaultShare] = Field(default_factory=list)
    outages: list[Outage] = Field(default_factory=list)
    every_wire_case: bool = False
    script: list[ScriptedAnswer] | None = None

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if sum(share.share for share in self.shares if share.match is None) > 1 + _ROUNDING:
            raise ValueError("the shares add up to more than 1")
        return self

    def take_fault(
        self, prompt: str, *, model: str, stream: bool, elapsed_s: float, chance: random.Random
    ) -> Strike | None:
        """What strikes this request: a fault of the list, which is used up, an outage, or one by chance."""
        for index, rule in enumerate(self.faults):
            if rule.fits(prompt, stream=stream):
                _use(self.faults, index)
                return rule
        for outage in self.outages:
            if outage.strikes(model, elapsed_s):
                return outage
        return _drawn([share for share in self.shares if share.fits(prompt, stream=stream)], chance)

    def take_answer(self, prompt: str) -> str | None:
        """Use up one scripted answer that applies to this prompt."""
        script = self.script or []
        for index, answer in enumerate(script):
            if answer.fits(prompt):
                _use(script, index)
                return answer.content
        return None


class InvalidBehaviour(ValueError):
    """A document that describes no behaviour; the message names the field, then says what is wrong."""


def read_behaviour(document: Any) -> Behaviour:
    """The behaviour that a document describes; raises InvalidBehaviour."""
    try:
        return Behaviour.model_validate(document)
    except ValidationError as error:
        raise InvalidBehaviour(explain(error)) from None


def explain(error: ValidationError) -> str:
    """What is wrong, field by field."""
    parts = []
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"] if part not in KINDS)
        parts.append(f"{where or 'body'}: {one['msg']}")
    return "; ".join(parts)


_Rule = TypeVar("_Rule", FaultRule, ScriptedAnswer)


def _use(rules: list[_Rule], index: int) -> None:
    rules[index].times -= 1
    if rules[index].times == 0:
        del rules[index]


def _drawn(shares: list[FaultShare], chance: random.Random) -> FaultShare | None:
    if not shares:
        return None
    point = chance.random()
    for share in shares:
        point -= share.share
        if point < 0:
            return share
    return None


def _picos(usd: Decimal) -> int:
    return int(usd * PICOS_PER_USD)
