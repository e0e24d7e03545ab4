"""A TCP proxy before Postgres: what it does to what passes is up to the link of each connection."""

import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.engine import URL, make_url


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
def before(database_url: str, link: Callable[[socket.socket, socket.socket], Link]) -> Iterator[str]:
    """Give the URL of a database behind a proxy, for as long as the block runs."""
    url = make_url(database_url)
    listening = socket.create_server(("127.0.0.1", 0))
    links: list[Link] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                links.append(link(client, connect(url)))
                links[-1].start()

    threading.Thread(target=accept, daemon=True).start()
    plain = {"sslmode": "disable", "gssencmode": "disable"}  # so that the messages can be read
    behind = url.set(host="127.0.0.1", port=listening.getsockname()[1], query=plain)
    try:
        yield behind.render_as_string(hide_password=False)
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # which ends the wait for the next connection; closing would not
        listening.close()
        for each in links:
            each.close()


def connect(url: URL) -> socket.socket:
    """Connect to the server of a database."""
    folder = url.query.get("host")
    if isinstance(folder, str):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.{url.query.get('port', url.port or 5432)}")
        return server
    return socket.create_connection((url.host or "127.0.0.1", url.port or 5432))
