"""The shapes of estimates, and one real-looking example of each."""

from typing import Any, Literal

from pydantic import Field

from api.schemas import Instant, Shape, Usd
from patchmill.job.experience import Source
from patchmill.reports.selection import Reason

_USD = "null without a price, or where nothing bounds it"


class EstimatedCalls(Shape):
    """Calls that may be billed."""

    expected: int
    worst: int


class EstimatedTokens(Shape):
    """Tokens of all calls together."""

    expected: int
    worst: int | None = Field(description="null where nothing bounds it: the model's context is not known")


class EstimatedCost(Shape):
    """US dollars of all calls together."""

    expected: Usd | None = Field(description="at the prices of now; null without a price")
    worst: Usd | None = Field(description=f"at the highest prices that are known for now and later; {_USD}")


class Blocked(Shape):
    """What is in the way of the first call at this moment."""

    answer: Literal["wait", "exhausted", "over", "no_price"] = Field(
        description="wait: until what is held is settled; exhausted: until the window ends; over: the limit "
        "itself is too small; no_price: the model has no price"
    )
    resets_at: Instant | None = Field(description="when the window ends; null if it never does")
    waits: bool = Field(description="whether a job waits for it; else it fails")
    name: str | None = Field(description="the budget or cap, as people know it; null without a price")


class FileEstimate(Shape):
    """What the job of one file may take."""

    path: str
    calls: EstimatedCalls
    input_tokens: EstimatedTokens
    output_tokens: EstimatedTokens
    cost_usd: EstimatedCost
    fits: bool
    blocked_by: str | None
    too_long: bool = Field(
        description="whether no prompt fits the model's context, so that the job will fail"
    )


class LearnedFrom(Shape):
    """What `expected` is judged by: the last jobs of the kind that asked a model."""

    source: Source = Field(description="constants where fewer than ten jobs are known")
    jobs: int


class Estimate(Shape):
    """What a job or a run may take; nothing is stored and no model is asked."""

    calls: EstimatedCalls
    input_tokens: EstimatedTokens
    output_tokens: EstimatedTokens
    cost_usd: EstimatedCost
    fits: bool = Field(description="whether the first call of each job would be admitted now, alone")
    blocked_by: str | None = Field(
        description="`bud_…`, `max_cost_usd` of the request, or `no_price`; of the first file that is blocked"
    )
    blocked: Blocked | None
    model: str = Field(description="who is asked first")
    unpriced: list[str] = Field(description="the models of the ladder that have no price")
    jobs: int
    findings: int = Field(description="that the jobs are about")
    skipped: dict[Reason, int] = Field(description="of a run: findings that no job is about, by reason")
    files: list[FileEstimate]
    learned_from: LearnedFrom


_CALLS = {"expected": 1, "worst": 8}
_INPUT = {"expected": 412, "worst": 461_106}
_OUTPUT = {"expected": 110, "worst": 110_592}
_COST = {"expected": "0.00008848", "worst": "0.05"}
_BUDGET_ID = "bud_019ab3ea5d0a7c44b0d2f6e8a1c35790"

_FILE: dict[str, Any] = {
    "path": "src/app.py",
    "calls": _CALLS,
    "input_tokens": _INPUT,
    "output_tokens": _OUTPUT,
    "cost_usd": _COST,
    "fits": True,
    "blocked_by": None,
    "too_long": False,
}
ESTIMATE: dict[str, Any] = {
    "calls": _CALLS,
    "input_tokens": _INPUT,
    "output_tokens": _OUTPUT,
    "cost_usd": _COST,
    "fits": False,
    "blocked_by": _BUDGET_ID,
    "blocked": {
        "answer": "exhausted",
        "resets_at": "2026-11-23T00:00:00.000000Z",
        "waits": True,
        "name": "the budget `core` (project, day)",
    },
    "model": "deepseek-v4-flash",
    "unpriced": [],
    "jobs": 1,
    "findings": 1,
    "skipped": {"outside_diff": 2},
    "files": [{**_FILE, "fits": False, "blocked_by": _BUDGET_ID}],
    "learned_from": {"source": "project", "jobs": 50},
}
