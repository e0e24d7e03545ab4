"""One HTTP exchange over ASGI: reading the body, noticing that the client left, waiting meanwhile."""

import asyncio
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from patchmill.dev.standin.raw_socket import EXTENSION, RawSocket
from patchmill.dev.standin.refusal import Refusal


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""


class Connection:
    """What the chat route needs of ASGI; after `read_body` it knows when the client leaves."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self.started = False

    async def read_body(self, max_bytes: int) -> bytes:
        """The whole body; raises Refusal 413 past the limit, ClientLeft if it never comes whole."""
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise ClientLeft
            part: bytes = event.get("body", b"")
            size += len(part)
            if size <= max_bytes:
                parts.append(part)
            if not event.get("more_body", False):
                break
        if size > max_bytes:
            message = f"The body has {size} bytes, and {max_bytes} are accepted."
            raise Refusal(status=413, code="request_too_large", message=message)
        self._watcher = asyncio.create_task(self._watch())
        return b"".join(parts)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left.set()

    @property
    def raw(self) -> RawSocket:
        """The connection below HTTP; only a server that was started here has it."""
        raw: RawSocket = self._scope["extensions"][EXTENSION]
        return raw

    def stop_watching(self) -> None:
        """Let the watcher go; the exchange is over."""
        if self._watcher is not None:
            self._watcher.cancel()

    def check(self) -> None:
        """Raise ClientLeft if the client is gone."""
        if self._left.is_set():
            raise ClientLeft

    async def pause(self, milliseconds: int) -> None:
        """Wait so long; raises ClientLeft as soon as the client leaves."""
        if milliseconds > 0:
            try:
                async with asyncio.timeout(milliseconds / 1000):
                    await self._left.wait()
            except TimeoutError:
                return
        self.check()

    async def until_left(self) -> None:
        """Wait for the client to leave, then raise ClientLeft."""
        await self._left.wait()
        raise ClientLeft

    async def until(self, signal: asyncio.Event) -> None:
        """Wait for the signal; raises ClientLeft as soon as the client leaves."""
        waits = [asyncio.create_task(event.wait()) for event in (signal, self._left)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self.check()

    async def start(self, status: int, content_type: str, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        self.started = True
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        pairs.append((b"content-type", content_type.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body; the last one with `more=False`."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def respond(
        self, status: int, body: bytes, content_type: str = "application/json", **headers: str
    ) -> None:
        """Send a whole response."""
        await self.start(status, content_type, {**headers, "content-length": str(len(body))})
        await self.send(body, more=False)
