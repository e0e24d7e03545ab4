"""What embedded services are given: a clean environment, free ports, and a reader of their last words."""

import os
import socket
from collections.abc import Sequence
from contextlib import closing

LOOPBACK = "127.0.0.1"

# Nothing of the user's may change what the services do, and they need none of the user's secrets.
_FOREIGN = ("PG", "LC_", "LANG", "PATCHMILL_", "BYTESPIKE_")


def service_environment() -> dict[str, str]:
    """Give the environment of a service: the user's without what databases would read from it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "LC_ALL": "C"}


def free_port(host: str = LOOPBACK) -> int:
    """Find a port that nothing listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def last_line(output: str | Sequence[str]) -> str:
    """Give the last line that says something, or a stand-in for it."""
    lines = output.splitlines() if isinstance(output, str) else output
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
