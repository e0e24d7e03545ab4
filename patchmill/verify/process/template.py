"""The process that bare Python processes are forked from: what takes long to load is loaded in it, once.

Run by `forks`, on whose socket each message names a module and brings the socket of one request. It reads no
request itself: a fork does, which is limited before, answers that one alone, and has no way back to here.
When the socket ends, so does this process.
"""

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys

# What the forks are asked to run, and what that loads when it runs.
_LOADED = (
    "importlib.resources",
    "patchmill.verify.erasure.child",
    "patchmill.verify.outline.child",
    "patchmill.verify.outline.grammar",
    "patchmill.verify.outline.python",
    "patchmill.verify.proof.child",
    "patchmill.verify.syntax.child",
)
_LONGEST_MESSAGE = 4_096
READY = b"ready"
# Ends an answer that is whole; no answer has it, for JSON escapes it.
END = "\0"


def main() -> None:
    """Fork for each message from the socket that is standard input."""
    for module in _LOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that no fork copies what it only reads
    signal.signal(signal.SIGCHLD, _reap)  # it runs while the next message is waited for
    control = socket.socket(fileno=0)
    control.send(READY)
    while True:
        message, sockets, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE, 1)
        if not message:
            return
        try:
            forked = os.fork()
        except OSError:
            forked = -1  # its socket is closed unanswered
        if forked == 0:
            _answer(message, sockets[0])
        for number in sockets:
            os.close(number)


def _reap(_number: int, _frame: object) -> None:
    """Take note of forks that have ended, which also adds their processor time to this process's."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _answer(message: bytes, request: int) -> None:
    """Be limited, forget the way back, run the module on the request, and end; does not return.

    The alarm is what ends a fork that takes too long.
    """
    try:
        asked = json.loads(message)
        for number, value in asked["limits"]:
            resource.setrlimit(number, (value, value))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, asked["wall_s"])
        os.dup2(request, 0)  # in the place of the socket to this process's starter
        os.dup2(request, 1)
        os.close(request)
        importlib.import_module(asked["module"]).main()
        sys.stdout.write(END)
        sys.stdout.flush()
    finally:
        os._exit(0)  # whatever was raised: without its end the answer counts for nothing
