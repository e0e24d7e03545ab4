"""A proxy before Postgres that cuts a connection around one statement: nobody learns what became of it.

It knows no more of the protocol than the bytes of a Sync, which commits a statement that is a transaction of
its own. The statement is chosen by text that its client sends with it, such as words of an answer.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.support.database_proxy import before
from tests.support.proxy import Link

_SYNC = b"S\x00\x00\x00\x04"


@dataclass(slots=True, kw_only=True)
class Cut:
    """One cut: of the first statement that sends `text`, after it has arrived whole, or before that.

    `statements` counts all that came through.
    """

    text: bytes
    arrives: bool
    done: threading.Event = field(default_factory=threading.Event)
    statements: int = 0


class _Cutting(Link):
    def __init__(self, cut: Cut, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._cut = cut
        self._sent = b""  # by the client, since its latest statement
        self._ours = threading.Event()  # the answer of the server is swallowed

    def to_server(self) -> None:
        with suppress(OSError):
            while data := self.client.recv(65_536):
                self._sent += data
                if self._sent.endswith(_SYNC):
                    self._cut.statements += 1
                    if self._cut.text in self._sent and not self._cut.done.is_set():
                        self._cut.done.set()
                        if not self._cut.arrives:
                            break
                        self._ours.set()
                    self._sent = b""
                self.server.sendall(data)
        if not self._ours.is_set():
            self.close()

    def to_client(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(65_536):
                if self._ours.is_set():
                    break  # the answer to the statement: it is done
                self.client.sendall(data)
        self.close()


@contextmanager
def cutting(database_url: str, cut: Cut) -> Iterator[str]:
    """Give the URL of a database behind a proxy that makes one cut, for as long as the block runs."""
    with before(database_url, partial(_Cutting, cut)) as behind:
        yield behind
