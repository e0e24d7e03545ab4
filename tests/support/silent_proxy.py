"""A TCP proxy that falls silent as a network does that is cut: it passes nothing, and closes nothing.

What was connected before stays silent for ever, as behind a router that has forgotten it; connections that
are made after the silence are passed on.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class _Link:
    """One connection through the proxy, by two threads; it is let go of only at the end."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self._client = client
        self._server = server
        self._silent = threading.Event()
        if server is None:
            self._silent.set()
            return
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._silent.is_set():
                    return
                target.sendall(data)
        if not self._silent.is_set():
            self.close()

    def fall_silent(self) -> None:
        self._silent.set()

    def close(self) -> None:
        for side in (self._client, self._server):
            if side is not None:
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
                side.close()


class SilentProxy:
    """Listens at `port` of this machine before whatever `reach` connects to."""

    def __init__(self, reach: Callable[[], socket.socket]) -> None:
        self._reach = reach
        self._lock = threading.Lock()
        self._silent = False
        self._links: list[_Link] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connected = 0  # times, while it was not silent
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        """Pass nothing on any more."""
        with self._lock:
            self._silent = True
            for link in self._links:
                link.fall_silent()

    def speak(self) -> None:
        """Pass on what connects from now on."""
        with self._lock:
            self._silent = False
            self.connected = 0

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                with self._lock:
                    self.connected += not self._silent
                    self._links.append(_Link(client, None if self._silent else self._reach()))

    def close(self) -> None:
        """Close everything."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # which ends the wait for the next connection
        self._listening.close()
        for link in self._links:
            link.close()


@contextmanager
def silent_proxy(reach: Callable[[], socket.socket]) -> Iterator[SilentProxy]:
    """Run one for as long as the block runs."""
    proxy = SilentProxy(reach)
    try:
        yield proxy
    finally:
        proxy.close()
