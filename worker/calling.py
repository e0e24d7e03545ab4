"""One paid call: hold, send, settle with the reply; or the stored reply of the same request."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from patchmill.budget.ledger import Fit, Room, Spent, affordable_output, fit, worst_case
from patchmill.budget.prices import Price, highest_rates, rates_at
from patchmill.budget.tokens import input_bound, limits_of
from patchmill.call.gateway import ChatRequest, request_body
from patchmill.call.loop import CallLoopStopped
from patchmill.call.reply import Answered, CallOutcome, CallTimings, Rejected, Unknown, Usage
from patchmill.job.failure import Failure, FailureClass
from patchmill.job.record import ErrorCode
from patchmill.job.retry import (
    MAX_BILLED_CALLS,
    SLOT_WAIT_S,
    Decision,
    Fail,
    History,
    NoRoom,
    decide,
    given_back,
    without_room,
    without_slot,
)
from patchmill.kinds.kind import Kind
from patchmill.store import ledger
from patchmill.store.budgets import prices_of
from patchmill.store.claims import Claim
from worker.process import Process

Messages = Sequence[Mapping[str, str]]


class Interrupted(Exception):
    """The job cannot go on now: `decision` says whether it waits or ends.

    `server_errors` is how many calls in a row have ended in a server error by now, None when that did not
    change.
    """

    def __init__(self, decision: Decision, server_errors: int | None = None) -> None:
        super().__init__(decision)
        self.decision = decision
        self.server_errors = server_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in hand: fresh, or stored by an earlier attempt."""

    call_id: uuid.UUID
    text: str
    finish_reason: str
    stand_in: bool
    model_ms: int


class Calling:
    """The calls of one attempt: it knows what was paid for, and how much more may be."""

    def __init__(self, process: Process, claim: Claim, kind: Kind) -> None:
        self._process = process
        self._claim = claim
        self._kind = kind
        self._stored = {reply.turn: reply for reply in claim.replies}
        self._billed = claim.billed_calls
        self._server_errors = claim.failures_in_a_row
        self._limit = min(claim.task.options.max_calls or MAX_BILLED_CALLS, MAX_BILLED_CALLS)

    def ask(self, model: str, messages: Messages, *, max_tokens: int) -> Reply | None:
        """Get the answer to these messages: from the store when it is paid for, else by a call.

        None when it would take a call and no more may be bought.

        Raises:
            Interrupted: the call failed or may not be made now; nothing is left on the wire.
            LostClaim: the job was taken from this worker.
            CancelRequested: somebody asked to stop the job.
        """
        turn = _turn(model, messages, max_tokens)
        stored = self._stored.get(turn)
        if stored is not None:
            return Reply(
                call_id=stored.call_id,
                text=stored.text,
                finish_reason=stored.finish_reason,
                stand_in=stored.stand_in,
                model_ms=0,
            )
        if self._billed >= self._limit:
            return None
        if self._process.lease.draining:
            raise self._interrupted(given_back())
        with self._process.calls.slot(min(SLOT_WAIT_S, self._deadline_s())) as free:
            if not free:
                raise self._interrupted(without_slot(self._process.rng))
            return self._buy(model, messages, turn, max_tokens)

    def _buy(self, model: str, messages: Messages, turn: str, max_tokens: int) -> Reply:
        deadline_s = self._deadline_s()
        plan = ledger.CallPlan(model=model, turn=turn, messages=messages, deadline_s=deadline_s)
        admitted, request = self._admit(plan, max_tokens)
        outcome = self._send(request, deadline_s)
        ending = _ending(outcome)
        ended = self._process.persist(
            lambda connection: ledger.end_call(connection, self._claim.job_id, admitted.call_id, ending)
        )
        if ended is ledger.EndedCall.FREED_ROOM:
            self._wake_waiters()
        if isinstance(outcome, Answered):
            self._billed += 1
            self._server_errors = 0
            return Reply(
                call_id=admitted.call_id,
                text=outcome.text,
                finish_reason=outcome.finish_reason,
                stand_in=outcome.stand_in,
                model_ms=outcome.timings.total_ms,
            )
        raise self._after(outcome)

    def _wake_waiters(self) -> None:
        project_id = self._claim.project_id
        if self._process.persist(lambda connection: ledger.wake_budget_waiters(connection, project_id)):
            self._process.wake_dispatcher()

    def _send(self, request: ChatRequest, deadline_s: float) -> CallOutcome:
        """Send the request once, unless this process may not act any more."""
        if not self._process.lease.valid():
            return _not_sent("the lease of this worker ran out before the call was sent")
        try:
            return self._process.calls.call(request, deadline_s=deadline_s)
        except CallLoopStopped as stopped:
            if not stopped.may_be_billed:
                return _not_sent("this worker stopped before the call was sent")
            failure = Failure(failure=FailureClass.CANCELLED, message="this worker stopped during the call")
            return Unknown(failure=failure, partial="", usage=None, timings=_NO_TIME)

    def _admit(self, plan: ledger.CallPlan, max_tokens: int) -> tuple[ledger.AdmittedCall, ChatRequest]:
        """Hold the worst case of the request, made smaller where that is what fits."""
        largest = _request(plan, min(max_tokens, limits_of(plan.model).output_tokens))
        size = len(request_body(largest))
        with self._process.engine.begin() as connection:
            prices = prices_of(connection, plan.model)
            try:
                admitted = ledger.admit(
                    connection,
                    self._claim.job_id,
                    self._claim.fence,
                    plan,
                    lambda rooms: self._decide(rooms, plan, prices, size, largest.max_tokens),
                )
            except ledger.Refused as refused:
                raise self._interrupted(refused.decision) from None
        return admitted, _request(plan, admitted.max_tokens)

    def _decide(
        self, rooms: Sequence[Room], plan: ledger.CallPlan, prices: Sequence[Price], size: int, wanted: int
    ) -> ledger.Admission:
        now = datetime.now(UTC)
        highest = highest_rates(prices, now, now + timedelta(seconds=plan.deadline_s))
        current = rates_at(prices, now)
        if highest is None or current is None:
            message = f"no price is known for model {plan.model}, and without a price no call is made"
            raise ledger.Refused(Fail(code=ErrorCode.OVER_BUDGET, message=message, retryable=True))
        entering = input_bound(size, len(plan.messages), limits_of(plan.model))
        floor = min(self._kind.floor_tokens, wanted)
        output = affordable_output(entering, wanted, floor, highest, rooms)
        hold = worst_case(entering, output, highest)
        for room in rooms:
            blocked = fit(hold, room)
            if blocked is not Fit.FITS:
                raise ledger.Refused(without_room(_no_room(blocked, room, now)))
        return ledger.Admission(max_tokens=output, hold=hold, rates=current)

    def _deadline_s(self) -> float:
        """Give the seconds that a call may take: the setting's, or what the job has left."""
        if self._claim.deadline_at is None:
            return self._process.call_deadline_s
        left = (self._claim.deadline_at - datetime.now(UTC)).total_seconds()
        if left <= 0:
            raise _overdue()
        return min(left, self._process.call_deadline_s)

    def _after(self, outcome: Rejected | Unknown) -> Interrupted:
        """Turn a failed call into the job's wait or end."""
        if outcome.failure.failure is FailureClass.SERVER:
            self._server_errors += 1
        history = History(
            attempts=self._claim.attempts,
            billed_calls=self._billed + isinstance(outcome, Unknown),
            server_errors_in_a_row=self._server_errors,
        )
        policy = self._process.unknown_policy
        return self._interrupted(decide(outcome.failure, history, policy=policy, rng=self._process.rng))

    def _interrupted(self, decision: Decision) -> Interrupted:
        return Interrupted(decision, self._server_errors)


_NO_TIME = CallTimings(first_token_ms=None, total_ms=0)


def _not_sent(message: str) -> Rejected:
    failure = Failure(failure=FailureClass.CONNECT, message=message)
    return Rejected(failure=failure, status=None, code=None, timings=_NO_TIME)


def _overdue() -> Interrupted:
    message = "the job's deadline passed"
    return Interrupted(Fail(code=ErrorCode.DEADLINE_EXCEEDED, message=message, retryable=True))


def _turn(model: str, messages: Messages, max_tokens: int) -> str:
    """Identify a request: the same one again is served by the reply that was paid for."""
    text = json.dumps([model, max_tokens, [dict(message) for message in messages]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _request(plan: ledger.CallPlan, max_tokens: int) -> ChatRequest:
    return ChatRequest(model=plan.model, messages=plan.messages, max_tokens=max_tokens, stream=True)


def _no_room(blocked: Fit, room: Room, now: datetime) -> NoRoom:
    resets_at = room.resets_at
    return NoRoom(
        budget=room.budget,
        only_held=blocked is Fit.WAIT,
        over=blocked is Fit.OVER,
        waits=room.waits,
        resets_in_s=None if resets_at is None else (resets_at - now).total_seconds(),
        resets_at=None if resets_at is None else resets_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    )


def _ending(outcome: CallOutcome) -> ledger.Ending:
    """Say in the ledger's words how a call ended."""
    times = {"first_token_ms": outcome.timings.first_token_ms, "total_ms": outcome.timings.total_ms}
    if isinstance(outcome, Answered):
        values = {
            **times,
            "reply": outcome.text,
            "finish_reason": outcome.finish_reason,
            "returned_model": outcome.returned_model,
            "gateway_request_id": outcome.gateway_request_id,
            "stand_in": outcome.stand_in,
            **_reported(outcome.usage),
        }
        return ledger.Ending(billed=True, phase="answered", spent=_spent(outcome.usage), values=values)
    said = {**times, "failure": outcome.failure.failure, "message": outcome.failure.message}
    if isinstance(outcome, Rejected):
        return ledger.Ending(
            billed=False, phase="rejected", spent=None, values={**said, "status": outcome.status}
        )
    return ledger.Ending(
        billed=None, phase="unknown", spent=None, values={**said, **_reported(outcome.usage)}
    )


def _reported(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {"usage": dict(usage.raw), "reasoning_tokens": usage.reasoning_tokens}


def _spent(usage: Usage | None) -> Spent | None:
    if usage is None:
        return None
    return Spent(
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
    )
