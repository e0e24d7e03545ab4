"""Child processes that may be fed hostile text: started by exec, limited, stripped, and always reaped.

What is confined: CPU seconds, address space, size of written files, open files, core dumps, wall time,
amount of output, environment and inherited descriptors; and the network, where `unshare` may make an empty
network namespace (`confinement` tells). What is not: the child runs as the same user and can read what that
user can read, and the number of its processes is not limited, because that limit counts every process of
the user. So only tools that never execute what they check may be run here.
"""

import contextlib
import functools
import os
import resource
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PATH = "/usr/local/bin:/usr/bin:/bin"
_CHUNK = 65_536
_REAP_S = 5.0

# Sets the limits in the child before it becomes the tool; anything that cannot be set ends it with 125.
_LAUNCH = """\
ulimit -c 0 && ulimit -t "$1" && ulimit -v "$2" && ulimit -f "$3" && ulimit -n "$4" || exit 125
shift 4
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use: seconds of wall time and of CPU, bytes of memory, of each file, of output."""

    wall_s: float = 10.0
    cpu_s: int = 10
    memory_bytes: int = 2 * 1024**3
    file_bytes: int = 16 * 1024**2
    open_files: int = 64
    output_bytes: int = 8 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a child ended: its return code (negative: the signal), what it wrote, and what cut it short."""

    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    overflow: bool = False

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
        ["/bin/sh", "-c", _LAUNCH, "sh", *_limit_words(limits), *confinement(), *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(cwd), **(environment or {})},
        start_new_session=True,
    )
    with child:
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


@functools.cache
def confinement() -> tuple[str, ...]:
    """The command that puts a child into an empty network namespace; empty where the system allows none."""
    unshare = shutil.which("unshare", path=_PATH)
    if unshare is None:
        return ()
    for options in (("--net",), ("--map-root-user", "--net")):
        command = (unshare, *options, "--")
        try:
            probe = subprocess.run(
                [*command, "/bin/true"], env={"PATH": _PATH}, capture_output=True, timeout=5, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if probe.returncode == 0:
            return command
    return ()


def _limit_words(limits: Limits) -> list[str]:
    """The arguments of the launch script, none above the hard limit that is in force already."""
    return [
        str(_below(resource.RLIMIT_CPU, limits.cpu_s)),
        str(_below(resource.RLIMIT_AS, limits.memory_bytes) // 1024),
        str(_below(resource.RLIMIT_FSIZE, limits.file_bytes) // 512),
        str(_below(resource.RLIMIT_NOFILE, limits.open_files)),
    ]


def _below(which: int, wanted: int) -> int:
    hard = resource.getrlimit(which)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started; it is not reaped yet, so its group number is still its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(timeout=_REAP_S)


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
        """Return when the child has been reaped, or when it has to be ended."""
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
        try:
            self.child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.timed_out = True

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
