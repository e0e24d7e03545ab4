"""`python -m tests.support.failing_worker`: a worker that comes to its end at one point of a call, once.

FAIL_AT names the point and FAIL_FOLDER a folder: the file `reached` appears there at the point. With FAIL_HOW
`die` the process is killed then; with `wait` its thread goes on when the file `go` is there.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patchmill.call.loop import CallLoop
from patchmill.store import ledger
from worker import tasks
from worker.__main__ import main
from worker.circuits import Circuits

POLL_S = 0.02
# What is wrapped for a point, and whether the point lies before it.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "before the hold": (ledger, "admit", True),
    "held": (CallLoop, "call", True),
    "answered": (CallLoop, "call", False),
    "settled": (Circuits, "leave", True),
    "ended": (tasks, "run_job", False),
}


def fail(folder: Path, how: str) -> None:
    """Come to the point, the first that does."""
    try:
        (folder / "reached").touch(exist_ok=False)
    except FileExistsError:
        return
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    pause = threading.Event()
    while not (folder / "go").exists():
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
    to_come = functools.partial(fail, Path(os.environ["FAIL_FOLDER"]), os.environ["FAIL_HOW"])
    setattr(owner, name, failing(getattr(owner, name), to_come, before=is_before))
    sys.exit(main())
