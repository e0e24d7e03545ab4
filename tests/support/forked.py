"""What tests ask forks to do; a request says what, in JSON, and the answer is JSON too."""

import json
import os
import socket
import sys
import time
from typing import Any

CALLS: list[int] = []


def main() -> None:
    """Do what the request says."""
    request = json.load(sys.stdin)
    sys.stdout.write(json.dumps(_DONE[request["do"]](request.get("with"))))


def _tell(_: object) -> dict[str, Any]:
    CALLS.append(os.getpid())
    return {"pid": os.getpid(), "parent": os.getppid(), "calls": len(CALLS), "environment": dict(os.environ)}


def _echo(value: object) -> object:
    return value


def _end(number: int) -> None:
    os.kill(os.getpid(), number)


def _spin(_: object) -> None:
    while True:
        pass


def _wait(_: object) -> None:
    while True:
        time.sleep(60)  # noqa: TID251 - nothing will happen, which is the point


def _grow(size: int) -> int:
    return len(bytearray(size))


def _open(count: int) -> int:
    return len([os.open("/dev/null", os.O_RDONLY) for _ in range(count)])


def _connect(_: object) -> str:
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=5)
    except OSError as error:
        return str(error)
    return "connected"


def _sockets(_: object) -> list[str]:
    """What is open beside standard input, output and errors."""
    names = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - the names are what is asked for
        try:
            names += [os.readlink(f"/proc/self/fd/{name}")] * (int(name) > 2)  # noqa: PTH115 - no path
        except OSError:
            continue  # that was the folder itself
    return names


_DONE = {
    "tell": _tell,
    "echo": _echo,
    "end": _end,
    "spin": _spin,
    "wait": _wait,
    "grow": _grow,
    "open": _open,
    "connect": _connect,
    "sockets": _sockets,
}
