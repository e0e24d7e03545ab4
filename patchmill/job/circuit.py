"""When the gateway, or one model of it, is left alone for a while, and what shows that it serves again.

A circuit guards the way to something: the one named `gateway` guards the account and the connection, every
other one the model of its name. It opens by what calls came to. While it is open nobody calls, but for one
probe at a time, which is an ordinary call of an ordinary job (a half-open circuit breaker).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from patchmill.job.failure import Failure, FailureClass

GATEWAY = "gateway"
SERVER_FAILURES_TO_OPEN = 5  # in a row, of one model, in one process
CONNECT_FAILURES_TO_OPEN = 3


class Condition(StrEnum):
    """How what a circuit guards is."""

    OK = "ok"
    PAUSED = "paused"  # the account, an operator, or an overrun lets nobody call
    DOWN = "down"  # it cannot be reached, or fails again and again
    OFF = "off"  # this key does not reach this model


class Why(StrEnum):
    """What opened a circuit; the gateway's own codes where it named one."""

    INVALID_API_KEY = "invalid_api_key"
    PERMISSION_DENIED = "permission_denied"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    QUOTA_EXCEEDED = "quota_exceeded"
    SPEND_CAP = "spend_cap"
    OPERATOR = "operator"
    UNREACHABLE = "unreachable"
    FAILING = "failing"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_IN_GROUP = "model_not_in_group"
    OVERRUN = "overrun"  # a call of the model used more than its hold, which was thought the most it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One circuit as it stands: since when, for a spend cap until when, and when it may be probed next."""

    name: str
    state: Condition
    why: Why | None
    message: str
    since: datetime
    until: datetime | None
    probe_at: datetime | None
    probes: int
    actor: str | None = None  # who paused it, where somebody did


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A circuit is to open; `until_s` is known where the gateway said how long."""

    name: str
    state: Condition
    why: Why
    message: str
    until_s: float | None = None
    actor: str | None = None


FOR_OPERATORS = (Why.OPERATOR, Why.OVERRUN)  # nothing else closes or replaces these

_OF_ACCOUNT = {Why.INVALID_API_KEY, Why.PERMISSION_DENIED, Why.INSUFFICIENT_BALANCE, Why.QUOTA_EXCEEDED}
_OF_MODEL = {Why.MODEL_NOT_FOUND, Why.MODEL_NOT_IN_GROUP}
_ACCOUNT_BY_STATUS = {
    401: Why.INVALID_API_KEY,
    402: Why.INSUFFICIENT_BALANCE,
    403: Why.PERMISSION_DENIED,
}
_FAILING = {
    FailureClass.SERVER,
    FailureClass.BROKEN,
    FailureClass.DEADLINE,
    FailureClass.STALLED,
    FailureClass.INTERRUPTED,
}
_NO_EVIDENCE = {
    FailureClass.CONCURRENCY,
    FailureClass.CANCELLED,
    FailureClass.CONNECT,
    FailureClass.NOT_SENT,
}


def counts_against(failure: FailureClass) -> str | None:
    """Say what a failure counts against: the gateway, the `model`, or nothing."""
    if failure is FailureClass.CONNECT:
        return GATEWAY
    return "model" if failure in _FAILING else None


def trip_of(
    failure: Failure, *, model: str, code: str | None, status: int | None, in_a_row: int
) -> Trip | None:
    """Say which circuit a failed call opens; `in_a_row` counts the failures of its sort, this one too."""
    message = failure.message
    match failure.failure:
        case FailureClass.ACCOUNT:
            why = _named(code, _OF_ACCOUNT) or _ACCOUNT_BY_STATUS.get(status or 0, Why.INVALID_API_KEY)
            return Trip(name=GATEWAY, state=Condition.PAUSED, why=why, message=message)
        case FailureClass.SPEND_CAP if failure.retry_after_s is not None:
            return Trip(
                name=GATEWAY,
                state=Condition.PAUSED,
                why=Why.SPEND_CAP,
                message=message,
                until_s=failure.retry_after_s,
            )
        case FailureClass.MODEL:
            why = _named(code, _OF_MODEL) or Why.MODEL_NOT_FOUND
            return Trip(name=model, state=Condition.OFF, why=why, message=message)
        case FailureClass.CONNECT if in_a_row >= CONNECT_FAILURES_TO_OPEN:
            return Trip(name=GATEWAY, state=Condition.DOWN, why=Why.UNREACHABLE, message=message)
        case kind if kind in _FAILING and in_a_row >= SERVER_FAILURES_TO_OPEN:
            return Trip(name=model, state=Condition.DOWN, why=Why.FAILING, message=message)
    return None


def closes(circuit: Circuit, failure: FailureClass | None) -> bool:
    """Say whether a probe's end shows that the circuit can close; None stands for an answer."""
    if failure is None:
        return True
    if failure in _NO_EVIDENCE:
        return False
    if circuit.why is Why.UNREACHABLE:
        return True
    if circuit.state is Condition.PAUSED:
        return failure not in {FailureClass.ACCOUNT, FailureClass.SPEND_CAP, *_FAILING}
    if circuit.state is Condition.DOWN:
        return failure not in _FAILING
    return False


def _named(code: str | None, among: Collection[Why]) -> Why | None:
    """Find the gateway's own code among the reasons that it may give: some are for us alone to give."""
    return next((why for why in among if why == code), None)
