"""A TCP proxy before Postgres that counts round trips: each time the server says that it is ready again.

It reads the messages of the protocol as they pass. What a client sends until Postgres answers `ReadyForQuery`
is one round trip, whether it holds one statement or ten; BEGIN, COMMIT, a ping, and the preparation of a
statement are trips like any other. The proxy says nothing itself and changes no byte.
"""

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from tests.support.database_proxy import before
from tests.support.proxy import Link

_PREPARES = "prepare"
_CONNECTS = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One round trip: what was asked, with all bytes of its parameters, and how things stand after it."""

    connection: int
    statements: tuple[str, ...]
    sent: bytes
    status: str  # I: no transaction is open; T: one is; E: one has failed
    at: float  # monotonic seconds of its end

    @property
    def is_overture(self) -> bool:
        """Whether it only prepares what its connection does next: a ping, or a statement to come."""
        return self.statements in {(_PREPARES,), (_CONNECTS,), ("SELECT 1",)}


@dataclass(frozen=True, slots=True)
class Transaction:
    """The trips of one transaction, with those that went before it for its sake."""

    trips: tuple[Trip, ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """What it asked, whatever its parameters."""
        return tuple(one for trip in self.trips if not trip.is_overture for one in trip.statements)

    @property
    def ended_at(self) -> float:
        """When it was over, in monotonic seconds."""
        return self.trips[-1].at

    @property
    def preparations(self) -> int:
        """How many trips prepared a statement, which each connection does once in its life."""
        return sum(trip.statements == (_PREPARES,) for trip in self.trips)

    def names(self, identity: uuid.UUID) -> bool:
        """Whether one of its parameters holds an id."""
        written = (identity.bytes, identity.hex.encode(), str(identity).encode())
        return any(each in trip.sent for trip in self.trips for each in written)


@dataclass(slots=True)
class Counted:
    """All round trips so far, in the order of their ends."""

    trips: list[Trip] = field(default_factory=list)

    def transactions(self) -> list[Transaction]:
        """Put the trips together by connection; leaves out what is still open."""
        found: list[Transaction] = []
        parts: dict[int, list[Trip]] = {}
        for trip in list(self.trips):
            mine = parts.setdefault(trip.connection, [])
            mine.append(trip)
            if trip.status == "I" and not trip.is_overture:
                found.append(Transaction(tuple(mine)))
                mine.clear()
        return found


class _Messages:
    """One direction of a connection, cut into messages: (type, body)."""

    def __init__(self, *, greets: bool) -> None:
        self._rest = b""
        self._greets = greets  # a client's first message has no type

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._rest += data
        while True:
            head = 0 if self._greets else 1
            if len(self._rest) < head + 4:
                return
            size = head + int.from_bytes(self._rest[head : head + 4])
            if len(self._rest) < size:
                return
            kind, body = self._rest[:head], self._rest[head + 4 : size]
            self._rest = self._rest[size:]
            self._greets = False
            yield kind, body


class _Counting(Link):
    """One connection through the proxy."""

    def __init__(self, number: int, counted: Counted, client: socket.socket, server: socket.socket) -> None:
        super().__init__(client, server)
        self._number = number
        self._counted = counted
        self._named: dict[bytes, str] = {}
        self._lock = threading.Lock()
        self._asked: list[str] = []
        self._sent = b""

    def to_server(self) -> None:
        self._pump(self.client, self.server, _Messages(greets=True), self._ask)

    def to_client(self) -> None:
        self._pump(self.server, self.client, _Messages(greets=False), self._answer)

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        messages: _Messages,
        hear: Callable[[bytes, bytes], None],
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                for kind, body in messages.take(data):
                    hear(kind, body)
                target.sendall(data)
        self.close()

    def _ask(self, kind: bytes, body: bytes) -> None:
        with self._lock:
            self._sent += body
            match kind:
                case b"":
                    self._asked.append(_CONNECTS)
                case b"Q":
                    self._asked.append(_one_line(body))
                case b"P":
                    name, statement, _ = body.split(b"\0", 2)
                    self._named[name] = _one_line(statement)
                case b"B":
                    _, name, _ = body.split(b"\0", 2)
                    self._asked.append(self._named[name])
                case b"S" if not self._asked:
                    self._asked.append(_PREPARES)

    def _answer(self, kind: bytes, body: bytes) -> None:
        if kind != b"Z":
            return
        with self._lock:
            trip = Trip(
                connection=self._number,
                statements=tuple(self._asked),
                sent=self._sent,
                status=body.decode(),
                at=time.monotonic(),
            )
            self._asked, self._sent = [], b""
        self._counted.trips.append(trip)


def _one_line(statement: bytes) -> str:
    return " ".join(statement.rstrip(b"\0").decode().split())


@contextmanager
def counting(database_url: str) -> Iterator[tuple[str, Counted]]:
    """Give the URL of a database behind a proxy, and what it counts, for as long as the block runs."""
    counted, numbers = Counted(), count()
    with before(
        database_url, lambda client, server: _Counting(next(numbers), counted, client, server)
    ) as behind:
        yield behind, counted
