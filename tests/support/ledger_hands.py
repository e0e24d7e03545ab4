"""A worker's thread in the ledger's world: what it has in hand, what it wishes, and what it hears."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.prices import Rates
from patchmill.store import ledger
from patchmill.store.claims import Claim
from tests.support.ledger_model import Call, Job, Limit

REPLY = {"reply": "text", "finish_reason": "stop"}
REJECTED = ledger.Ending(billed=False, phase="rejected", spent=None, values={"status": 503})
UNKNOWN = ledger.Ending(billed=None, phase="unknown", spent=None, values={})


@dataclass(slots=True, kw_only=True)
class Hand:
    """A worker's thread with a job in hand, and how far it is with a call."""

    claim: Claim
    worker_id: uuid.UUID
    call: Call | None = None
    ending: ledger.Ending | None = None  # the answer that it has got and not written down
    billed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a hand wants to ask."""

    size: int  # bytes of the prompt
    wanted: int
    floor: int
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the model says of a call before the ledger is asked."""

    job: Job
    starts: dict[uuid.UUID, datetime]  # of each budget's current window
    entering: int
    highest: Rates
    limits: list[Limit]
    least: Amount  # the hold of the shortest useful answer
    fitting: int | None  # tokens of the longest answer that fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs that wait for a budget, in the order of their submission, and of them those to be woken."""

    every: list[uuid.UUID]
    next: list[uuid.UUID]  # of the project whose call ended: they wait for room that is only held


def answered(spent: Spent) -> ledger.Ending:
    """Give the ending of a call whose whole answer came, with what it used."""
    usage = {"prompt_tokens": spent.input_tokens, "completion_tokens": spent.output_tokens}
    return ledger.Ending(billed=True, phase="answered", spent=spent, values={**REPLY, "usage": usage})
