"""Workers that go through the steps of a call one at a time, and the model that all of it is held beside.

Workers are hands that use the store's own functions. The provider is a part of this and knows what it
charged. After each step everything committed is looked at.
"""

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from unittest.mock import patch

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.prices import Rates
from patchmill.budget.tokens import input_bound
from patchmill.budget.windows import bounds
from patchmill.call.request import ChatRequest, request_body
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.record import ErrorCode, Outcome
from patchmill.job.retry import BUDGET_POLL_S, MAX_BILLED_CALLS, Decision, Fail, Wait
from patchmill.job.state import State
from patchmill.store import claims, ledger
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one, passes
from patchmill.store.ids import new_id
from tests.support.ledger_ground import MODEL, Ground
from tests.support.ledger_hands import REJECTED, REPLY, UNKNOWN, Expected, Hand, Waiting, Wish, answered
from tests.support.ledger_look import Seen
from tests.support.ledger_model import NOTHING, Call, Job, Window, bound, charged, dearest, largest_fitting
from worker import admission

MOST_HANDS = 10
Result = TypeVar("Result")


class Cut(Exception):
    """The connection went away before the commit: nothing of the transaction may be there."""


class World(Ground):
    """Everything: the ground, the hands that work on it, and what the model says that they must see."""

    __slots__ = ()

    def staff(self) -> None:
        """See that some hand is idle, as far as there are jobs."""
        if all(hand.call is not None for hand in self.hands) and len(self.hands) < MOST_HANDS:
            if not any(job["state"] in {"queued", "dispatched"} for job in self.seen.jobs.values()):
                self.submit(len(self.model.jobs) % 2, with_key=True, cap_picos=None, key=None)
            self.make_all_due()
            self.dispatch()
            self.deliver(None)
            self.look()

    def owns(self, hand: Hand) -> bool:
        """Whether a hand's claim is still the job's latest."""
        job = self.seen.jobs[hand.claim.job_id]
        return bool(job["state"] == "running" and job["fence"] == hand.claim.fence)

    def hold(self, hand: Hand, wish: Wish) -> None:
        """Let a hand ask for room; it gives up when its job may make no more calls."""
        if hand.claim.billed_calls + hand.billed >= MAX_BILLED_CALLS:
            self._end_job(hand, State.FAILED, ErrorCode.ATTEMPTS_SPENT)
            return
        messages = [{"role": "user", "content": "x" * wish.size}]
        request = ChatRequest(model=MODEL, messages=messages, max_tokens=wish.wanted, stream=True)
        plan = ledger.CallPlan(
            model=MODEL,
            rung="first",
            prompt_version="v",
            turn=new_id().hex,
            messages=messages,
            deadline_s=wish.deadline_s,
        )
        expected = self._expect(hand, wish, input_bound(len(request_body(request)), 1, request.able))

        try:
            admitted = self._transact(
                lambda engine: self._admit(engine, hand.claim, plan, request, wish.floor)
            )
        except LostClaim:
            assert not self.owns(hand), "a claim that stands was refused"
            self.hands.remove(hand)
        except CancelRequested:
            self._end_job(hand, State.CANCELLED, None)
        except ledger.Refused as refused:
            self._check_refused(expected, refused.decision)
            self._give_back(hand, refused.decision)
        else:
            self._check_admitted(hand, expected, admitted)
            hand.call = self._add_call(admitted, expected)

    def _admit(
        self, engine: Engine, claim: Claim, plan: ledger.CallPlan, request: ChatRequest, floor: int
    ) -> ledger.AdmittedCall:
        with patch.object(admission, "shared_time", self.clock):
            return admission.admit(engine, claim, plan, request, floor_tokens=floor, prices=self.known_prices)

    def _expect(self, hand: Hand, wish: Wish, entering: int) -> Expected:
        job = self.model.jobs[hand.claim.job_id]
        starts = self._starts()
        highest = dearest(self.price_list.within(self.clock.at, wish.deadline_s))
        limits = list(self.model.limits(job, starts))
        return Expected(
            job=job,
            starts=starts,
            entering=entering,
            highest=highest,
            limits=limits,
            least=bound(entering, wish.floor, highest),
            fitting=largest_fitting(entering, wish.wanted, wish.floor, highest, limits),
        )

    def _check_refused(self, expected: Expected, decision: Decision) -> None:
        if expected.starts != self._starts():
            return  # a window began meanwhile
        assert expected.fitting is None, f"I11 refused although {expected.fitting} tokens fit"
        verdicts = {limit.verdict(expected.least) for limit in expected.limits}
        assert _word(decision) in verdicts, "refused for another reason than there is"

    def _check_admitted(self, hand: Hand, expected: Expected, admitted: ledger.AdmittedCall) -> None:
        assert self.owns(hand), "who has lost its claim was admitted"
        asked_to_stop = self.seen.jobs[expected.job.id]["cancel_requested"]
        assert not asked_to_stop, "a job that is to be cancelled was admitted"
        assert expected.starts != self._starts() or admitted.max_tokens == expected.fitting

    def _add_call(self, admitted: ledger.AdmittedCall, expected: Expected) -> Call:
        job = expected.job
        rows = self.onlooker.execute(_SEEN_THROUGH, admitted.call_id)
        bearing = {budget.id: budget for budget in self.model.budgets.values() if budget.bears_on(job)}
        assert sorted(row["budget_id"] for row in rows) == sorted(bearing), "a budget was passed by"
        for row in rows:
            budget = bearing[row["budget_id"]]
            current = bounds(budget.window, budget.time_zone, row["sent_at"]).starts_at
            assert row["starts_at"] == current, "a call was counted in another time's window"
            known = Window(id=row["id"], budget_id=budget.id, starts_at=current)
            self.model.windows.setdefault(row["id"], known)
        call = Call(
            id=admitted.call_id,
            job_id=job.id,
            windows=tuple(row["id"] for row in rows),
            entering=expected.entering,
            max_tokens=admitted.max_tokens,
            hold=bound(expected.entering, admitted.max_tokens, expected.highest),
            rates=self.price_list.at(self.clock.at),
        )
        self.model.calls[call.id] = call
        for window_id in call.windows:
            self._check_cap(window_id)
        return call

    def _check_cap(self, window_id: uuid.UUID) -> None:
        budget = self.model.budgets[self.model.windows[window_id].budget_id]
        used = self.model.of_window(window_id).used
        assert budget.limit_picos is None or used.picos <= budget.limit_picos, "I1"
        assert budget.limit_tokens is None or used.tokens <= budget.limit_tokens, "I1"

    def send(self, hand: Hand, answer: str, share: tuple[int, int, int]) -> None:
        """Let the request of a hand arrive: the provider decides what it charges, and what is heard of it.

        `share` says in thousandths how much of its bounds the call uses.
        """
        call = hand.call
        assert call is not None
        [row] = self.onlooker.execute("SELECT state FROM calls WHERE id = %s", call.id)
        assert not call.arrived, "I7 a request was sent twice"
        assert row["state"] in {"sent", "uncertain"}, "I7 a request without a hold"
        call.arrived = True
        call.beyond = answer == "excessive"
        entering = call.entering * share[0] // 1_000
        leaving = call.max_tokens * share[2] // 1_000
        if call.beyond:
            entering, leaving = call.entering + share[0], call.max_tokens + share[2]
        spent = Spent(
            input_tokens=entering, cached_tokens=entering * share[1] // 1_000, output_tokens=leaving
        )
        call.truth = None if answer in {"rejected", "broken_free"} else spent
        hand.ending = {
            "answered": answered(spent),
            "excessive": answered(spent),
            "uncounted": ledger.Ending(billed=True, phase="answered", spent=None, values=REPLY),
            "rejected": REJECTED,
            "broken_free": UNKNOWN,
            "broken_charged": UNKNOWN,
        }[answer]

    def settle(self, hand: Hand) -> None:
        """Let a hand write down what it heard, and wake whoever waits for room."""
        assert hand.call is not None
        assert hand.ending is not None
        self.tell(hand.call, hand.ending)
        hand.billed += hand.ending.billed is not False
        hand.call = hand.ending = None

    def tell(self, call: Call, ending: ledger.Ending) -> None:
        """Tell the ledger how a call ended, perhaps not for the first time."""
        job = self.model.jobs[call.job_id]
        waiting = self._waiting(job)
        told = self._transact(partial(self._end, call, ending))
        counted = ending.billed is not True or ending.spent is not None
        state = {True: "settled", False: "void", None: "uncertain"}[ending.billed if counted else None]
        stays = call.state not in {"sent", "uncertain"} or call.state == state
        assert (told is ledger.EndedCall.STAYED) == stays, "a call ended twice, or not at all"
        if stays:
            return
        call.state = state
        if state == "settled" and ending.spent is not None:
            call.used = charged(ending.spent, call.rates)
        shared = bool(call.windows) or job.run_id is not None
        less = call.used.tokens < call.hold.tokens or call.used.picos < call.hold.picos
        self._check_woken(waiting, freed=shared and state != "uncertain" and less)

    def evidence(self, call: Call) -> ledger.Ending:
        """Give what the provider's own books say of a call."""
        return REJECTED if call.truth is None else answered(call.truth)

    def repeated(self, kind: str) -> ledger.Ending:
        """Give an ending that somebody tells again, or too late."""
        return {
            "answered": answered(Spent(input_tokens=1, cached_tokens=0, output_tokens=1)),
            "rejected": REJECTED,
            "unknown": UNKNOWN,
        }[kind]

    def _end(self, call: Call, ending: ledger.Ending, engine: Engine) -> ledger.EndedCall:
        with one_by_one(engine) as connection:
            return ledger.end_call(connection, call.job_id, call.id, ending)

    def _waiting(self, job: Job) -> Waiting:
        rows = self.onlooker.execute(_WAITING, job.project_id, f"{BUDGET_POLL_S} s")
        return Waiting(every=[row["id"] for row in rows], next=[row["id"] for row in rows if row["soon"]])

    def _check_woken(self, waiting: Waiting, *, freed: bool) -> None:
        due = {row["id"] for row in self.onlooker.execute(_DUE, waiting.every)}
        woken = due.intersection(waiting.next)
        assert woken == set(waiting.next[: len(woken)]), "I11 waiters are not woken in their order"
        enough = len(woken) == len(waiting.next) or len(due) >= ledger.WAKE_LIMIT
        assert enough or not freed, "I11 room is free, and who waits for it was left asleep"

    def finish(self, hand: Hand, *, again: bool) -> None:
        """End a job whose call has ended, or queue it again."""
        if again:
            self._give_back(hand, Wait(after_s=0.0, reason=None, costs_attempt=True))
        else:
            self._end_job(hand, State.SUCCEEDED, None)

    def check(self) -> None:
        """Look at everything, and hold it beside the model."""
        self.look()
        assert self.seen.breaches == []
        assert set(self.seen.jobs) == set(self.model.jobs), "I8"
        assert _calls_seen(self.seen) == {each.id: _call_told(each) for each in self.model.calls.values()}
        assert self.model.windows.keys() <= self.seen.windows.keys()
        for window_id, row in self.seen.windows.items():
            unused = Window(id=window_id, budget_id=row["budget_id"], starts_at=row["starts_at"])
            self.model.windows.setdefault(window_id, unused)
            balance = self.model.of_window(window_id)
            for name in ("settled", "held", "uncertain"):
                assert _amount(row, name) == getattr(balance, name), f"I2 {name}"
        for call in self.model.calls.values():
            self._check_truth(call)
        for job_id in self.model.jobs:
            self._check_requests(job_id)

    def _check_truth(self, call: Call) -> None:
        truth = NOTHING if call.truth is None else charged(call.truth, call.rates)
        if call.state == "settled":
            assert call.used == truth, "I6 settled what was not charged"
        elif call.state == "void":
            assert truth == NOTHING, "I6 void, and charged all the same"
        elif not call.beyond:
            assert truth.tokens <= call.hold.tokens, "I6"
            assert truth.picos <= call.hold.picos, "I6"

    def _check_requests(self, job_id: uuid.UUID) -> None:
        calls = [call for call in self.model.calls.values() if call.job_id == job_id]
        maybe_billed = [call for call in calls if call.arrived and call.state != "void"]
        assert len(maybe_billed) <= MAX_BILLED_CALLS, "I7 more requests than a job may make"

    def _transact(self, write: Callable[[Engine], Result]) -> Result:
        broken = self.breaker.broken
        try:
            return write(self.engine)
        except DBAPIError as error:
            if self.breaker.broken == broken or not passes(error):
                raise
            raise Cut from error
        finally:
            self.breaker.arm(None, wholly=False)

    def _starts(self) -> dict[uuid.UUID, datetime]:
        [row] = self.onlooker.execute("SELECT now() AS at")
        return {
            budget.id: bounds(budget.window, budget.time_zone, row["at"]).starts_at
            for budget in self.model.budgets.values()
        }

    def _give_back(self, hand: Hand, decision: Decision) -> None:
        if isinstance(decision, Fail):
            self._end_job(hand, State.FAILED, decision.code)
            return

        def write(connection: Connection) -> None:
            claims.release(
                connection,
                hand.claim.job_id,
                hand.claim.fence,
                reason=decision.reason,
                after_s=decision.after_s,
                refund=not decision.costs_attempt,
            )

        self._leave(hand, write)

    def _end_job(self, hand: Hand, state: State, code: ErrorCode | None) -> None:
        error = None if code is None else {"code": code, "message": "", "retryable": True, "details": {}}
        outcome = Outcome.VERIFIED if state is State.SUCCEEDED else None

        def write(connection: Connection) -> None:
            claims.finish(
                connection, hand.claim.job_id, hand.claim.fence, state, outcome=outcome, error=error
            )

        self._leave(hand, write)

    def _leave(self, hand: Hand, write: Callable[[Connection], None]) -> None:
        try:
            with self.engine.begin() as connection:
                write(connection)
        except LostClaim:
            assert not self.owns(hand), "a claim that stands was refused"
        except CancelRequested:
            with self.engine.begin() as connection:
                claims.finish(connection, hand.claim.job_id, hand.claim.fence, State.CANCELLED)
        self.hands.remove(hand)


def _amount(row: dict[str, Any], name: str) -> Amount:
    return Amount(tokens=row[f"{name}_tokens"], picos=row[f"{name}_picos"])


def _calls_seen(seen: Seen) -> dict[uuid.UUID, tuple[Any, ...]]:
    return {
        each["id"]: (
            each["state"],
            each["max_tokens"],
            _amount(each, "hold"),
            Rates(
                input_picos=each["input_picos"],
                cached_picos=each["cached_picos"],
                output_picos=each["output_picos"],
            ),
            each["cost_picos"],
        )
        for each in seen.calls.values()
    }


def _call_told(call: Call) -> tuple[Any, ...]:
    return call.state, call.max_tokens, call.hold, call.rates, call.used.picos


def _word(decision: Decision) -> str:
    """Give the model's word for what followed a refusal."""
    if isinstance(decision, Wait):
        return "wait" if decision.after_s == BUDGET_POLL_S else "reset"
    return "over" if decision.code is ErrorCode.OVER_BUDGET else "exhausted"


_SEEN_THROUGH = """
    SELECT w.id, w.budget_id, w.starts_at, c.sent_at FROM call_windows v
    JOIN windows w ON w.id = v.window_id JOIN calls c ON c.id = v.call_id WHERE v.call_id = %s
"""
_DUE = "SELECT id FROM jobs WHERE id = ANY(%s) AND run_at <= now()"
_WAITING = """
    SELECT id, project_id = %s AND run_at <= now() + %s::interval AS soon FROM jobs
    WHERE state = 'queued' AND wait_reason = 'budget' AND run_at > now() ORDER BY id
"""
