"""One paid call: hold, send, settle with the reply; or the stored reply of the same request."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from patchmill.budget.models import ModelCapability
from patchmill.call.called_answer import written_down
from patchmill.call.edit_request import edit_request
from patchmill.call.fitting import Prompt
from patchmill.call.loop import CallLoopStopped
from patchmill.call.prompt import prompt_version
from patchmill.call.reply import Answered, CallOutcome, Rejected, Unknown
from patchmill.call.request import ChatRequest
from patchmill.call.slots import Slot
from patchmill.edit.protocol import EditFormat
from patchmill.job.circuit import GATEWAY, Circuit, Condition
from patchmill.job.failure import FailureClass
from patchmill.job.ladder import REASONING_TOKENS, Rung, SkippedRung, Step
from patchmill.job.record import ErrorCode, Priority
from patchmill.job.retry import (
    BUDGET_POLL_S,
    MAX_BILLED_CALLS,
    SLOT_WAIT_S,
    Decision,
    Fail,
    History,
    NoRoom,
    Wait,
    after_failed_probe,
    decide,
    given_back,
    until_circuit_closes,
    while_paused,
    without_slot,
)
from patchmill.job.state import WaitReason
from patchmill.kinds.kind import Kind
from patchmill.store import call_news, ledger, shared_time
from patchmill.store.budget_alerts import note_exhausted
from patchmill.store.claims import Claim, StoredReply
from patchmill.store.engine import one_by_one, trouble
from patchmill.store.ids import from_edge
from patchmill.telemetry import get_logger
from worker.admission import NoPrice, admit
from worker.circuits import Permit
from worker.endings import broken_off, ending_of, not_sent
from worker.process import Process

log = get_logger(__name__)

# After so many server errors in a row a job no longer waits for its first model, but asks the fallback.
ERRORS_BEFORE_FALLBACK = 3


class Interrupted(Exception):
    """The job cannot go on now: `decision` says whether it waits or ends.

    `server_errors` is how many calls in a row have ended in a server error by now, None when that did not
    change.
    """

    def __init__(self, decision: Decision, server_errors: int | None = None) -> None:
        super().__init__(decision)
        self.decision = decision
        self.server_errors = server_errors


class RungSkipped(Exception):
    """No call is made for a step of the ladder, and the job goes on without it."""

    def __init__(self, step: Step, reason: str) -> None:
        super().__init__(reason)
        self.skipped = SkippedRung(rung=step.rung, model=step.model, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in hand, of at most `max_tokens`: fresh, or stored by an earlier attempt."""

    call_id: uuid.UUID
    max_tokens: int
    text: str
    finish_reason: str
    fault: str | None  # why it is of no use, though it is complete and paid for
    stand_in: bool
    model_ms: int


class Calling:
    """The calls of one attempt: it knows what was paid for, and how much more may be."""

    def __init__(self, process: Process, claim: Claim, kind: Kind, edit_format: EditFormat) -> None:
        self._process = process
        self._claim = claim
        self._edit_format = edit_format
        self._prompt_version = prompt_version(kind, edit_format)
        self._stored = {reply.turn: reply for reply in claim.replies}
        self._billed = claim.billed_calls
        self._server_errors = claim.failures_in_a_row
        self._limit = min(claim.task.options.max_calls or MAX_BILLED_CALLS, MAX_BILLED_CALLS)
        self._answered = False

    def limits_of(self, model: str) -> ModelCapability:
        """Give what a model can be asked, and how long prompt and answer may be."""
        return self._process.capabilities.of(model)

    def ask(self, step: Step, prompt: Prompt, *, floor_tokens: int) -> Reply:
        """Get a step's answer: from the store when it is paid for, else by a call.

        Where the budgets do not allow all of the prompt's `max_tokens`, `floor_tokens` are enough.

        Raises:
            RungSkipped: no call may be made for this step, and none needs to be waited for.
            Interrupted: the call failed or may not be made now; nothing is left on the wire.
            LostClaim: the job was taken from this worker.
            CancelRequested: somebody asked to stop the job.
        """
        stored = self._stored_reply(step, prompt)
        if stored is not None:
            self._answered = True
            return _of_store(stored)
        if self._billed >= self._limit:
            raise self._calls_spent(step)
        if self._process.lease.draining:
            raise self._interrupted(given_back())
        self._refuse_while_paused()
        urgent = self._claim.task.options.priority is Priority.INTERACTIVE
        with self._process.calls.slot(min(SLOT_WAIT_S, self._deadline_s()), urgent=urgent) as slot:
            if slot is None:
                raise self._interrupted(self._without_slot())
            self._refuse_while_paused()  # it may have been a minute
            return self._ask_whoever_answers(step, prompt, slot, floor_tokens)

    def _refuse_while_paused(self) -> None:
        """Give the job back when its project or its queue is paused."""
        if self._process.pauses.hold(self._claim):
            raise self._interrupted(while_paused())

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt has left answers."""
        return bool(self._stored)

    def has(self, step: Step, prompt: Prompt) -> bool:
        """Say whether a step's answer to this prompt is stored already."""
        return self._stored_reply(step, prompt) is not None

    def _stored_reply(self, step: Step, prompt: Prompt) -> StoredReply | None:
        turns = (_turn(model, step, prompt) for model in self._candidates(step))
        return next((self._stored[turn] for turn in turns if turn in self._stored), None)

    def _calls_spent(self, step: Step) -> Exception:
        """Go on with the answers that there are; a job that has got none has failed."""
        if self._answered:
            return RungSkipped(step, "calls_spent")
        message = f"none of {self._billed} calls brought an answer, and no more are allowed"
        return self._interrupted(Fail(code=ErrorCode.ATTEMPTS_SPENT, message=message, retryable=True))

    def _candidates(self, step: Step) -> tuple[str, ...]:
        """Give who may answer a step, in order: the fallback first once the first model fails repeatedly."""
        if step.fallback is None:
            return (step.model,)
        if self._server_errors >= ERRORS_BEFORE_FALLBACK:
            return step.fallback, step.model
        return step.model, step.fallback

    def _ask_whoever_answers(self, step: Step, prompt: Prompt, slot: Slot, floor_tokens: int) -> Reply:
        """Call the first candidate that is available and has a price."""
        in_the_way: list[Circuit] = []
        for model in self._candidates(step):
            entered = self._process.circuits.enter(model)
            if isinstance(entered, Circuit):
                in_the_way.append(entered)
                if entered.name == GATEWAY:
                    break
                continue
            try:
                return self._buy(step, entered, prompt, slot, floor_tokens)
            except NoPrice:
                log.warning("no price is known for the model; it is not asked", model=model)
        raise self._unavailable(step, in_the_way)

    def _unavailable(self, step: Step, in_the_way: Sequence[Circuit]) -> Exception:
        """Say what follows when nobody can be asked: wait for whoever comes back, or go on without."""
        if not in_the_way:
            if step.rung is Rung.ESCALATION:
                return RungSkipped(step, "no_price")
            message = (
                f"no price is known for model {step.model}, and without a price no call is made; "
                f"add one with `patchmill prices add {step.model} --input … --cached … --output …`"
            )
            return self._interrupted(Fail(code=ErrorCode.OVER_BUDGET, message=message, retryable=True))
        best = min(in_the_way, key=lambda each: (each.name != GATEWAY, each.state is Condition.OFF))
        if step.rung is Rung.ESCALATION and best.name != GATEWAY:
            return RungSkipped(step, "unavailable")
        return self._interrupted(until_circuit_closes(best, shared_time.now(), self._process.rng))

    def _buy(self, step: Step, permit: Permit, prompt: Prompt, slot: Slot, floor_tokens: int) -> Reply:
        try:
            plan = self._plan(step, permit.model, prompt)
            admitted, request = self._admit(step, plan, prompt.max_tokens, floor_tokens)
        except Exception:
            self._process.circuits.abandon(permit)
            raise
        outcome = written_down(self._send(request, plan.deadline_s, admitted, slot), self._edit_format)
        self._settle(admitted, ending_of(outcome))
        self._learn(permit, request, outcome, plan.deadline_s)
        if isinstance(outcome, Answered):
            self._billed += 1
            self._server_errors = 0
            self._answered = True
            return Reply(
                call_id=admitted.call_id,
                max_tokens=admitted.max_tokens,
                text=outcome.text,
                finish_reason=outcome.finish_reason,
                fault=None if outcome.fault is None else outcome.fault.message,
                stand_in=outcome.stand_in,
                model_ms=outcome.timings.total_ms,
            )
        if self._process.drops_parameter(request, outcome):
            return self.ask(step, prompt, floor_tokens=floor_tokens)
        if permit.probed and outcome.failure.failure is FailureClass.SERVER:
            raise self._interrupted(after_failed_probe(self._process.rng))
        raise self._after(outcome)

    def _plan(self, step: Step, model: str, prompt: Prompt) -> ledger.CallPlan:
        return ledger.CallPlan(
            model=model,
            rung=step.rung if model == step.model else Rung.FALLBACK,
            prompt_version=self._prompt_version,
            turn=_turn(model, step, prompt),
            messages=prompt.messages,
            deadline_s=self._deadline_s(),
        )

    def _settle(self, admitted: ledger.AdmittedCall, ending: ledger.Ending) -> None:
        """Write down what the call came to, with its answer, and let go on who waited for its room."""
        job_id, terms = self._claim.job_id, admitted.terms
        ended = self._process.persist_at_once(
            lambda connection: ledger.end_call(connection, job_id, admitted.call_id, ending, terms)
        )
        if ended is ledger.EndedCall.WOKE_WAITERS:
            self._process.wake_dispatcher()
        if ending.billed and terms.overran(ending.spent):
            self._process.circuits.overran(terms.model)

    def _send(
        self, request: ChatRequest, deadline_s: float, admitted: ledger.AdmittedCall, slot: Slot
    ) -> CallOutcome:
        """Send the request once, unless this process may not act any more."""
        try:
            return self._process.calls.call(
                request,
                deadline_s=deadline_s,
                slot=slot,
                may_send=self._process.lease.valid,
                on_first_token=partial(self._note_first_token, admitted.call_id, request.model),
            )
        except CallLoopStopped as stopped:
            if not stopped.may_be_billed:
                return not_sent("this worker stopped before the call was sent")
            return broken_off("this worker stopped during the call")

    def _note_first_token(self, call_id: uuid.UUID, model: str) -> None:
        """Tell those who watch; an answer that is being paid for is not given up when that fails."""
        try:
            with one_by_one(self._process.engine) as connection:
                call_news.note_first_token(connection, self._claim.job_id, call_id, model)
        except SQLAlchemyError as error:
            log.warning("first token not told: postgres is away", **trouble(self._process.engine, error))

    def _admit(
        self, step: Step, plan: ledger.CallPlan, max_tokens: int, floor_tokens: int
    ) -> tuple[ledger.AdmittedCall, ChatRequest]:
        """Hold the worst case of the request, made smaller where that is what fits."""
        able = self._process.capabilities.of(plan.model)
        thought = REASONING_TOKENS if step.reasoning else 0
        room = max_tokens + thought
        largest = self._request(step, plan, able, min(room, able.output_tokens))
        floor = floor_tokens + thought
        engine, prices = self._process.engine, self._process.prices
        try:
            admitted = admit(engine, self._claim, plan, largest, floor_tokens=floor, prices=prices)
        except ledger.Refused as refused:
            self._note_exhausted(refused.decision.blocked)
            raise self._without_room(step, refused) from None
        return admitted, replace(largest, max_tokens=admitted.max_tokens)

    def _request(
        self, step: Step, plan: ledger.CallPlan, able: ModelCapability, max_tokens: int
    ) -> ChatRequest:
        return edit_request(
            plan.model,
            plan.messages,
            self._edit_format,
            max_tokens=max_tokens,
            reasoning=step.reasoning,
            able=able,
        )

    def _without_room(self, step: Step, refused: ledger.Refused) -> Exception:
        """Wait for room that is only held; the stronger model is left out rather than waited for longer."""
        waits_briefly = isinstance(refused.decision, Wait) and refused.decision.after_s <= BUDGET_POLL_S
        if step.rung is Rung.ESCALATION and not waits_briefly:
            over = isinstance(refused.decision, Fail) and refused.decision.code is ErrorCode.OVER_BUDGET
            return RungSkipped(step, "over_budget" if over else "budget_exhausted")
        return self._interrupted(refused.decision)

    def _note_exhausted(self, blocked: NoRoom | None) -> None:
        """Tell those who watch a budget that it is used up, in the first job's turn that finds it so."""
        budget_id = None if blocked is None or blocked.budget is None else from_edge("bud", blocked.budget)
        if blocked is None or budget_id is None or not blocked.used_up:
            return
        resets_at = None if blocked.resets_at is None else datetime.fromisoformat(blocked.resets_at)
        self._process.persist(lambda connection: note_exhausted(connection, budget_id, resets_at))

    def _without_slot(self) -> Decision:
        return given_back() if self._process.lease.draining else without_slot(self._process.rng)

    def _deadline_s(self) -> float:
        """Give the seconds that a call may take: the setting's, or what the job has left."""
        if self._claim.deadline_at is None:
            return self._process.call_deadline_s
        left = (self._claim.deadline_at - shared_time.now()).total_seconds()
        if left <= 0:
            raise _overdue()
        return min(left, self._process.call_deadline_s)

    def _learn(self, permit: Permit, request: ChatRequest, outcome: CallOutcome, deadline_s: float) -> None:
        """Take what the call tells of the gateway: nothing, if the job's own deadline was what ended it."""
        short = deadline_s < self._process.call_deadline_s
        if short and not isinstance(outcome, Answered) and outcome.timings.total_ms >= 1000 * deadline_s - 1:
            self._process.circuits.abandon(permit)
            return
        self._process.learn(permit, request, outcome)

    def _after(self, outcome: Rejected | Unknown) -> Interrupted:
        """Turn a failed call into the job's wait or end."""
        if outcome.failure.failure is FailureClass.SERVER:
            self._server_errors += 1
        history = History(
            attempts=self._claim.attempts,
            billed_calls=self._billed + isinstance(outcome, Unknown),
            server_errors_in_a_row=self._server_errors,
        )
        policy = self._process.policy.changed(self._claim.policy)
        return self._interrupted(
            decide(outcome.failure, history, policy=policy.unknown, rng=self._process.rng)
        )

    def _interrupted(self, decision: Decision) -> Interrupted:
        """Let the job wait or end; for one whose deadline comes before its next try, this is the end.

        So what is verified of it is offered, which a job that waits has not written down.
        """
        if isinstance(decision, Wait) and self._comes_too_late(decision):
            return _overdue()
        return Interrupted(decision, self._server_errors)

    def _comes_too_late(self, wait: Wait) -> bool:
        """Say whether a job's deadline passes before it is due again; only a `retry` is never cut short."""
        if self._claim.deadline_at is None:
            return False
        at_least_s = wait.after_s if wait.reason is WaitReason.RETRY else 0.0
        return (self._claim.deadline_at - shared_time.now()).total_seconds() <= at_least_s


def _overdue() -> Interrupted:
    message = "the job's deadline passed, or leaves no time for another call"
    return Interrupted(Fail(code=ErrorCode.DEADLINE_EXCEEDED, message=message, retryable=True))


def _of_store(stored: StoredReply) -> Reply:
    return Reply(
        call_id=stored.call_id,
        max_tokens=stored.max_tokens,
        text=stored.text,
        finish_reason=stored.finish_reason,
        fault=stored.fault,
        stand_in=stored.stand_in,
        model_ms=0,
    )


def _turn(model: str, step: Step, prompt: Prompt) -> str:
    """Identify a request: the same one again is served by the reply that was paid for."""
    asked: list[Any] = [model, prompt.max_tokens, [dict(message) for message in prompt.messages]]
    if step.reasoning:
        asked.append("reasoning")
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
