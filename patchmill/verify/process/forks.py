"""Bare Python processes that need not start: each is forked from a template that waits with all loaded.

A fork answers one request and ends; the kernel limits its processor time, memory, files and wall time, and it
shares nothing with the next one. This is only the quick way: whatever goes wrong with it, there is no answer,
and the one who asks starts a process of its own, which also tells what is wrong with the request.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from patchmill.verify.process.confinement import PATH, confinement
from patchmill.verify.process.keeper import KEEPER
from patchmill.verify.process.sandbox import Limits, has_ended, settable
from patchmill.verify.process.template import END, READY

_HOME = str(Path(__file__).parents[3])
_CODE = (
    "import sys; sys.path.append(sys.argv.pop()); from patchmill.verify.process.template import main; main()"
)
_START = (sys.executable, "-I", "-S", "-c", _CODE)
# The template lives as long as its worker, and reads nothing hostile: what limits a fork is set in the fork.
_TEMPLATE_LIMITS = ["unlimited", "unlimited", "unlimited", "64"]
_MOST_FORKS = 256
_END = END.encode()
_CHUNK = 65_536
# What takes longer than this takes so long that it may as well start from the beginning, in its own process.
_WALL_S = 10.0
_SEND_S = 1.0
_GRACE_S = 2.0
_REST_S = 10.0
_REAP_S = 5.0


class Forks:
    """The template of one worker process: started when first asked for, and again a while after its death."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._template: _Template | None = None
        self._rested_at = 0.0

    def ask(self, module: str, request: bytes, limits: Limits) -> bytes | None:
        """Call `main` of a module in a fork, as `bare_python.run` does in a process; None if none answers."""
        if limits.wall_s <= 0:
            return None
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                template = self._sent(_message(module, limits), theirs)
            if template is None:
                return None
            try:
                return _exchange(ours, request, limits)
            except TimeoutError:  # forks end in time, so the template has forked none
                with self._lock:
                    self._end(template)
            except OSError:
                return None  # the fork ended before it had read everything
        return None

    def close(self) -> None:
        """End the template; it may be asked for again after a while."""
        with self._lock:
            if self._template is not None:
                self._end(self._template)

    @property
    def pid(self) -> int | None:
        """The process that forks, once it does."""
        with self._lock:
            template = self._template
            return template.process.pid if template is not None and template.is_ready() else None

    def _sent(self, message: bytes, request: socket.socket) -> "_Template | None":
        """Hand a request to the template; None if there is none, or none that has loaded everything yet."""
        with self._lock:
            if self._template is None and time.monotonic() >= self._rested_at:
                self._template = _started()
            template = self._template
            if template is None:
                return None
            if has_ended(template.process):
                self._end(template)
                return None
            if not template.is_ready():
                return None
            try:
                socket.send_fds(template.control, [message], [request.fileno()])
            except OSError:  # it has just died, or takes no message
                self._end(template)
                return None
            return template

    def _end(self, template: "_Template") -> None:
        """End a template, if nobody else has; the next one comes after a rest."""
        if self._template is template:
            self._template = None
            self._rested_at = time.monotonic() + _REST_S
            template.end()


class _Template:
    """A process that runs `template`, and the socket to it; one thread at a time."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(_SEND_S)
        self._loaded = False
        with theirs:
            self.process = subprocess.Popen(
                confinement().launch(_TEMPLATE_LIMITS, _MOST_FORKS, [*_START, _HOME]),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=tempfile.gettempdir(),
                env={"PATH": PATH, "LANG": "C.UTF-8"},
                start_new_session=True,
            )
        KEEPER.hold(self.process.pid)  # its forks are of its group

    def is_ready(self) -> bool:
        """Whether it has said that it is; does not wait for it."""
        if not self._loaded:
            news = select.poll()
            news.register(self.control, select.POLLIN)
            with contextlib.suppress(OSError):
                self._loaded = bool(news.poll(0)) and self.control.recv(len(READY)) == READY
        return self._loaded

    def end(self) -> None:
        """Kill it with its forks; it is not reaped yet, so its group number is still its own."""
        self.control.close()
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        KEEPER.drop(self.process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_REAP_S)


def _started() -> _Template | None:
    try:
        return _Template()
    except OSError:
        return None  # this machine can start no process now; what asks will find out why


def _message(module: str, limits: Limits) -> bytes:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: 0,  # it starts nothing
    }
    limited = [(number, settable(number, value)) for number, value in wanted.items()]
    message = {"module": module, "limits": limited, "wall_s": min(limits.wall_s, _WALL_S)}
    return json.dumps(message).encode()


def _exchange(fork: socket.socket, request: bytes, limits: Limits) -> bytes | None:
    """Send a request, which is read whole before anything is written, and collect a whole answer."""
    patience_s = min(limits.wall_s, _WALL_S) + _GRACE_S
    deadline = time.monotonic() + patience_s
    fork.settimeout(patience_s)
    fork.sendall(request)
    fork.shutdown(socket.SHUT_WR)
    answer = bytearray()
    while len(answer) <= limits.output_bytes:
        fork.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = fork.recv(_CHUNK)
        if not chunk:
            return bytes(answer[: -len(_END)]) if answer.endswith(_END) else None
        answer += chunk
    return None
