"""Processes that live no longer than the one that started them, each in a session of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from patchmill.dev import tether

TAIL_LINES = 20
KILL_WAIT_S = 5.0

Pause = Callable[[float], object]
"""Waits for that many seconds; it may raise when the user wants to stop."""


class Rank(IntEnum):
    """The order of stopping: doors first, what they stand on last."""

    API = 0
    WORKER = 1
    GATEWAY = 2
    BROKER = 3
    DATABASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start a process, and the signal that asks it to end.

    Its output goes line by line to `on_line` if that is given, else to the file `log`.
    """

    name: str
    arguments: Sequence[str]
    rank: Rank
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    on_line: Callable[[str], None] | None = None
    log: Path | None = None
    folder: Path | None = None
    user: str | None = None


class Tether:
    """Ends every held process when this one dies, even by SIGKILL; `lock` stays locked until then."""

    def __init__(self, lock: IO[str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if lock is None else (lock.fileno(),),
        )

    @property
    def pid(self) -> int:
        """The process that does it."""
        return self._process.pid

    def hold(self, pid: int, stop_signal: signal.Signals, rank: Rank) -> None:
        """End this process group, too, when this process dies."""
        self._say(f"hold {pid} {stop_signal.value} {rank.value}\n")

    def drop(self, pid: int) -> None:
        """Forget a process that has ended."""
        self._say(f"drop {pid}\n")

    def close(self) -> None:
        """Let go: whatever is still held is ended now."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _say(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it was killed: no more than the safety net is lost
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


class Child:
    """One started process."""

    def __init__(self, command: Command, held_by: Tether) -> None:
        self.name = command.name
        self.rank = command.rank
        self._command = command
        self._tether = held_by
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._reader: threading.Thread | None = None
        self._process = self._start()
        held_by.hold(self._process.pid, command.stop_signal, command.rank)

    @property
    def pid(self) -> int:
        """The process id, which is its process group's, too."""
        return self._process.pid

    def ended(self) -> int | None:
        """Give the exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    def tail(self) -> list[str]:
        """Give the last lines of its output."""
        if self._command.log is not None and self._command.on_line is None:
            with suppress(OSError):
                text = self._command.log.read_text(encoding="utf-8", errors="replace")
                return text.splitlines()[-TAIL_LINES:]
        return list(self._tail)

    def ask_to_stop(self) -> None:
        """Send its stop signal."""
        if self.ended() is None:
            self._process.send_signal(self._command.stop_signal)

    def wait(self, grace_s: float, hurry: threading.Event) -> None:
        """Wait for its end; kill its whole group after the grace, or as soon as there is a hurry."""
        left = grace_s
        while self.ended() is None and left > 0 and not hurry.is_set():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.1)
            left -= 0.1
        if self.ended() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(timeout=KILL_WAIT_S)
        self._tether.drop(self.pid)
        if self._reader is not None:
            self._reader.join(timeout=1)

    def _start(self) -> subprocess.Popen[str]:
        command = self._command
        output: int | IO[str] = subprocess.PIPE
        if command.on_line is None and command.log is not None:
            output = command.log.open("a", encoding="utf-8")
        try:
            process = subprocess.Popen(
                list(command.arguments),
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                user=command.user,
                group=command.user,
                extra_groups=[] if command.user is not None else None,
            )
        finally:
            if not isinstance(output, int):
                output.close()
        if process.stdout is not None:
            self._reader = threading.Thread(
                target=self._read, args=(process.stdout,), name=f"read {self.name}", daemon=True
            )
            self._reader.start()
        return process

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            text = line.rstrip("\n")
            self._tail.append(text)
            if self._command.on_line is not None:
                self._command.on_line(text)


def stop_all(children: Sequence[Child], *, grace_s: float, hurry: threading.Event) -> None:
    """Stop children rank by rank; those of one rank at once."""
    for rank in sorted({child.rank for child in children}):
        same = [child for child in children if child.rank == rank]
        for child in same:
            child.ask_to_stop()
        for child in same:
            child.wait(grace_s, hurry)
