"""Child processes that may be fed hostile text: started by exec, limited, stripped, and always reaped.

What is confined: CPU seconds, address space, size of written files, open files, core dumps, wall time,
amount of output, environment and inherited descriptors; and, where the machine allows it (`confinement`
tells), the network, which is then empty, and the number of processes. What is not: the child can read what
the user can read, and a process that leaves the child's session is not ended with it. So only tools that
never execute what they check may be run here.
"""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from patchmill.verify.process.confinement import PATH, confinement
from patchmill.verify.process.keeper import KEEPER

_CHUNK = 65_536
_LEAST_CPU_S = 5
_CHARACTERS_PER_S = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use: seconds of wall time and of CPU, bytes of memory, of each file, of output.

    Threads are counted as processes, and most tools start as many as there are processors.
    """

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 16 * 1024**2
    open_files: int = 64
    processes: int = 256
    output_bytes: int = 8 * 1024**2

    def for_text(self, characters: int) -> "Limits":
        """These limits, with less processor time for less to read: 5 s, and 1 s for each 8,192 characters.

        Some texts take a tool that may go back in what it reads no end of time, however short they are.
        """
        return replace(self, cpu_s=min(self.cpu_s, _LEAST_CPU_S + characters // _CHARACTERS_PER_S))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a child ended: its return code (negative: the signal), what it wrote, and what cut it short."""

    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    overflow: bool = False

    @property
    def spent(self) -> bool:
        """Whether it used up its processor time: the same work would end so again."""
        return self.returncode == -signal.SIGXCPU

    @property
    def failure(self) -> str | None:
        """Why its output cannot be used, in words; None if it ended with return code 0."""
        if self.timed_out:
            return "it took too long"
        if self.overflow:
            return "it wrote too much"
        if self.returncode < 0:
            return f"it was ended by {signal.Signals(-self.returncode).name}"
        if self.returncode > 0:
            last = self.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            return f"it ended with code {self.returncode}: {last[:300]}"
        return None


def run(
    argv: Sequence[str],
    *,
    stdin: bytes,
    cwd: Path,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run a tool to its end and collect what it writes; never raises for what the tool does.

    `argv[0]` is an absolute path. The child sees `PATH`, `LANG`, `HOME` (= `cwd`) and `environment` alone.
    Raises OSError if no process can be started.
    """
    child = subprocess.Popen(
        confinement().launch(_limit_words(limits), limits.processes, [*argv]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(cwd), **(environment or {})},
        start_new_session=True,
    )
    with child, KEEPER.holding(child.pid):
        exchange = _Exchange(child=child, limits=limits, unsent=memoryview(stdin))
        try:
            exchange.finish()
        finally:
            if child.returncode is None:
                _kill_group(child)
    return Completed(
        returncode=child.returncode,
        stdout=bytes(exchange.stdout),
        stderr=bytes(exchange.stderr),
        timed_out=exchange.timed_out,
        overflow=exchange.overflow,
    )


def _limit_words(limits: Limits) -> list[str]:
    """The arguments of the launch script."""
    return [
        str(settable(resource.RLIMIT_CPU, limits.cpu_s + 1) - 1),
        str(settable(resource.RLIMIT_AS, limits.memory_bytes) // 1024),
        str(settable(resource.RLIMIT_FSIZE, limits.file_bytes) // 512),
        str(settable(resource.RLIMIT_NOFILE, limits.open_files)),
    ]


def settable(which: int, wanted: int) -> int:
    """Give a limit as wanted, or the hard one that is in force already if that is less."""
    hard = resource.getrlimit(which)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def has_ended(child: subprocess.Popen[bytes], timeout_s: float = 0.0) -> bool:
    """Wait for the end of a child, not reaping it where the system can, so that its group stays its own."""
    if sys.platform != "linux":
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=timeout_s)
        return child.returncode is not None
    watched = os.pidfd_open(child.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(watched, selectors.EVENT_READ)
            return bool(selector.select(timeout_s))
    finally:
        os.close(watched)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started; it is not reaped yet, so its group number is still its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


@dataclass(slots=True, kw_only=True)
class _Exchange:
    """Feeding a child and listening to it, until it ends, is late, or has said too much."""

    child: subprocess.Popen[bytes]
    limits: Limits
    unsent: memoryview
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    timed_out: bool = False
    overflow: bool = False

    def finish(self) -> None:
        """Return when the child has ended, or when it has to be."""
        deadline = time.monotonic() + self.limits.wall_s
        with selectors.DefaultSelector() as selector:
            for stream, events in (
                (self.child.stdin, selectors.EVENT_WRITE),
                (self.child.stdout, selectors.EVENT_READ),
                (self.child.stderr, selectors.EVENT_READ),
            ):
                assert stream is not None  # noqa: S101 - all three are pipes
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, events)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    self.timed_out = True
                    return
                for key, _ in ready:
                    if not self._step(key.fileobj):  # type: ignore[arg-type]  # we registered the streams
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]  # as above
                if self.overflow:
                    return
        self.timed_out = not has_ended(self.child, max(0.0, deadline - time.monotonic()))

    def _step(self, stream: IO[bytes]) -> bool:
        """Move some bytes through one pipe; False when that pipe is done."""
        if stream is self.child.stdin:
            return self._send(stream)
        collected = self.stdout if stream is self.child.stdout else self.stderr
        chunk = os.read(stream.fileno(), _CHUNK)
        collected += chunk
        self.overflow = len(self.stdout) + len(self.stderr) > self.limits.output_bytes
        return bool(chunk)

    def _send(self, stream: IO[bytes]) -> bool:
        try:
            sent = os.write(stream.fileno(), self.unsent[:_CHUNK]) if self.unsent else 0
        except BrokenPipeError:
            self.unsent = memoryview(b"")
            sent = 0
        self.unsent = self.unsent[sent:]
        return bool(self.unsent)
