"""The one clock thread of a worker process: dispatches when woken, sweeps at intervals, polls as fallback.

Any number of processes may do this at once; whoever comes second finds nothing to do.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from patchmill.queue.dispatch import Dispatch, MessageTemplate
from patchmill.store import dispatch, workers
from patchmill.telemetry import get_logger
from worker.direct import DirectRuns
from worker.outage import Outage
from worker.process import Process
from worker.reconciler import Reconciler
from worker.slots import SlotKeeper
from worker.sweepers import budget_alerts, lost_jobs, retention, stale_dispatches

POLL_S = 1.0
ALERTS_S = 2.0
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
        self,
        process: Process,
        template: MessageTemplate,
        *,
        slots: SlotKeeper,
        reconciler: Reconciler,
        lease_ttl_s: float,
        retention_days: int,
    ) -> None:
        self._process = process
        self._template = template
        self._slots = slots
        self._lease_ttl_s = lease_ttl_s
        self._stop = threading.Event()
        self._away = False  # the broker
        self._job_ended = threading.Event()  # while it is
        threads = window_for(slots.cap)
        self._direct = DirectRuns(process, threads=threads, on_end=self._job_ended.set)
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        engine = process.engine
        self._outage = Outage(engine)
        often = lease_ttl_s / 6
        self._timers = [
            _Timer(often, lambda: stale_dispatches.sweep(engine, older_than_s=lease_ttl_s)),
            _Timer(often, lost_jobs.Sweeper(process, lease_ttl_s=lease_ttl_s).sweep),
            _Timer(min(often, ALERTS_S), lambda: budget_alerts.sweep(engine)),
            _Timer(often, self._count_processes),
            _Timer(min(often, POLL_S), process.circuits.refresh),
            _Timer(min(often, POLL_S), process.pauses.refresh),
            _Timer(often, process.capabilities.refresh),
            _Timer(2 * often, process.quota.write),
            _Timer(often, reconciler.tick),
            _Timer(
                min(often, retention.EVERY_S),
                retention.Sweeper(engine, days=retention_days, rng=process.rng).sweep,
            ),
        ]

    def start(self) -> None:
        """Begin; once begun, this does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Stop after what is under way; what was never begun stays so."""
        self._stop.set()
        self._job_ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=2 * POLL_S)
        self._direct.finish()

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
        pause_s = min(POLL_S, self._lease_ttl_s / 6)
        try:
            if self._away:
                self._process.broker.ping()
                self._away = False
                log.info("redis is back; jobs are sent through it again")
            self._process.broker.wait_for_wake(pause_s)
        except RedisError as error:
            self._note_away(error)
            self._job_ended.wait(pause_s)
            self._job_ended.clear()

    def _note_away(self, error: RedisError) -> None:
        if not self._away:
            self._away = True
            log.warning("redis is away; this process runs what it dispatches", error=type(error).__name__)

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
        room = self._direct.room(window_for(self._slots.share_alone)) if self._away else BATCH
        sent = self._mark(min(room, BATCH))
        if not sent:
            return
        if not self._away:
            try:
                self._process.broker.push([(each.queue, self._template.fill(each)) for each in sent])
            except RedisError as error:
                self._note_away(error)
            else:
                return
        self._run_here(sent)

    def _mark(self, limit: int) -> list[Dispatch]:
        if limit <= 0:
            return []
        window = window_for(self._slots.limit)
        with self._process.engine.begin() as connection:
            rows = dispatch.dispatch_due(connection, window=window, limit=limit)
        return [Dispatch(job_id=job_id, dispatch_no=number, queue=queue) for job_id, number, queue in rows]

    def _run_here(self, sent: Sequence[Dispatch]) -> None:
        """Run what was dispatched without the broker; what is more than this process's share is queued again.

        A message that was sent all the same, or comes later, claims nothing that is claimed here.
        """
        room = self._direct.room(window_for(self._slots.share_alone))
        self._direct.take(sent[:room])
        if sent[room:]:
            with self._process.engine.begin() as connection:
                dispatch.take_back(connection, [each.job_id for each in sent[room:]])

    def _count_processes(self) -> None:
        """Say how many processes share the slots when Redis cannot."""
        with self._process.engine.begin() as connection:
            live = workers.count_live(connection, lease_ttl_s=self._lease_ttl_s)
        self._slots.count_processes(live)
