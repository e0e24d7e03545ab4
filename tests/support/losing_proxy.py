"""A proxy before Postgres that loses some of its answers to commits, and the connection with them.

The server has done what it was asked for then, and its client cannot know. Of the protocol it knows one
message: that the server is ready and no transaction is open, with which the answer to every commit ends.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.database_proxy import before
from tests.support.proxy import Link

_READY = b"Z\x00\x00\x00\x05I"
_BEGINNING = 3  # so many answers belong to the connection itself


@dataclass(slots=True, kw_only=True)
class Losses:
    """Which share of the answers is lost, and how many there were and are."""

    share: float
    rng: random.Random
    answers: int = 0
    lost: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self) -> bool:
        """Say whether the next answer is lost."""
        with self._lock:
            lost = self.rng.random() < self.share
            self.answers += 1
            self.lost += lost
        return lost


@contextmanager
def losing(database_url: str, losses: Losses) -> Iterator[str]:
    """Give the URL of a database behind a proxy that loses answers, for as long as the block runs."""

    class Losing(Link):
        def to_server(self) -> None:
            with suppress(OSError):
                while data := self.client.recv(65_536):
                    self.server.sendall(data)
            self.close()

        def to_client(self) -> None:
            end, ready = b"", 0
            with suppress(OSError):
                while data := self.server.recv(65_536):
                    end = (end + data)[-len(_READY) :]
                    if end == _READY:
                        ready += 1
                        if ready > _BEGINNING and losses.strikes():
                            break
                    self.client.sendall(data)
            self.close()

    with before(database_url, Losing) as behind:
        yield behind
