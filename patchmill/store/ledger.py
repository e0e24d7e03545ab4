"""Hold, send, settle in Postgres: each one statement, so that it costs one round trip and one commit.

`hold_call` and `end_call` are functions in the database (`migrations/functions/`): they lock in the order
job, call, windows, compare sums, and write. What is decided is decided here and in `patchmill/budget`: a
hold that does not fit comes back with the rooms that it did not fit, and is asked for again or given up.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from psycopg.types.json import Jsonb
from psycopg.types.numeric import Int8
from sqlalchemy import Connection, RowMapping, bindparam, select

from patchmill.budget.ledger import (
    Account,
    Amount,
    Phase,
    Room,
    Spent,
    Terms,
    Transfer,
    settled,
    suspended,
    voided,
)
from patchmill.budget.prices import Rates, to_usd
from patchmill.errors import CancelRequested, LostClaim
from patchmill.job.failure import FailureClass
from patchmill.job.retry import BUDGET_POLL_S, Decision, in_a_crowd
from patchmill.store.call_news import told_of_call
from patchmill.store.engine import ask
from patchmill.store.ids import new_id
from patchmill.store.rooms import make_windows, rooms_of
from patchmill.store.tables import calls

WAKE_LIMIT = 8  # waiters woken by one settlement; each that is admitted makes its own settlement later
HOLD_TRIES = 6  # of one admission: rooms may move between two looks at them


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """A call about to be made: what it asks, and until when it may run."""

    model: str
    rung: str
    prompt_version: str
    turn: str
    messages: Sequence[Mapping[str, Any]]
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the arithmetic decided for the rooms that it was shown: the request's size and its hold.

    `price_id` is the row of the price list that `rates` are from. With `price_mark` the hold is made only if
    the list is still the one that it was read from.
    """

    max_tokens: int
    hold: Amount
    rates: Rates
    price_id: int | None = None
    price_mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedCall:
    """A call whose hold is committed: it may be sent, once."""

    call_id: uuid.UUID
    number: int
    max_tokens: int
    terms: Terms


class Refused(Exception):
    """The call was not admitted, and nothing is written; `decision` says what follows."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self.decision = decision


class PricesChanged(Exception):
    """The admission was made with a price list that has changed since it was read; nothing is written."""


_UNSEEN = Room(cap_tokens=None, cap_picos=None)
# Handed to the driver as they are: to build and bind them would take as long as the rest of the work here.
_HOLD = """
    SELECT hold_call(
        %(job_id)s, %(fence)s::integer, %(call_id)s, %(tokens)s, %(picos)s, %(asked)s, %(told)s
    )
"""


def admit(
    connection: Connection,
    job_id: uuid.UUID,
    fence: int,
    plan: CallPlan,
    decide: Callable[[Sequence[Room]], Admission],
) -> AdmittedCall:
    """Hold the worst case of a call over every scope at once, and mark the call sent.

    `decide` gives an admission that fits the rooms it is shown, or raises `Refused`. First it is shown one
    without limits, since mostly there is room enough: that costs one round trip. Where the hold does not fit
    it is shown the rooms as they are. In a transaction they stay locked from then on; on a connection of
    `engine.one_by_one` they may move, so it may be asked several times.

    Raises:
        LostClaim: the job is not running under this fence any more.
        CancelRequested: somebody asked to stop the job.
        PricesChanged: the admission names a price list that is not the present one.
        Refused: as `decide` raised it, or because the rooms never stood still; nothing is written.
    """
    call_id = new_id()
    told = told_of_call(call_id, plan.model, "started")
    known = {"job_id": job_id, "fence": fence, "call_id": call_id, "told": Jsonb(told)}
    admission = decide([_UNSEEN])
    for _ in range(HOLD_TRIES):
        asked = known | _asked(plan, admission)
        answer = ask(connection, _HOLD, asked)
        match answer["answer"]:
            case "held":
                terms = Terms(model=plan.model, hold=admission.hold, rates=admission.rates)
                number, size = answer["number"], admission.max_tokens
                return AdmittedCall(call_id=call_id, number=number, max_tokens=size, terms=terms)
            case "no_room":
                admission = decide(rooms_of(connection, answer["rooms"]))
            case "no_window":
                make_windows(connection, answer["now"], answer["missing"])
            case "new_prices":
                raise PricesChanged
            case "cancelled":
                raise CancelRequested(f"job {job_id} is to be cancelled")
            case _:
                raise LostClaim(f"the claim {fence} of job {job_id} has ended")
    raise Refused(in_a_crowd())


def _asked(plan: CallPlan, admission: Admission) -> dict[str, Any]:
    return {
        "tokens": Int8(admission.hold.tokens),
        "picos": Int8(admission.hold.picos),
        "asked": Jsonb(
            {
                "model": plan.model,
                "rung": plan.rung,
                "prompt_version": plan.prompt_version,
                "turn": plan.turn,
                "messages": [dict(message) for message in plan.messages],
                "deadline_s": plan.deadline_s,
                "max_tokens": admission.max_tokens,
                "price_id": admission.price_id,
                "price_mark": admission.price_mark,
                "input_picos": admission.rates.input_picos,
                "cached_picos": admission.rates.cached_picos,
                "output_picos": admission.rates.output_picos,
            }
        ),
    }


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
    FREED_ROOM = "freed_room"  # in a budget's window or a run's cap, and nobody waited for it
    WOKE_WAITERS = "woke_waiters"  # jobs that waited for the room that it freed are due now


# What an ending may say of a call; the database's function knows these columns, and no others.
ENDING_VALUES = frozenset(
    {
        *("reply", "message", "failure", "status", "finish_reason", "returned_model"),
        *("fingerprint", "anomalies", "gateway_request_id", "stand_in", "usage"),
        *("reasoning_tokens", "queue_ms", "first_token_ms", "total_ms"),
    }
)
_TERMS = [
    calls.c[name]
    for name in ("model", "hold_tokens", "hold_picos", "input_picos", "cached_picos", "output_picos")
]
_TERMS_OF = select(*_TERMS).where(calls.c.id == bindparam("call_id"))
_END = """
    SELECT end_call(
        %(job_id)s, %(call_id)s, %(state)s, %(phases)s::text[], %(tokens)s::bigint[], %(picos)s::bigint[],
        %(known)s, %(told)s, %(wake)s::integer, %(poll)s, %(overrun)s
    )
"""
_POLL = timedelta(seconds=BUDGET_POLL_S)


def end_call(
    connection: Connection,
    job_id: uuid.UUID,
    call_id: uuid.UUID,
    ending: Ending,
    terms: Terms | None = None,
) -> EndedCall:
    """Settle, void or suspend a call's hold together with what is known of its answer.

    A call that was already settled or voided stays as it is, so this may be repeated; an uncertain one may
    still be settled by late evidence. Of a job whose code was erased meanwhile the answer is counted and not
    kept. If room became free, jobs that wait for it are due again, in the order of their submission. Whoever
    does not have the call's `terms` at hand pays for reading them with a round trip.

    A call that used more than it held breaks the bound that all holds rest on: the rest is the operator's,
    and its model's circuit is open from then on, until somebody resumes.

    Raises:
        ValueError: `values` holds what is no column that an ending may say.
    """
    if not ending.values.keys() <= ENDING_VALUES:
        raise ValueError(f"an ending does not say {sorted(ending.values.keys() - ENDING_VALUES)}")
    if terms is None:
        terms = _terms(connection.execute(_TERMS_OF, {"call_id": call_id}).mappings().one())
    billed = _billed(ending)
    transfers = _transfers(terms, ending)
    told = told_of_call(call_id, terms.model, ending.phase, output_tokens=_tokens(ending)["output_tokens"])
    over = next((each.amount for each in transfers if each.phase is Phase.OVERRUN), None)
    if over is not None:
        told["overrun_usd"] = to_usd(over.picos)
    answer = ask(
        connection,
        _END,
        {
            "job_id": job_id,
            "call_id": call_id,
            "state": {True: "settled", False: "void", None: "uncertain"}[billed],
            "phases": _array(each.phase for each in transfers),
            "tokens": _array(each.amount.tokens for each in transfers),
            "picos": _array(each.amount.picos for each in transfers),
            "known": Jsonb({**ending.values, **(_tokens(ending) if billed else {})}),
            "told": Jsonb(told),
            "wake": WAKE_LIMIT,
            "poll": _POLL,
            "overrun": None if over is None else _in_words(over, terms.hold),
        },
    )
    if not answer["ended"]:
        return EndedCall.STAYED
    if answer["woken"]:
        return EndedCall.WOKE_WAITERS
    return EndedCall.FREED_ROOM if answer["freed"] else EndedCall.ENDED


_OPEN_CALL = select(calls.c.id, *_TERMS).where(calls.c.job_id == bindparam("job_id"), calls.c.state == "sent")


def suspend_open_call(connection: Connection, job_id: uuid.UUID, message: str) -> bool:
    """End the call that a job left on the wire as unknown: its money stays against the caps.

    Says whether there was one.
    """
    call = connection.execute(_OPEN_CALL, {"job_id": job_id}).mappings().one_or_none()
    if call is not None:
        values = {"failure": FailureClass.BROKEN, "message": message}
        ending = Ending(billed=None, phase="unknown", spent=None, values=values)
        end_call(connection, job_id, call["id"], ending, _terms(call))
    return call is not None


def _terms(call: RowMapping) -> Terms:
    return Terms(
        model=call["model"],
        hold=Amount(tokens=call["hold_tokens"], picos=call["hold_picos"]),
        rates=Rates(
            input_picos=call["input_picos"],
            cached_picos=call["cached_picos"],
            output_picos=call["output_picos"],
        ),
    )


def _billed(ending: Ending) -> bool | None:
    """An answer without usage is billed, but nobody knows how much: its hold stays against the cap."""
    return None if ending.billed and ending.spent is None else ending.billed


def _transfers(terms: Terms, ending: Ending) -> tuple[Transfer, ...]:
    """Give the transfers as from `held`; those of a call that was uncertain leave from there."""
    billed = _billed(ending)
    if billed is None:
        return suspended(terms.hold)
    if billed:
        return settled(terms.hold, terms.used(ending.spent), Account.HELD)
    return voided(terms.hold, Account.HELD)


def _tokens(ending: Ending) -> dict[str, int]:
    spent = ending.spent or Spent(input_tokens=0, cached_tokens=0, output_tokens=0)
    return {
        "input_tokens": spent.input_tokens,
        "cached_tokens": spent.cached_tokens,
        "output_tokens": spent.output_tokens,
    }


def _array(values: Iterable[object]) -> str:
    """Write words or numbers as Postgres does; the driver takes its time to find out what is in a list."""
    return "{" + ",".join(map(str, values)) + "}"


def _in_words(over: Amount, hold: Amount) -> str:
    return (
        f"a call used {over.tokens} tokens and ${to_usd(over.picos)} more than its hold of "
        f"{hold.tokens} tokens and ${to_usd(hold.picos)}"
    )
