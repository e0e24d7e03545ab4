"""The one clock thread of a worker process: dispatches when woken, sweeps at intervals, polls as fallback.

Any number of processes may do this at once; whoever comes second finds nothing to do.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from patchmill.queue.dispatch import Dispatch, MessageTemplate
from patchmill.store import dispatch, workers
from patchmill.telemetry import get_logger
from worker.outage import Outage
from worker.process import Process
from worker.slots import SlotKeeper
from worker.sweepers import lost_jobs, stale_dispatches

POLL_S = 1.0
WINDOW_SHARE = 1.2  # jobs under way for each slot, so that none waits for the next message
WINDOW_SPARE = 4  # and more, since a fifth of a few slots is too little to keep them full
BATCH = 200

log = get_logger(__name__)


def window_for(slots: int) -> int:
    """Give how many jobs may be dispatched or running at once, over all processes."""
    return math.ceil(slots * WINDOW_SHARE) + WINDOW_SPARE


@dataclass(slots=True)
class _Timer:
    every_s: float
    run: Callable[[], object]
    due_at: float = 0.0


class Clock:
    """Dispatches and sweeps on a thread of its own until stopped."""

    def __init__(
        self, process: Process, template: MessageTemplate, *, slots: SlotKeeper, lease_ttl_s: float
    ) -> None:
        self._process = process
        self._template = template
        self._slots = slots
        self._lease_ttl_s = lease_ttl_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        engine = process.engine
        self._outage = Outage(engine)
        often = lease_ttl_s / 6
        self._timers = [
            _Timer(often, lambda: stale_dispatches.sweep(engine, older_than_s=lease_ttl_s)),
            _Timer(often, lost_jobs.Sweeper(process, lease_ttl_s=lease_ttl_s).sweep),
            _Timer(often, self._count_processes),
            _Timer(min(often, POLL_S), process.circuits.refresh),
            _Timer(often, process.capabilities.refresh),
            _Timer(2 * often, process.quota.write),
        ]

    def start(self) -> None:
        """Begin; once begun, this does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop after what is under way; what was never begun stays so."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2 * POLL_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._guarded(self._dispatch)
            self._tick()
            self._wait()

    def _tick(self) -> None:
        now = time.monotonic()
        for timer in self._timers:
            if now >= timer.due_at:
                timer.due_at = now + timer.every_s
                self._guarded(timer.run)

    def _wait(self) -> None:
        try:
            self._process.broker.wait_for_wake(min(POLL_S, self._lease_ttl_s / 6))
        except RedisError:
            self._stop.wait(POLL_S)

    def _guarded(self, run: Callable[[], object]) -> None:
        """Run one duty; trouble with Postgres is logged, once in a while, and the next round tries again."""
        try:
            run()
        except SQLAlchemyError as error:
            self._outage.tell(error)
        except Exception:  # the clock must not die of one bad round
            log.exception("unexpected error in the clock")

    def _dispatch(self) -> None:
        if self._process.lease.draining or not self._process.lease.valid():
            return
        window = window_for(self._slots.limit)
        with self._process.engine.begin() as connection:
            rows = dispatch.dispatch_due(connection, window=window, limit=BATCH)
        if not rows:
            return
        sent = [Dispatch(job_id=job_id, dispatch_no=number, queue=queue) for job_id, number, queue in rows]
        try:
            self._process.broker.push([(each.queue, self._template.fill(each)) for each in sent])
        except RedisError as error:
            log.warning("redis is away; jobs are queued again", jobs=len(sent), error=type(error).__name__)
            with self._process.engine.begin() as connection:
                dispatch.take_back(connection, [each.job_id for each in sent])

    def _count_processes(self) -> None:
        """Say how many processes share the slots when Redis cannot."""
        with self._process.engine.begin() as connection:
            live = workers.count_live(connection, lease_ttl_s=self._lease_ttl_s)
        self._slots.count_processes(live)
