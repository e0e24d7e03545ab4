"""Ends what a process started when that process is gone, however it went; a program of its own.

It reads lines from standard input: `hold PID SIGNAL RANK` and `drop PID`. When the input ends it signals
the process groups that are still held, lowest rank first, and kills what does not go. Whoever starts it
may pass it a locked file: the lock then lasts until everything is gone.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

PATIENCE_S = 10.0
POLL_S = 0.05
_GONE_STATES = ("Z", "X")


def main() -> None:
    """Follow the lines until they end; then end what is held."""
    held: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        word, pid, *rest = line.split()
        if word == "hold":
            number, rank = map(int, rest)
            held[int(pid)] = (number, rank)
        else:
            held.pop(int(pid), None)
    for rank in sorted({rank for _, rank in held.values()}):
        _end({pid: number for pid, (number, its_rank) in held.items() if its_rank == rank})


def _end(signals: dict[int, int]) -> None:
    for pid, number in signals.items():
        _signal(pid, number)
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while any(map(_runs, signals)) and time.monotonic() < deadline:
        pause.wait(POLL_S)
    for pid in signals:
        _signal(pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or about to be


def _runs(pid: int) -> bool:
    """Say whether a process runs; one that only waits for its parent to notice its end does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not Path("/proc/self").exists()  # without /proc the signal's answer is all there is
    return status.rpartition(")")[2].split()[0] not in _GONE_STATES


if __name__ == "__main__":
    # The terminal's signals are for the process that it watches.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    main()
