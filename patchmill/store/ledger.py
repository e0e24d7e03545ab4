"""Hold, send, settle in Postgres: each a short transaction, locks always in the order job, call, windows.

A call's money moves once per phase (`ledger_entries`); the windows that it is seen through are locked
last and by id, since they are the hot rows.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Interval,
    RowMapping,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from patchmill.budget.ledger import (
    Account,
    Amount,
    Room,
    Spent,
    Transfer,
    cost,
    held,
    settled,
    suspended,
    voided,
)
from patchmill.budget.prices import Rates
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.failure import FailureClass
from patchmill.job.retry import BUDGET_POLL_S, Decision
from patchmill.job.state import State, WaitReason
from patchmill.store.budgets import NOTHING
from patchmill.store.call_news import told_of_call
from patchmill.store.erasure import ERASED_CALL
from patchmill.store.ids import new_id
from patchmill.store.rooms import count_hold, count_transfers, lock_rooms, room_of_run
from patchmill.store.tables import budgets, calls, jobs, ledger_entries
from patchmill.store.transitions import Note, given

WAKE_LIMIT = 8  # waiters woken by one settlement; each that is admitted makes its own settlement later


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """A call about to be made: what it asks, and until when it may run."""

    model: str
    rung: str
    prompt_version: str
    turn: str
    messages: Sequence[Mapping[str, str]]
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the arithmetic decided for the rooms that it was shown: the request's size and its hold."""

    max_tokens: int
    hold: Amount
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedCall:
    """A call whose hold is committed: it may be sent, once."""

    call_id: uuid.UUID
    number: int
    max_tokens: int


class Refused(Exception):
    """The call was not admitted, and the transaction rolls back; `decision` says what follows."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self.decision = decision


_LOCK_RUNNING_JOB = (
    select(
        jobs.c.id,
        jobs.c.project_id,
        jobs.c.key_id,
        jobs.c.run_id,
        jobs.c.fence,
        jobs.c.cancel_requested,
        jobs.c.calls,
        jobs.c.max_cost_picos,
        jobs.c.cost_picos,
        jobs.c.held_picos,
        jobs.c.uncertain_picos,
    )
    .where(
        jobs.c.id == bindparam("job_id"), jobs.c.fence == bindparam("fence"), jobs.c.state == State.RUNNING
    )
    .with_for_update(key_share=True)
)
_ADD_CALL = insert(calls).values(deadline_at=func.now() + bindparam("within", type_=Interval))
_NOTE_STARTED = Note(
    "job.call",
    {
        "calls": given("calls"),
        "held_picos": jobs.c.held_picos + given("hold_picos", BigInteger()),
    },
)


def admit(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    plan: CallPlan,
    decide: Callable[[Sequence[Room]], Admission],
) -> AdmittedCall:
    """Hold the worst case of a call over every scope at once, and mark the call sent.

    `decide` sees the locked rooms and gives an admission that fits them all, or raises `Refused`.

    Raises:
        LostClaim: the job is not running under this fence any more.
        CancelRequested: somebody asked to stop the job.
        Refused: as `decide` raised it; nothing is written.
    """
    job = _lock_job(connection, job_id, fence)
    of_run = None if job["run_id"] is None else room_of_run(connection, job["run_id"])
    scoped = lock_rooms(connection, job["project_id"], job["key_id"])
    rooms = [_own_room(job), *([] if of_run is None else [of_run]), *(each.room for each in scoped)]
    admission = decide(rooms)
    number = job["calls"] + 1
    call_id = _insert_call(connection, job, number, plan, admission)
    started = told_of_call(call_id, plan.model, "started")
    _NOTE_STARTED.write(connection, job_id, started, calls=number, hold_picos=admission.hold.picos)
    _write(connection, call_id, held(admission.hold))
    count_hold(connection, call_id, admission.hold, scoped)
    return AdmittedCall(call_id=call_id, number=number, max_tokens=admission.max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a call ended: `values` are columns of its row; `spent` is known only when usage was reported.

    `billed` is None when nobody can know.
    """

    billed: bool | None
    phase: str  # as the event says it: answered, rejected, unknown
    spent: Spent | None
    values: Mapping[str, Any]


class EndedCall(Enum):
    """What ending a call did."""

    STAYED = "stayed"  # it had ended before
    ENDED = "ended"
    FREED_ROOM = "freed_room"  # in a budget's window or a run's cap: jobs may be waiting for it


_LOCK_JOB = (
    select(jobs.c.run_id, jobs.c.erased_at)
    .where(jobs.c.id == bindparam("job_id"))
    .with_for_update(key_share=True)
)
_LOCK_CALL = (
    select(
        calls.c.state,
        calls.c.model,
        calls.c.hold_tokens,
        calls.c.hold_picos,
        calls.c.input_picos,
        calls.c.cached_picos,
        calls.c.output_picos,
    )
    .where(calls.c.id == bindparam("call_id"))
    .with_for_update(key_share=True)
)
_END_CALL = update(calls).where(calls.c.id == bindparam("call_id")).values(ended_at=func.now())
_MOVING = ("held_picos", "uncertain_picos", "cost_picos", "input_tokens", "cached_tokens", "output_tokens")
_NOTE_ENDED = Note("job.call", {name: jobs.c[name] + given(name, BigInteger()) for name in _MOVING})


def end_call(connection: Connection, job_id: uuid.UUID, call_id: uuid.UUID, ending: Ending) -> EndedCall:
    """Settle, void or suspend a call's hold together with what is known of its answer.

    A call that was already settled or voided stays as it is; an uncertain one may still be settled by
    late evidence. Of a job whose code was erased meanwhile the answer is counted and not kept.
    """
    job = connection.execute(_LOCK_JOB, {"job_id": job_id}).one()
    call = connection.execute(_LOCK_CALL, {"call_id": call_id}).mappings().one()
    if call["state"] not in {"sent", "uncertain"}:
        return EndedCall.STAYED
    if call["state"] == "uncertain" and _billed(ending) is None:
        return EndedCall.STAYED
    hold = Amount(tokens=call["hold_tokens"], picos=call["hold_picos"])
    source = Account.HELD if call["state"] == "sent" else Account.UNCERTAIN
    used = _used(call, ending)
    transfers = _transfers(hold, used, source, ending)
    state = {True: "settled", False: "void", None: "uncertain"}[_billed(ending)]
    known = {"state": state, "cost_picos": used.picos, **_tokens(ending), **ending.values}
    if job.erased_at is not None:
        known |= ERASED_CALL
    connection.execute(_END_CALL, {"call_id": call_id, **known})
    tokens = ending.spent.output_tokens if ending.spent else 0
    data = told_of_call(call_id, call["model"], ending.phase, output_tokens=tokens)
    _NOTE_ENDED.write(connection, job_id, data, **_job_counts(hold, used, source, ending))
    _write(connection, call_id, transfers)
    budgeted = count_transfers(connection, call_id, transfers)
    return EndedCall.FREED_ROOM if budgeted or job.run_id is not None else EndedCall.ENDED


_OPEN_CALL = select(calls.c.id).where(calls.c.job_id == bindparam("job_id"), calls.c.state == "sent")


def suspend_open_call(connection: Connection, job_id: uuid.UUID, message: str) -> bool:
    """End the call that a job left on the wire as unknown: its money stays against the caps.

    Says whether there was one.
    """
    call_id = connection.scalars(_OPEN_CALL, {"job_id": job_id}).one_or_none()
    if call_id is not None:
        values = {"failure": FailureClass.BROKEN, "message": message}
        end_call(connection, job_id, call_id, Ending(billed=None, phase="unknown", spent=None, values=values))
    return call_id is not None


# Those that wait for room that is only held look again within seconds; the others wait for a new window.
_FOR_HELD_ROOM = func.now() + timedelta(seconds=BUDGET_POLL_S)
_SHARED_BUDGET = exists().where(budgets.c.scope == "installation", budgets.c.ended_at.is_(None))
_WAITING_FOR_BUDGET = (
    select(jobs.c.id)
    .where(
        jobs.c.state == State.QUEUED,
        jobs.c.wait_reason == WaitReason.BUDGET,
        jobs.c.run_at > func.now(),
        jobs.c.run_at <= _FOR_HELD_ROOM,
        or_(jobs.c.project_id == bindparam("of_project"), _SHARED_BUDGET),
    )
    .order_by(jobs.c.id)
    .limit(WAKE_LIMIT)
    .with_for_update(skip_locked=True, key_share=True)
)
_WAKE = update(jobs).where(jobs.c.id.in_(_WAITING_FOR_BUDGET)).values(run_at=func.now())


def wake_budget_waiters(connection: Connection, project_id: uuid.UUID) -> int:
    """Make jobs due again that wait for room which a project's call has freed; say how many.

    They are woken in the order of their submission.
    """
    return connection.execute(_WAKE, {"of_project": project_id}).rowcount


def _lock_job(connection: Connection, job_id: uuid.UUID, fence: int) -> RowMapping:
    found = connection.execute(_LOCK_RUNNING_JOB, {"job_id": job_id, "fence": fence})
    job = found.mappings().one_or_none()
    if job is None:
        raise LostClaim(f"the claim {fence} of job {job_id} has ended")
    if job["cancel_requested"]:
        raise CancelRequested(f"job {job_id} is to be cancelled")
    return job


def _own_room(job: RowMapping) -> Room:
    return Room(
        cap_tokens=None,
        cap_picos=job["max_cost_picos"],
        settled=Amount(tokens=0, picos=job["cost_picos"]),
        held=Amount(tokens=0, picos=job["held_picos"]),
        uncertain=Amount(tokens=0, picos=job["uncertain_picos"]),
        resets_at=None,
        waits=False,
        budget=None,
    )


def _insert_call(
    connection: Connection, job: RowMapping, number: int, plan: CallPlan, admission: Admission
) -> uuid.UUID:
    call_id = new_id()
    connection.execute(
        _ADD_CALL,
        {
            "id": call_id,
            "job_id": job["id"],
            "number": number,
            "fence": job["fence"],
            "model": plan.model,
            "rung": plan.rung,
            "prompt_version": plan.prompt_version,
            "state": "sent",
            "turn": plan.turn,
            "messages": [dict(message) for message in plan.messages],
            "max_tokens": admission.max_tokens,
            "hold_tokens": admission.hold.tokens,
            "hold_picos": admission.hold.picos,
            "input_picos": admission.rates.input_picos,
            "cached_picos": admission.rates.cached_picos,
            "output_picos": admission.rates.output_picos,
            "within": timedelta(seconds=plan.deadline_s),
        },
    )
    return call_id


def _billed(ending: Ending) -> bool | None:
    """An answer without usage is billed, but nobody knows how much: its hold stays against the cap."""
    return None if ending.billed and ending.spent is None else ending.billed


def _used(call: RowMapping, ending: Ending) -> Amount:
    if not ending.billed or ending.spent is None:
        return NOTHING
    rates = Rates(
        input_picos=call["input_picos"], cached_picos=call["cached_picos"], output_picos=call["output_picos"]
    )
    return Amount(
        tokens=ending.spent.input_tokens + ending.spent.output_tokens, picos=cost(ending.spent, rates)
    )


def _transfers(hold: Amount, used: Amount, source: Account, ending: Ending) -> tuple[Transfer, ...]:
    billed = _billed(ending)
    if billed is None:
        return suspended(hold)
    return settled(hold, used, source) if billed else voided(hold, source)


def _tokens(ending: Ending) -> dict[str, int]:
    if ending.spent is None:
        return {}
    return {
        "input_tokens": ending.spent.input_tokens,
        "cached_tokens": ending.spent.cached_tokens,
        "output_tokens": ending.spent.output_tokens,
    }


def _job_counts(hold: Amount, used: Amount, source: Account, ending: Ending) -> dict[str, int]:
    """Say by how much each of the job's columns in `_MOVING` changes."""
    billed = _billed(ending)
    more = dict.fromkeys(_MOVING, 0)
    more["held_picos" if source is Account.HELD else "uncertain_picos"] -= hold.picos
    if billed is None:
        more["uncertain_picos"] += hold.picos
    if billed:
        more |= {"cost_picos": used.picos, **_tokens(ending)}
    return more


_ADD_ENTRIES = insert(ledger_entries)


def _write(connection: Connection, call_id: uuid.UUID, transfers: Sequence[Transfer]) -> None:
    rows = [
        {
            "call_id": call_id,
            "phase": transfer.phase,
            "debit": transfer.debit,
            "credit": transfer.credit,
            "tokens": transfer.amount.tokens,
            "picos": transfer.amount.picos,
        }
        for transfer in transfers
    ]
    if rows:
        connection.execute(_ADD_ENTRIES, rows)
