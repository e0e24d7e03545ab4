"""The shapes of the gateway's state and of projects, each with an example."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api import account_shapes
from api.account_shapes import Balance, BalanceForecast, Reconciliation
from api.fields import MAX_INT, Short
from api.live_shapes import Slots
from api.operator_shapes import PAUSE
from api.requests import Body
from api.schemas import Instant, Pause, Shape, Usd
from patchmill.job.circuit import Why
from patchmill.job.ladder import MAX_REPAIRS
from patchmill.job.retry import UnknownPolicy
from patchmill.job.turns import MAX_WEIGHT
from patchmill.store.retention import MAX_DAYS


class CircuitState(Shape):
    """Whether it can be called; while it cannot, since when, why, and when one call may try."""

    state: Literal["ok", "paused", "down", "off"]
    reason: Why | None
    message: str | None = Field(description="what the gateway, or the operator, said")
    since: Instant | None
    resumes_at: Instant | None = Field(description="when it ends by itself, where the gateway said so")
    next_probe_at: Instant | None = Field(description="when one waiting job may try")
    actor: str | None = Field(description="who paused it, where somebody did: `user:NAME`, `key_…` or `host`")


class ModelState(CircuitState):
    """One model: `down` fails again and again, `off` is out of this key's reach."""

    model: str


class Quota(Shape):
    """What the gateway's headers said last, in US dollars; null where they said nothing."""

    limit_usd: Usd | None
    remaining_usd: Usd | None = Field(description="in the spend bucket that is closest to its cap")
    resets_at: Instant | None
    key_remaining_usd: Usd | None = Field(description="on the key, for life")
    account_remaining_usd: Usd | None = Field(description="in the wallet of the organisation")
    at: Instant


class Gateway(CircuitState):
    """The gateway's account, its models that have ever been unavailable, and the slots."""

    models: list[ModelState]
    slots: Slots
    quota: Quota | None
    balance: Balance | None = Field(description="null until the gateway has told it")
    forecast: BalanceForecast
    reconciliation: Reconciliation
    pauses: list[Pause] = Field(description="of the queues, and of the key's project")


class PolicyFields(Shape):
    """How jobs climb from model to model."""

    model: str
    escalation_model: str | None
    fallback_model: str | None
    repairs: int = Field(description="how often the first model is told what was wrong")
    escalate: bool = Field(description="whether the stronger model is asked for what the first could not do")
    fall_back: bool = Field(description="whether the fallback answers while the first model cannot be had")
    reasoning: bool = Field(description="whether the stronger model reasons before it answers")
    unknown: UnknownPolicy = Field(
        description="after a call of which nobody can know whether it was billed: `retry` makes another one, "
        "`fail` ends the job as `call_unknown`"
    )


class Share(Shape):
    """How much is done at once for a project."""

    weight: int = Field(description="of its jobs beside those of other projects that have jobs to do")
    max_in_flight: int | None = Field(description="jobs with a worker, or on their way to one, at once")
    tokens_per_minute: int | None = Field(
        description="no further job begins while the calls of the last minute have used so many"
    )


class Project(Shape):
    """A project; its policy with what it has not set itself filled in."""

    id: str
    name: str
    policy: PolicyFields
    own_policy: dict[str, Any] = Field(description="what the project has set itself")
    share: Share
    retention_days: int = Field(description="how long jobs and runs that ended are kept; 0 is for ever")
    own_retention_days: int | None = Field(description="what the project has set itself")
    paused: Pause | None = Field(description="none of its jobs begins")
    created_at: Instant


class ProjectList(Shape):
    """The projects that the key may see."""

    data: list[Project]
    next_cursor: str | None


class PolicyChange(Body):
    """Fields to set; null takes one back to the installation's setting."""

    model: Short | None = None
    escalation_model: Short | None = None
    fallback_model: Short | None = None
    repairs: Annotated[int, Field(ge=0, le=MAX_REPAIRS)] | None = None
    escalate: bool | None = None
    fall_back: bool | None = None
    reasoning: bool | None = None
    unknown: Annotated[UnknownPolicy, Field(strict=False)] | None = None


class ShareChange(Body):
    """Numbers to set; null takes one back: a weight of 1, and no limits."""

    weight: Annotated[int, Field(ge=1, le=MAX_WEIGHT)] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_INT)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1, le=MAX_INT)] | None = None


class ProjectChange(Body):
    """What to change of a project: its policy, its share, and how long it keeps what ended."""

    policy: PolicyChange | None = None
    share: ShareChange | None = None
    retention_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] | None = Field(
        None,
        description="days that ended jobs and runs are kept; 0 is for ever, null the installation's",
    )


_AT = "2026-11-22T12:00:00.000000Z"
_OK = {
    "state": "ok",
    "reason": None,
    "message": None,
    "since": _AT,
    "resumes_at": None,
    "next_probe_at": None,
    "actor": None,
}
_POLICY: dict[str, Any] = {
    "model": "deepseek-v4-flash",
    "escalation_model": "deepseek-v4-pro",
    "fallback_model": "deepseek-v3-2",
    "repairs": 2,
    "escalate": True,
    "fall_back": True,
    "reasoning": False,
    "unknown": "retry",
}

GATEWAY: dict[str, Any] = {
    "state": "paused",
    "reason": "insufficient_balance",
    "message": "The organisation's wallet is empty.",
    "since": _AT,
    "resumes_at": None,
    "next_probe_at": "2026-11-22T12:00:31.000000Z",
    "actor": None,
    "models": [{"model": "deepseek-v4-pro", **_OK}],
    "slots": {"limit": 25, "used": 0},
    "quota": {
        "limit_usd": "20",
        "remaining_usd": "0",
        "resets_at": "2026-11-22T14:00:00.000000Z",
        "key_remaining_usd": None,
        "account_remaining_usd": "0",
        "at": _AT,
    },
    "balance": account_shapes.BALANCE,
    "forecast": account_shapes.FORECAST,
    "reconciliation": account_shapes.RECONCILIATION,
    "pauses": [PAUSE],
}
PROJECT: dict[str, Any] = {
    "id": "prj_019ab3e8114c7b02b1c7d9e0f3a25b48",
    "name": "default",
    "policy": _POLICY,
    "own_policy": {"repairs": 2},
    "share": {"weight": 2, "max_in_flight": 10, "tokens_per_minute": None},
    "retention_days": 30,
    "own_retention_days": 30,
    "paused": None,
    "created_at": _AT,
}
PROJECT_LIST: dict[str, Any] = {"data": [PROJECT], "next_cursor": None}
PROJECT_CHANGES: dict[str, Any] = {
    "two repairs and no fallback": {"policy": {"repairs": 2, "fall_back": False}},
    "a person decides": {"policy": {"unknown": "fail"}},
    "twice as much as others, and at most ten jobs at once": {"share": {"weight": 2, "max_in_flight": 10}},
    "a month of history": {"retention_days": 30},
}
