"""The way without the broker: a process runs what it dispatches itself, on threads of its own.

Dispatch and claim are the same; only the message is left out. Each process takes its share of the slots, so
that no process holds jobs that wait for a slot while another one has slots and no jobs.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from patchmill.queue.dispatch import Dispatch
from patchmill.telemetry import get_logger
from worker.pipeline import run_job
from worker.process import Process

log = get_logger(__name__)


class DirectRuns:
    """Runs dispatched jobs in this process; `on_end` is told after each of them, from its thread."""

    def __init__(self, process: Process, *, threads: int, on_end: Callable[[], None]) -> None:
        self._process = process
        self._on_end = on_end
        self._threads = threads
        self._lock = threading.Lock()
        self._running = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="direct")

    def room(self, share: int) -> int:
        """Say how many more jobs this process takes, of the `share` that it may have in hand."""
        with self._lock:
            # Those that came by message count as well, while they last.
            in_hand = max(self._running, len(self._process.running))
            return max(0, min(share, self._threads) - in_hand)

    def take(self, dispatched: Sequence[Dispatch]) -> None:
        """Run jobs that this process has dispatched."""
        for each in dispatched:
            with self._lock:
                self._running += 1
            run = self._pool.submit(run_job, self._process, each.job_id, each.dispatch_no)
            run.add_done_callback(partial(self._ended, each))

    def _ended(self, dispatch: Dispatch, run: Future[None]) -> None:
        with self._lock:
            self._running -= 1
        error = run.exception()
        if error is not None:
            log.error("a job's thread broke", job_id=f"job_{dispatch.job_id.hex}", exc_info=error)
        self._on_end()

    def finish(self) -> None:
        """Wait for what runs, and take nothing more."""
        self._pool.shutdown(wait=True)
