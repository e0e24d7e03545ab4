"""A TCP proxy: what it does to what passes is up to the link of each connection."""

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Link(ABC):
    """One connection through the proxy, by two threads."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server

    def start(self) -> None:
        """Begin to pass on."""
        for pump in (self.to_server, self.to_client):
            threading.Thread(target=pump, daemon=True).start()

    @abstractmethod
    def to_server(self) -> None:
        """Pass on what the client sends, until it ends."""

    @abstractmethod
    def to_client(self) -> None:
        """Pass on what the server answers, until it ends."""

    def close(self) -> None:
        """End both sides."""
        for side in (self.client, self.server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@contextmanager
def proxy(link: Callable[[socket.socket], Link]) -> Iterator[int]:
    """Listen for clients, and make the link of each, for as long as the block runs; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    links: list[Link] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                links.append(link(client))
                links[-1].start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # which ends the wait for the next connection; closing would not
        listening.close()
        for each in links:
            each.close()
