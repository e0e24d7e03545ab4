"""The shapes of the account at the gateway and of uncertain calls, each with an example."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.fields import Usd as UsdText
from api.requests import Body
from api.schemas import Instant, Shape, Usd
from patchmill.budget.reconciliation import Verdict
from patchmill.job.failure import FailureClass
from patchmill.store.decisions import MAX_REASON

MAX_TOKENS = 10**9


class Balance(Shape):
    """What is left in the wallet, and whether the gateway calls that low."""

    available_usd: Usd
    low: bool
    at: Instant


class BalanceForecast(Shape):
    """When the balance is used up if spending goes on as in the last hours; null where nothing was spent."""

    exhausted_at: Instant | None
    spent_usd: Usd = Field(description="what the gateway billed in so many hours, to whomever")
    over_hours: int


class Used(Shape):
    """Calls, and what they used and cost."""

    calls: int
    input_tokens: int
    output_tokens: int
    usd: Usd


class Difference(Shape):
    """One hour of one model in which the gateway's account and the ledger differ."""

    hour: Instant
    model: str
    verdict: Verdict
    billed: Used = Field(description="by the gateway's account")
    settled: Used = Field(description="by the ledger, of calls sent in the hour")
    uncertain_calls: int
    uncertain_usd: Usd
    since: Instant | None = Field(description="when it was first seen without an explanation")
    message: str


class Reconciliation(Shape):
    """How the gateway's account of use compares with the ledger, hour by hour, over the last two days."""

    state: Literal["pending", "ok", "drift", "unavailable", "unsupported"]
    message: str | None = Field(description="why the account cannot be read, in the gateway's words")
    looked_at: Instant | None = Field(description="when it was last read")
    uncertain_calls: int = Field(description="of which nobody knows yet whether they were billed")
    drift: list[Difference] = Field(description="at most 50, the last one first")


class CallDecision(Shape):
    """Who ended that a call was uncertain, and why: an operator, or the numbers of the account."""

    at: Instant
    actor: str
    ground: Literal["operator", "reconciliation"]
    reason: str


class Held(Shape):
    """A hold."""

    usd: Usd
    tokens: int


class UncertainCall(Shape):
    """A call that may have been billed or not; once that is decided, `decision` says by whom and why."""

    id: str
    job: str
    model: str
    state: Literal["uncertain", "settled", "void"]
    failure: FailureClass | None
    message: str | None
    held: Held
    cost_usd: Usd
    overrun_usd: Usd = Field(description="what it cost beyond its hold, which no budget bears")
    input_tokens: int
    output_tokens: int
    sent_at: Instant
    ended_at: Instant | None
    decision: CallDecision | None


class UncertainList(Shape):
    """A page of uncertain calls, newest first."""

    data: list[UncertainCall]
    next_cursor: str | None


class DecisionBody(Body):
    """Whether a call was billed, for how much, and how somebody knows."""

    billed: bool
    usd: UsdText | None = Field(None, description="what was billed; only if it was")
    input_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None = None
    output_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, description="how this is known")]


_AT = "2026-11-22T12:00:00.000000Z"
_USED = {"calls": 14, "input_tokens": 11_368, "output_tokens": 1_330, "usd": "0.00196392"}

BALANCE: dict[str, Any] = {"available_usd": "0", "low": True, "at": _AT}
FORECAST: dict[str, Any] = {"exhausted_at": _AT, "spent_usd": "0.0471", "over_hours": 24}
RECONCILIATION: dict[str, Any] = {
    "state": "drift",
    "message": None,
    "looked_at": _AT,
    "uncertain_calls": 1,
    "drift": [
        {
            "hour": "2026-11-22T10:00:00.000000Z",
            "model": "deepseek-v4-flash",
            "verdict": "drift",
            "billed": {**_USED, "calls": 15, "usd": "0.00214392"},
            "settled": _USED,
            "uncertain_calls": 0,
            "uncertain_usd": "0",
            "since": _AT,
            "message": "1 call more was billed than was made: $0.00018 more",
        }
    ],
}
UNCERTAIN_CALL: dict[str, Any] = {
    "id": "call_019ab3e8114c7b02b1c7d9e0f3a25b4c",
    "job": "job_019ab3e8114c7b02b1c7d9e0f3a25b40",
    "model": "deepseek-v4-flash",
    "state": "uncertain",
    "failure": "stalled",
    "message": "no data came for 45 s",
    "held": {"usd": "0.0006223", "tokens": 3_421},
    "cost_usd": "0",
    "overrun_usd": "0",
    "input_tokens": 0,
    "output_tokens": 0,
    "sent_at": _AT,
    "ended_at": "2026-11-22T12:00:46.000000Z",
    "decision": None,
}
UNCERTAIN_LIST: dict[str, Any] = {"data": [UNCERTAIN_CALL], "next_cursor": None}
DECIDED_CALL: dict[str, Any] = {
    **UNCERTAIN_CALL,
    "state": "settled",
    "cost_usd": "0.00018",
    "input_tokens": 812,
    "output_tokens": 95,
    "decision": {
        "at": "2026-11-23T09:00:00.000000Z",
        "actor": "key_019ab3e8114c7b02b1c7d9e0f3a25b49",
        "ground": "operator",
        "reason": "request 4711 in the gateway's log",
    },
}
DECISIONS: dict[str, Any] = {
    "billed": {
        "billed": True,
        "usd": "0.00018",
        "input_tokens": 812,
        "output_tokens": 95,
        "reason": "request 4711 in the gateway's log",
    },
    "not billed": {"billed": False, "reason": "the gateway's support says so"},
}
