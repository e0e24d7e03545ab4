"""A TCP proxy that falls silent as a network does that is cut: it passes nothing, and closes nothing.

What was connected before stays silent for ever, as behind a router that has forgotten it; connections that
are made after the silence are passed on.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.proxy import Link, proxy


class _Link(Link):
    """One connection, which is let go of only at the end once it is silent."""

    def __init__(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        super().__init__(client, server)
        self._silent = silent

    def to_server(self) -> None:
        self._pump(self.client, self.server)

    def to_client(self) -> None:
        self._pump(self.server, self.client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._silent.is_set():
                    return
                target.sendall(data)
        if not self._silent.is_set():
            self.close()


class SilentProxy:
    """Listens at `port` of this machine."""

    def __init__(self, reach: Callable[[], socket.socket]) -> None:
        self.port = 0
        self._reach = reach
        self._silent = threading.Event()  # of all that connect until the proxy speaks again

    def link(self, client: socket.socket) -> Link:
        """Make the link of a client."""
        return _Link(client, self._reach(), self._silent)

    def fall_silent(self) -> None:
        """Pass nothing on any more."""
        self._silent.set()

    def speak(self) -> None:
        """Pass on what connects from now on."""
        self._silent = threading.Event()


@contextmanager
def silent_proxy(reach: Callable[[], socket.socket]) -> Iterator[SilentProxy]:
    """Run one before whatever `reach` connects to, for as long as the block runs."""
    made = SilentProxy(reach)
    with proxy(made.link) as made.port:
        yield made
