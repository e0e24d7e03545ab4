"""What a worker process holds while it lives, and how it writes through an outage of Postgres."""

import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from redis import RedisError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from patchmill.call.loop import CallLoop
from patchmill.call.reply import Answered, CallOutcome, Rejected
from patchmill.call.request import ChatRequest
from patchmill.job.ladder import Policy
from patchmill.queue.dispatch import Broker
from patchmill.store.engine import one_by_one, passes, trouble
from patchmill.store.workers import Held
from patchmill.telemetry import get_logger
from worker.capabilities import Capabilities
from worker.circuits import Circuits, Permit
from worker.lease import Lease
from worker.pauses import Pauses
from worker.price_lists import PriceLists
from worker.quota import QuotaNote

PERSIST_PAUSE_S = 1.0

log = get_logger(__name__)
Written = TypeVar("Written")


class InHand:
    """What the threads of one process have in hand, each dispatch of a job in one thread alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[Held] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, held: Held) -> bool:
        """Take a dispatch in hand; False when another thread has it: its message came twice."""
        with self._lock:
            fresh = held not in self._held
            self._held.add(held)
        return fresh

    def put_down(self, held: Held) -> None:
        """Have it in hand no more."""
        with self._lock:
            self._held.discard(held)

    def every_one(self) -> set[Held]:
        """Give all that is in hand now."""
        with self._lock:
            return set(self._held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The parts that the jobs of one process share."""

    engine: Engine
    calls: CallLoop
    lease: Lease
    broker: Broker
    circuits: Circuits
    pauses: Pauses
    capabilities: Capabilities
    prices: PriceLists
    quota: QuotaNote
    policy: Policy  # of projects that have set nothing of their own
    call_deadline_s: float
    terms: bytes  # digest of what this process brings to every job, see `job/work.py`
    rng: random.Random = field(default_factory=random.Random)
    running: InHand = field(default_factory=InHand)
    suspect: threading.Lock = field(default_factory=threading.Lock)  # held for a job that may kill us
    stopping: threading.Event = field(default_factory=threading.Event)

    def persist(self, write: Callable[[Connection], Written]) -> Written:
        """Write in one transaction, again and again until Postgres takes it.

        For what must not be lost: a paid answer, a job's end. Every write is a compare-and-set, so one
        whose commit was not confirmed does no harm when it is repeated.
        """
        return self._persist(self.engine.begin, write)

    def persist_at_once(self, write: Callable[[Connection], Written]) -> Written:
        """Write one statement, which is a transaction of its own, until Postgres takes it."""
        return self._persist(lambda: one_by_one(self.engine), write)

    def _persist(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        write: Callable[[Connection], Written],
    ) -> Written:
        while True:
            try:
                with connect() as connection:
                    return write(connection)
            except SQLAlchemyError as error:
                if not passes(error):
                    raise
                log.warning("postgres is away; the write is repeated", **trouble(self.engine, error))
            if self.stopping.wait(PERSIST_PAUSE_S):
                raise StoppedWhileWriting

    def learn(self, permit: Permit, request: ChatRequest, outcome: CallOutcome) -> None:
        """Take what a call tells of the gateway; nothing of that is needed to go on."""
        self.quota.hear(outcome.quota)
        try:
            self.circuits.leave(permit, outcome)
            if isinstance(outcome, Answered):
                self.capabilities.heard(request, outcome)
        except SQLAlchemyError as error:
            log.warning("nothing learned of a call: postgres is away", **trouble(self.engine, error))

    def drops_parameter(self, request: ChatRequest, outcome: CallOutcome) -> bool:
        """Say whether a call may be made anew at once, without a parameter that its model refused.

        Also where others found that out while this call was under way; not where the request did without it
        already, so that each new call has one parameter less.
        """
        if not isinstance(outcome, Rejected) or outcome.parameter is None:
            return False
        if not request.able.takes(outcome.parameter):
            return False
        self.capabilities.drop(request.model, outcome.parameter)
        return True

    def wake_dispatcher(self) -> None:
        """Say that there may be something to dispatch; without Redis it is noticed within a second."""
        try:
            self.broker.wake()
        except RedisError as error:
            log.debug("dispatcher not woken", error=type(error).__name__)


class StoppedWhileWriting(Exception):
    """The process stops before Postgres came back; what it held is recovered from the database."""
