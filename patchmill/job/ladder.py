"""The ladder of a job's calls: which model is asked next, and which one stands in for it.

The first model; again, told the reason why its answer failed; the stronger model for what the first could
not do. The fallback is no step of its own: it answers in place of the first model while that one cannot.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from patchmill.job.record import Options
from patchmill.job.retry import UnknownPolicy

MAX_REPAIRS = 2
GROWTH = 4  # an answer that was cut short is asked for again with this many times the tokens
REASONING_TOKENS = 4_096  # room in `max_tokens` beside the answer, since reasoning counts as output


class Rung(StrEnum):
    """Why a call was made."""

    FIRST = "first"
    REPAIR = "repair"  # the same model, told what was wrong
    ESCALATION = "escalation"  # the stronger model
    FALLBACK = "fallback"  # in place of the first model, which cannot be had


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a project climbs: models, how often the first one is told what was wrong, whether further.

    `reasoning` asks the stronger model to reason before it answers; its reasoning is billed as output.
    `unknown` is what follows a call of which nobody can know whether it was billed.
    """

    model: str
    escalation_model: str | None
    fallback_model: str | None
    repairs: int = 1
    escalate: bool = True
    fall_back: bool = True
    reasoning: bool = False
    unknown: UnknownPolicy = UnknownPolicy.RETRY

    def changed(self, own: Mapping[str, Any]) -> "Policy":
        """Give this policy with what a project has set for itself; unknown names are ignored."""
        known = {name: value for name, value in own.items() if name in POLICY_FIELDS}
        if "unknown" in known:
            known["unknown"] = UnknownPolicy(known["unknown"])
        return replace(self, **known)


POLICY_FIELDS = tuple(asdict(Policy(model="", escalation_model=None, fallback_model=None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rung of a job's ladder: who is asked, and who in its place."""

    rung: Rung
    model: str
    fallback: str | None = None
    reasoning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRung:
    """A rung that was not taken, and why.

    `budget_exhausted`, `over_budget`, `unavailable`, `no_price`, `calls_spent`, or `same_answer` for a model
    that has just given the same answer twice.
    """

    rung: Rung
    model: str
    reason: str


def steps(policy: Policy, options: Options) -> tuple[Step, ...]:
    """Give the rungs of a job in order; a model that the job names itself has no fallback."""
    first = options.model or policy.model
    fallback = policy.fallback_model if policy.fall_back and options.model is None else None
    if fallback == first:
        fallback = None
    climbed = [Step(rung=Rung.FIRST, model=first, fallback=fallback)]
    climbed += [Step(rung=Rung.REPAIR, model=first, fallback=fallback)] * min(policy.repairs, MAX_REPAIRS)
    higher = policy.escalation_model
    if options.escalate and policy.escalate and higher is not None and higher != first:
        climbed.append(Step(rung=Rung.ESCALATION, model=higher, reasoning=policy.reasoning))
    return tuple(climbed)
