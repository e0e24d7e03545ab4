"""The circuits as this process sees them: who may call now, what a call's end opens or closes.

They are read from Postgres each second and changed there at once; in between, this process goes by what it
has seen itself. A call that goes out in the second that a circuit opens is refused unbilled, or fails alone.
"""

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from patchmill.call.reply import Answered, CallOutcome, Rejected
from patchmill.job import circuit as rules
from patchmill.job.circuit import GATEWAY, Circuit, Trip
from patchmill.job.failure import FailureClass
from patchmill.job.retry import probe_after_s
from patchmill.store import circuits as store
from patchmill.store import shared_time
from patchmill.store.engine import trouble
from patchmill.telemetry import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call to `model`; `probed` are the open circuits that it tries."""

    model: str
    probed: tuple[Circuit, ...] = ()


class Circuits:
    """The circuits of this process; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rng = random.SystemRandom()
        self._lock = threading.Lock()
        self._looking = threading.Lock()  # one by one: no earlier look takes the place of a later one
        self._open: Mapping[str, Circuit] = {}
        self._known = False
        self._in_a_row: Counter[str] = Counter()

    def refresh(self) -> None:
        """Read the circuits, close those whose time is over, and wake a job for each probe that is due."""
        with self._looking:
            with self._engine.begin() as connection:
                seen = store.open_ones(connection)
                for name in store.close_those_over(connection) if seen else ():
                    seen.pop(name, None)
                    log.info("circuit closed", circuit=name, by="time")
                due = [circuit for circuit in seen.values() if _due(circuit)]
                if due:
                    store.wake_for_probe(connection, due)
                store.wake_forgotten(connection, seen.values())
            self._see(seen)

    def enter(self, model: str) -> Permit | Circuit:
        """Give leave for one call, as a probe where it is the turn of one; else the circuit in the way."""
        closed_to_us = self._in_the_way(model)
        if closed_to_us or not self._known:
            # Who was woken because a circuit has closed must not wait for one that it has only not heard of.
            self.refresh()
            closed_to_us = self._in_the_way(model)
        for circuit in closed_to_us:
            if not _due(circuit):
                return circuit
        claimed: list[Circuit] = []
        for circuit in closed_to_us:
            if not self._claim_probe(circuit):
                self._give_back(claimed)
                return circuit
            claimed.append(circuit)
        return Permit(model=model, probed=tuple(claimed))

    def _in_the_way(self, model: str) -> list[Circuit]:
        seen = self._open  # another thread may put a new view in its place at any time
        return [seen[name] for name in (GATEWAY, model) if name in seen]

    def _look(self) -> None:
        """See what is open, and nothing else."""
        with self._looking, self._engine.begin() as connection:
            self._see(store.open_ones(connection))

    def _see(self, seen: Mapping[str, Circuit]) -> None:
        """Take what is open now; of what has closed, failures are counted anew."""
        with self._lock:
            for name in self._open.keys() - seen.keys():
                self._in_a_row.pop(name, None)
            self._open = seen
            self._known = True

    def abandon(self, permit: Permit) -> None:
        """Take back a permit whose call was not sent: its probes are anybody's again."""
        self._give_back(permit.probed)

    def _give_back(self, probed: Sequence[Circuit]) -> None:
        if not probed:
            return
        try:
            with self._engine.begin() as connection:
                for circuit in probed:
                    store.give_back_probe(connection, circuit)
        except SQLAlchemyError as error:
            # The next probe comes in its time.
            log.warning("probe not given back: postgres is away", **trouble(self._engine, error))

    def leave(self, permit: Permit, outcome: CallOutcome) -> None:
        """Take what a call came to: it may open a circuit, or close those that it probed."""
        failed = None if isinstance(outcome, Answered) else outcome.failure.failure
        if failed is FailureClass.NOT_SENT:
            self.abandon(permit)
            return
        trip = self._trip_of(permit.model, outcome)
        if trip is not None:
            self._trip(trip)
        for circuit in permit.probed:
            # What has just opened for another reason was not closed in between.
            if rules.closes(circuit, failed) and (trip is None or trip.name != circuit.name):
                self._close(circuit)

    def overran(self, model: str) -> None:
        """Take note that the ledger has paused a model of which a call used more than its hold."""
        log.error("a call used more than its hold; its model is paused until resumed", model=model)
        try:
            self.refresh()
        except SQLAlchemyError as error:
            log.warning("circuits not read: postgres is away", **trouble(self._engine, error))

    def _trip_of(self, model: str, outcome: CallOutcome) -> Trip | None:
        if isinstance(outcome, Answered):
            self._succeeded(model)
            return None
        kind = outcome.failure.failure
        against = rules.counts_against(kind)
        name = GATEWAY if against == GATEWAY else model
        with self._lock:
            if kind is not FailureClass.CONNECT:
                self._in_a_row.pop(GATEWAY, None)
            if against is not None:
                self._in_a_row[name] += 1
            in_a_row = self._in_a_row[name]
        refused = outcome if isinstance(outcome, Rejected) else None
        return rules.trip_of(
            outcome.failure,
            model=model,
            code=None if refused is None else refused.code,
            status=None if refused is None else refused.status,
            in_a_row=in_a_row,
        )

    def _succeeded(self, model: str) -> None:
        if self._in_a_row:
            with self._lock:
                self._in_a_row.pop(GATEWAY, None)
                self._in_a_row.pop(model, None)

    def _claim_probe(self, circuit: Circuit) -> bool:
        after_s = probe_after_s(circuit.state, circuit.probes + 1, self._rng)
        with self._engine.begin() as connection:
            if not store.claim_probe(connection, circuit.name, next_after_s=after_s):
                return False
        log.info("circuit probed", circuit=circuit.name, why=circuit.why, probes=circuit.probes + 1)
        return True

    def _trip(self, trip: Trip) -> None:
        after_s = None if trip.until_s is not None else probe_after_s(trip.state, 0, self._rng)
        try:
            with self._engine.begin() as connection:
                opened = store.trip(connection, trip, probe_after_s=after_s)
            self._look()
        except SQLAlchemyError as error:
            # The next call that fails the same way says it again.
            log.warning("circuit not opened: postgres is away", **trouble(self._engine, error))
            return
        if opened:
            log.warning("circuit opened", circuit=trip.name, why=trip.why, said=trip.message)

    def _close(self, circuit: Circuit) -> None:
        try:
            with self._engine.begin() as connection:
                # Not what an operator, or another refusal, has opened anew while the probe was under way.
                closed = store.close(connection, circuit.name, why=circuit.why)
            self._look()
        except SQLAlchemyError as error:
            log.warning("circuit not closed: postgres is away", **trouble(self._engine, error))
            return
        if closed:
            log.info("circuit closed", circuit=circuit.name, by="probe")


def _due(circuit: Circuit) -> bool:
    """Whether one call may probe it now."""
    return circuit.probe_at is not None and circuit.probe_at <= shared_time.now()
