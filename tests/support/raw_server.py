"""A server that sends exactly the bytes that a test gives it, to show every oddity of the wire."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self


class Hold:
    """A step that sends nothing until the client closes, or the test ends."""


class Cut:
    """A step that closes the connection in good order."""


class Reset:
    """A step that drops the connection with a TCP reset."""


class Meet:
    """A step that waits until `parties` connections have come to it."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._met = asyncio.Event()

    async def wait(self) -> None:
        """Count one party and wait for the others."""
        self._parties -= 1
        if self._parties <= 0:
            self._met.set()
        await self._met.wait()


@dataclass(frozen=True, slots=True)
class Pause:
    """A step that sends nothing for so long: a server that is slow, not a test that waits."""

    seconds: float


Step = bytes | Hold | Cut | Reset | Meet | Pause
Script = Sequence[Step]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived: its head as text, its body as bytes."""

    head: str
    body: bytes


def response(
    body: bytes, *, status: str = "200 OK", content_type: str | None = "application/json", more: str = ""
) -> bytes:
    """Build a response with a length; `more` holds further header lines, each ended by CRLF."""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f"HTTP/1.1 {status}\r\n{kind}{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chunked_head(*, content_type: str = "text/event-stream", more: str = "") -> bytes:
    """Build the head of a chunked response."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    """Frame one chunk; empty data ends the body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class RawServer:
    """Serves on a free loopback port from a thread of its own.

    The n-th request gets the n-th script, further ones the last; a script that does not end in `Cut`, `Reset`
    or `Hold` leaves the connection open for another request. With `read_bodies` false, scripts begin when a
    request's head has come and its body is left unread.
    """

    def __init__(self, *scripts: Script, read_bodies: bool = True) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.client_closed = threading.Event()
        self._scripts = scripts
        self._read_bodies = read_bodies
        self._arrived = threading.Condition()
        self._connected = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL for a gateway client."""
        return f"http://127.0.0.1:{self._port}/v1"

    def wait_for(self, condition: Callable[[Self], bool], *, timeout_s: float = 5.0) -> None:
        """Wait until the condition holds; it is looked at after each request.

        Raises:
            AssertionError: it did not hold in time.
        """
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self), timeout_s)

    def wait_for_connection(self, *, timeout_s: float = 5.0) -> None:
        """Wait until somebody has connected.

        Raises:
            AssertionError: nobody did in time.
        """
        assert self._connected.wait(timeout_s)

    def arrive(self, meeting: Meet) -> None:
        """Take part in a meeting from any thread, without waiting for the others."""
        asyncio.run_coroutine_threadsafe(meeting.wait(), self._loop)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        if not self._read_bodies:
            # So that what is not read soon fills the client's side.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._server = await asyncio.start_server(self._accept, sock=listener, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._connected.set()
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._receive(reader):
                script = self._scripts[min(len(self.requests), len(self._scripts)) - 1]
                for step in script:
                    if not await self._take(step, reader, writer):
                        return
            self.client_closed.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.client_closed.set()
        finally:
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        length = next(
            (
                int(line.split(":")[1])
                for line in head.split("\r\n")
                if line.lower().startswith("content-length:")
            ),
            0,
        )
        body = await reader.readexactly(length) if self._read_bodies else b""
        with self._arrived:
            self.requests.append(Received(head, body))
            self._arrived.notify_all()
        return True

    async def _take(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one step; false when the connection is not to be used any further."""
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
                # Another turn of the loop, so that the next bytes leave in a segment of their own.
                await asyncio.sleep(0)
                return True
            case Meet():
                await step.wait()
                return True
            case Pause():
                await asyncio.sleep(step.seconds)
                return True
            case Hold():
                if self._read_bodies:
                    await reader.read()
                    self.client_closed.set()
                else:
                    await asyncio.Event().wait()
                return False
            case Cut():
                return False
            case Reset():
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
