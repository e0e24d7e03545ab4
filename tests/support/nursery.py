"""Processes of the doors that begin with everything loaded: forked from one that has done nothing else.

Nearly all that it takes to start `python -m api` or `python -m worker` is loading code: a second of processor
time, on hundreds of occasions. How they start from nothing is shown by the tests of each process itself.

`python -m tests.support.nursery DOOR` loads a door and forks as it is told, one request a line; when whoever
asks is gone, it takes with it what it has started.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
POLL_S = 0.01


class Process(Protocol):
    """A process that a test has started, however it was made."""

    pid: int

    def poll(self) -> int | None:
        """Give its exit code, a negative one for the signal that ended it; None while it lives."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and give its exit code."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


class Nursery:
    """A process that has loaded a door, and forks."""

    def __init__(self, door: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery", door],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._asking = threading.Lock()
        atexit.register(self.close)

    def start(self, module: str, environment: Mapping[str, str], log: Path) -> "Child":
        """Start what `python -m module` would; what it says is added to a file."""
        request = {"module": module, "environment": dict(environment), "log": str(log)}
        return Child(self, self._ask(request))

    def exit_code(self, pid: int) -> int | None:
        """Give the exit code of one of its children; None while it lives."""
        code: int | None = self._ask({"pid": pid})
        return code

    def close(self) -> None:
        """End it, and what it has started."""
        self._process.communicate()

    def _ask(self, request: Mapping[str, Any]) -> Any:
        pipe = self._process
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        with self._asking:
            pipe.stdin.write(json.dumps(request) + "\n")
            pipe.stdin.flush()
            return json.loads(pipe.stdout.readline())


class Child:
    """One of its children, with what tests ask of a `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._code: int | None = None

    def poll(self) -> int | None:
        """Give its exit code, a negative one for the signal that ended it; None while it lives."""
        if self._code is None:
            self._code = self._nursery.exit_code(self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and give its exit code."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(POLL_S)  # noqa: TID251 - a poll of a condition, under the caller's deadline
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def nursery(door: str) -> Nursery:
    """Give this test process's own for a door."""
    return Nursery(door)


def _serve() -> str | None:
    """Fork as it is told; gives what a child shall run, and None once whoever asks is gone."""
    children: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "pid" in request:
            answer = _exit_code(request["pid"])
            if answer is not None:
                children.discard(request["pid"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
                return str(request["module"])
            children.add(answer)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)  # one that has ended stays known until it is asked after
        os.waitpid(pid, 0)
    return None


def _exit_code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(request: Mapping[str, Any]) -> None:
    """Take over the settings, and write where the child's log is."""
    os.environ.clear()
    os.environ.update(request["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)


if __name__ == "__main__":
    gc.disable()  # as the doors do while they load
    importlib.import_module(f"{sys.argv[1]}.main")
    gc.freeze()
    if (module := _serve()) is not None:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
