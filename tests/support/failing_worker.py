"""`python -m tests.support.failing_worker`: a worker that comes to its end at one point of a call, once.

FAIL_AT names the point and FAIL_FOLDER a folder: the file `reached` appears there at the point. With
FAIL_HOW `die` the process is killed then; with `stop` it stands still until it is continued; with `wait` its
thread goes on when the file `go` is there. With FAIL_THREADS so many threads have to be at the point, and
wait for each other.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.queue.dispatch import Broker
from patchmill.store import ledger
from worker import pipeline, tasks
from worker.circuits import Circuits
from worker.main import main

POLL_S = 0.02
# What is wrapped for a point, and whether the point lies before it.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "dispatched": (Broker, "push", True),
    "taken": (tasks, "run_job", True),
    "claimed": (pipeline, "_claim", False),
    "before the hold": (ledger, "admit", True),
    "held": (CallLoop, "call", True),
    "sending": (Gateway, "chat", True),
    "answered": (CallLoop, "call", False),
    "settled": (Circuits, "leave", True),
    "verified": (pipeline, "_work", False),
    "ended": (tasks, "run_job", False),
}


class Point:
    """Where the process comes to its end, which the last of so many threads that have to be there brings."""

    def __init__(self, folder: Path, how: str, threads: int) -> None:
        self._folder = folder
        self._how = how
        self._threads = threads
        self._lock = threading.Lock()
        self._come = 0

    def come(self) -> None:
        """Come to it; whoever comes after the end was to be goes on."""
        with self._lock:
            self._come += 1
            place = self._come
        if place > self._threads:
            return
        if place == self._threads:
            (self._folder / "reached").touch()
            if self._how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._how == "stop":
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # so that this thread stops first
                return
        pause = threading.Event()
        while not (self._folder / "go").exists():
            pause.wait(POLL_S)


def failing(whole: Callable[..., Any], come: Callable[[], None], *, before: bool) -> Callable[..., Any]:
    """Give a function that comes to a point before or after another."""

    @functools.wraps(whole)
    def run(*given: Any, **named: Any) -> Any:
        if before:
            come()
        result = whole(*given, **named)
        if not before:
            come()
        return result

    return run


if __name__ == "__main__":
    owner, name, is_before = POINTS[os.environ["FAIL_AT"]]
    point = Point(
        Path(os.environ["FAIL_FOLDER"]), os.environ["FAIL_HOW"], int(os.environ.get("FAIL_THREADS", "1"))
    )
    setattr(owner, name, failing(getattr(owner, name), point.come, before=is_before))
    sys.exit(main())
