"""A TCP proxy before Postgres that cuts a connection around one statement: nobody learns what became of it.

It knows no more of the protocol than the bytes of a Sync, which commits a statement that is a transaction of
its own. The statement is chosen by text that its client sends with it, such as words of an answer.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy.engine import make_url

_SYNC = b"S\x00\x00\x00\x04"


@dataclass(slots=True, kw_only=True)
class Cut:
    """One cut: of the first statement that sends `text`, after it has arrived whole, or before that."""

    text: bytes
    arrives: bool
    done: threading.Event = field(default_factory=threading.Event)


class _Link:
    """One connection through the proxy, by two threads."""

    def __init__(self, client: socket.socket, server: socket.socket, cut: Cut) -> None:
        self._client = client
        self._server = server
        self._cut = cut
        self._sent = b""  # by the client, since its latest statement
        self._ours = threading.Event()  # the answer of the server is swallowed

    def start(self) -> None:
        for pump in (self._to_server, self._to_client):
            threading.Thread(target=pump, daemon=True).start()

    def _to_server(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                self._sent += data
                if self._sent.endswith(_SYNC):
                    if self._cut.text in self._sent and not self._cut.done.is_set():
                        self._cut.done.set()
                        if not self._cut.arrives:
                            break
                        self._ours.set()
                    self._sent = b""
                self._server.sendall(data)
        if not self._ours.is_set():
            self.close()

    def _to_client(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if self._ours.is_set():
                    break  # the answer to the statement: it is done
                self._client.sendall(data)
        self.close()

    def close(self) -> None:
        for side in (self._client, self._server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


@contextmanager
def cutting(database_url: str, cut: Cut) -> Iterator[str]:
    """Give the URL of a database behind a proxy that makes one cut, for as long as the block runs."""
    url = make_url(database_url)
    listening = socket.create_server(("127.0.0.1", 0))
    links: list[_Link] = []

    def connect() -> socket.socket:
        folder = url.query.get("host")
        if isinstance(folder, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{url.query.get('port', url.port or 5432)}")
            return server
        return socket.create_connection((url.host or "127.0.0.1", url.port or 5432))

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                link = _Link(client, connect(), cut)
                links.append(link)
                link.start()

    threading.Thread(target=accept, daemon=True).start()
    behind = url.set(host="127.0.0.1", port=listening.getsockname()[1], query={})
    try:
        yield behind.render_as_string(hide_password=False)
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # which ends the wait for the next connection; closing would not
        listening.close()
        for link in links:
            link.close()
