"""Every wait is decided here: which failure is retried, when, at what cost, and when to stop.

Transport and Celery retries are zero. A decision is a value: `Wait` becomes a `run_at` in Postgres,
`Fail` ends the job, and neither sleeps. Deliveries to webhooks wait here too.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from patchmill.job.circuit import FOR_OPERATORS, Circuit, Condition
from patchmill.job.failure import Failure, FailureClass, gateway_said
from patchmill.job.record import ErrorCode
from patchmill.job.state import WaitReason

MAX_BILLED_CALLS = 8
MAX_SERVER_ERRORS_IN_A_ROW = 4
MAX_ATTEMPTS = 12
# After each loss of its worker, and up to half as long again. The job may be what kills workers: before it
# gets to the next one, the last one must have had the time to start again. Most likely it is not, and has
# waited for its worker's lease already.
LOSS_WAITS_S = (2.0, 3.0)
MAX_LOSSES = len(LOSS_WAITS_S) + 1
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
LONGEST_APART_S = 30.0
MAX_CHECKER_FAILURES = 3
GATEWAY_POLL_S = 4.0
LONGEST_SURPLUS_S = (
    1.0  # added to a wait that was asked for, so that not all come back at once, and none early
)
# While a circuit is open its jobs are woken by a probe or by its end; this is for a wake-up that was lost.
CIRCUIT_POLL_S = 21_600.0
# Seconds until an open circuit is probed: at first, doubled after each probe that failed, and at most.
_PROBES = {
    Condition.PAUSED: (30.0, 600.0),
    Condition.DOWN: (2.0, 60.0),
    Condition.OFF: (600.0, 3_600.0),
}
SLOT_WAIT_S = 60.0  # in a thread for a slot; the dispatcher's window keeps such threads few
# Between the attempts of a webhook's delivery: ten within about 75 hours.
DELIVERY_WAITS_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
LONGEST_ASKED_WAIT_S = 86_400.0  # an endpoint may not put a delivery off for longer
BUDGET_POLL_S = 5.0  # a settlement wakes waiters earlier; this is for a wake-up that was lost
# Behind a job that does the same work: its end wakes; this is for when it goes to wait itself.
SAME_WORK_POLL_S = 60.0
SAME_WORK_ENDS_S = 0.5  # when its row is held, maybe by its end


class UnknownPolicy(StrEnum):
    """What to do when nobody can know whether a call was billed."""

    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the job has been through: the counts that bound its retries."""

    attempts: int
    billed_calls: int
    server_errors_in_a_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoom:
    """Why a hold did not fit: by what is held (`only_held`), or until `resets_in_s` (None: for ever).

    `tokens` and `picos` are the hold, the least that would be of use.
    """

    budget: str | None  # whose cap: `bud_…`, or `run_…`; None: the job's own
    name: str  # the same, as people know it
    only_held: bool
    over: bool
    waits: bool
    resets_in_s: float | None
    resets_at: str | None
    shortfall: str  # what one call may take, and what is left
    tokens: int
    picos: int

    @property
    def used_up(self) -> bool:
        """Whether the window has nothing left for the hold, so that only the next one has."""
        return not (self.over or self.only_held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Run again after `after_s` seconds; `costs_attempt` is false for waits that are nobody's fault.

    Without a reason the job is given back, due at once. `blocked` says for which budget it waits.
    """

    after_s: float
    reason: WaitReason | None
    costs_attempt: bool
    blocked: NoRoom | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """End the job with this error; `blocked` says for want of which budget, if it is for that."""

    code: ErrorCode
    message: str
    retryable: bool
    details: Mapping[str, Any] = field(default_factory=dict)
    blocked: NoRoom | None = None


Decision = Wait | Fail

_MAY_BE_BILLED = frozenset(
    {
        FailureClass.BROKEN,
        FailureClass.DEADLINE,
        FailureClass.CANCELLED,
        FailureClass.STALLED,
        FailureClass.INTERRUPTED,
    }
)
_BILLED = frozenset({FailureClass.EMPTY, FailureClass.PROTOCOL})
_PERMANENT = {
    FailureClass.CONTEXT_TOO_LONG: ErrorCode.CONTEXT_TOO_LONG,
    FailureClass.REQUEST: ErrorCode.GATEWAY_REJECTED,
}


def backoff_s(failures_in_a_row: int, rng: random.Random) -> float:
    """Full jitter: uniform between 0 and 1, 2, 4, 8 … seconds, at most a minute, never under 50 ms.

    The scheme is the one that AWS's architecture blog calls "Full Jitter".
    """
    doublings = min(max(0, failures_in_a_row - 1), 16)
    ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2**doublings)
    return max(0.05, rng.uniform(0.0, ceiling))


def decide(failure: Failure, history: History, *, policy: UnknownPolicy, rng: random.Random) -> Decision:
    """Decide what follows a failed call; `history` already counts it."""
    if failure.failure in _MAY_BE_BILLED:
        return _after_unknown(failure, history, policy, rng)
    if failure.failure in _BILLED:
        # For certain, so the policy for unknown bills has no say.
        return _after_unknown(failure, history, UnknownPolicy.RETRY, rng)
    match failure.failure:
        case FailureClass.CONTEXT_TOO_LONG | FailureClass.REQUEST:
            return Fail(code=_PERMANENT[failure.failure], message=failure.told(), retryable=False)
        case FailureClass.MODEL:
            # Its circuit is open now: whoever else may answer is asked next, or the job ends.
            return Wait(after_s=0.0, reason=None, costs_attempt=True)
        case FailureClass.SERVER:
            return _after_server_error(failure, history, rng)
    return _after_refusal(failure, rng)


def _after_refusal(failure: Failure, rng: random.Random) -> Wait:
    """Wait for what is nobody's fault: it was not billed, and costs no attempt."""
    after_s: float = 0.0
    reason: WaitReason | None = None
    match failure.failure:
        case FailureClass.CONCURRENCY:
            after_s, reason = _asked(failure, rng) or rng.uniform(1.0, 3.0), WaitReason.RATE_LIMIT
        case FailureClass.SPEND_CAP:
            after_s, reason = _asked(failure, rng) or LONGEST_BACKOFF_S, WaitReason.RATE_LIMIT
        case FailureClass.ACCOUNT:
            after_s, reason = CIRCUIT_POLL_S, WaitReason.GATEWAY_ACCOUNT
        case FailureClass.CONNECT:
            after_s, reason = rng.uniform(0.5, GATEWAY_POLL_S), WaitReason.GATEWAY_DOWN
        case FailureClass.NOT_SENT:
            # Not at once: a process that cannot send must not take the same jobs again and again.
            after_s = rng.uniform(0.5, 2.0)
    return Wait(after_s=after_s, reason=reason, costs_attempt=False)


def _asked(failure: Failure, rng: random.Random) -> float | None:
    """Give the wait that the gateway asked for, never less and a little more; None if it asked for none."""
    asked_s = failure.retry_after_s
    return None if asked_s is None else asked_s + rng.uniform(0.0, min(LONGEST_SURPLUS_S, asked_s))


def waits_for(circuit: Circuit) -> WaitReason | None:
    """Give the reason for which jobs wait that need what this circuit guards; None: they do not wait."""
    if circuit.state is Condition.DOWN:
        return WaitReason.GATEWAY_DOWN
    if circuit.state is not Condition.PAUSED:
        return None
    if circuit.until is not None:
        return WaitReason.RATE_LIMIT
    return WaitReason.PAUSED if circuit.why in FOR_OPERATORS else WaitReason.GATEWAY_ACCOUNT


def until_circuit_closes(circuit: Circuit, now: datetime, rng: random.Random) -> Decision:
    """Decide what follows for a job that needs what an open circuit guards.

    It waits without losing anything; only a model that this key does not reach will not come back by itself.
    """
    reason = waits_for(circuit)
    if reason is None:
        return Fail(code=ErrorCode.GATEWAY_REJECTED, message=gateway_said(circuit.message), retryable=True)
    after_s = CIRCUIT_POLL_S
    if circuit.until is not None:
        after_s = max(0.0, (circuit.until - now).total_seconds()) + rng.uniform(0.0, LONGEST_SURPLUS_S)
    return Wait(after_s=after_s, reason=reason, costs_attempt=False)


def after_failed_probe(rng: random.Random) -> Wait:
    """Let a job that tried an open circuit in vain look again: what it met is nobody's fault."""
    return Wait(after_s=rng.uniform(0.5, 2.0), reason=WaitReason.GATEWAY_DOWN, costs_attempt=False)


def probe_after_s(state: Condition, probes: int, rng: random.Random) -> float:
    """Give the seconds until an open circuit may be probed, after `probes` that failed."""
    first_s, longest_s = _PROBES[state]
    doubled_s: float = first_s * 2 ** min(probes, 16)
    return min(longest_s, doubled_s) * rng.uniform(0.9, 1.1)


def _after_server_error(failure: Failure, history: History, rng: random.Random) -> Decision:
    if history.server_errors_in_a_row >= MAX_SERVER_ERRORS_IN_A_ROW or history.attempts >= MAX_ATTEMPTS:
        return Fail(code=ErrorCode.GATEWAY_UNAVAILABLE, message=failure.told(), retryable=True)
    after_s = _asked(failure, rng) or backoff_s(history.server_errors_in_a_row, rng)
    return Wait(after_s=after_s, reason=WaitReason.RETRY, costs_attempt=True)


def _after_unknown(failure: Failure, history: History, policy: UnknownPolicy, rng: random.Random) -> Decision:
    if policy is UnknownPolicy.FAIL:
        return Fail(code=ErrorCode.CALL_UNKNOWN, message=failure.told(), retryable=True)
    if history.billed_calls >= MAX_BILLED_CALLS or history.attempts >= MAX_ATTEMPTS:
        return Fail(code=ErrorCode.ATTEMPTS_SPENT, message=failure.told(), retryable=True)
    return Wait(after_s=backoff_s(1, rng), reason=WaitReason.RETRY, costs_attempt=True)


def without_room(blocked: NoRoom) -> Decision:
    """Decide what follows a hold that did not fit: wait for room, wait for the next window, or end."""
    details = {"budget": blocked.budget, "resets_at": blocked.resets_at}
    if blocked.over:
        message = f"one call needs more than {blocked.name} allows at all: {blocked.shortfall}"
        return Fail(
            code=ErrorCode.OVER_BUDGET, message=message, retryable=False, details=details, blocked=blocked
        )
    if blocked.only_held:
        return _wait_for(blocked, BUDGET_POLL_S)
    if blocked.waits and blocked.resets_in_s is not None:
        return _wait_for(blocked, max(0.0, blocked.resets_in_s))
    return Fail(
        code=ErrorCode.BUDGET_EXHAUSTED,
        message=f"{blocked.name} leaves too little for one call: {blocked.shortfall}",
        retryable=blocked.budget is not None,
        details=details,
        blocked=blocked,
    )


def beyond_counting() -> Fail:
    """End a job whose call could cost more than can be written down, by an absurd price."""
    message = "one call may cost more than the ledger can hold; look at the price of its model"
    return Fail(code=ErrorCode.OVER_BUDGET, message=message, retryable=False)


def in_a_crowd() -> Wait:
    """Wait like for held room when others took the room that was seen, again and again."""
    return Wait(after_s=BUDGET_POLL_S, reason=WaitReason.BUDGET, costs_attempt=False)


def _wait_for(blocked: NoRoom, after_s: float) -> Wait:
    return Wait(after_s=after_s, reason=WaitReason.BUDGET, costs_attempt=False, blocked=blocked)


def apart(refunded: int, rng: random.Random) -> Wait:
    """Let a job that may lose no worker more look again, while another such job runs where it came to.

    Later each time that its attempt was `refunded`, since there may be many of them.
    """
    ceiling = min(LONGEST_APART_S, 2.0 * 2 ** min(refunded, 16))
    return Wait(after_s=rng.uniform(0.5, ceiling), reason=WaitReason.RETRY, costs_attempt=False)


def after_loss(
    losses: int, *, orphan: bool, unknown: bool, policy: UnknownPolicy, rng: random.Random
) -> Decision:
    """Decide what follows for a job that nobody runs any more, after so many `losses` of its worker.

    An `orphan` has a worker that lives; it need not wait. A call of it that was on the wire is `unknown`.
    """
    if unknown and policy is UnknownPolicy.FAIL:
        message = "the worker was lost while its call ran; whether it was billed is unknown"
        return Fail(code=ErrorCode.CALL_UNKNOWN, message=message, retryable=True)
    if losses >= MAX_LOSSES:
        message = f"{losses} times a worker was lost while it ran this job"
        return Fail(code=ErrorCode.WORKER_LOST, message=message, retryable=True)
    after_s = 0.0 if orphan else LOSS_WAITS_S[losses - 1] * rng.uniform(1.0, 1.5)
    return Wait(after_s=after_s, reason=WaitReason.RETRY, costs_attempt=True)


def given_back() -> Wait:
    """Give a job back whose worker takes no more work: another one may have it at once."""
    return Wait(after_s=0.0, reason=None, costs_attempt=False)


def while_paused() -> Wait:
    """Give a job back whose project or queue is paused: it is due, and is dispatched once that ends."""
    return Wait(after_s=0.0, reason=WaitReason.PAUSED, costs_attempt=False)


def without_slot(rng: random.Random) -> Wait:
    """Wait in the queue, not in a thread, when all places among the calls in flight stay taken."""
    return Wait(after_s=rng.uniform(0.5, 2.0), reason=WaitReason.RATE_LIMIT, costs_attempt=False)


def without_checker(attempts: int, rng: random.Random) -> Wait | None:
    """Wait for a checker that could not run; None once that has happened too often for this file."""
    if attempts >= MAX_CHECKER_FAILURES:
        return None
    return Wait(after_s=backoff_s(attempts, rng), reason=WaitReason.RETRY, costs_attempt=True)


def after_failed_delivery(
    attempts: int,
    rng: random.Random,
    *,
    asked_s: float | None = None,
    waits_s: Sequence[float] = DELIVERY_WAITS_S,
) -> float | None:
    """Give the seconds until a delivery is tried again; None once the schedule is spent.

    `attempts` counts those made. Each wait is up to a tenth shorter or longer, so that what failed together
    does not come back together. What the endpoint `asked_s` for can make a wait longer, never shorter.
    """
    if attempts > len(waits_s):
        return None
    wait_s = waits_s[attempts - 1] * rng.uniform(0.9, 1.1)
    return max(wait_s, min(asked_s or 0.0, LONGEST_ASKED_WAIT_S))
