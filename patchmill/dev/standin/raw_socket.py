"""The connection below HTTP: bytes written as they are, and connections dropped."""

import os
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "standin.raw_socket"
# Lingering switched on, for no time: closing sends a reset.
_NO_LINGERING = struct.pack("ii", 1, 0)


class RawSocket:
    """One connection of the server, to be written to instead of the response that ASGI would send."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        await self._protocol.flow.drain()
        self._protocol.transport.write(data)

    def close(self) -> None:
        """Close in good order, once everything is sent."""
        self._protocol.transport.close()

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        transport = self._protocol.transport
        own: Any = transport.get_extra_info("socket")
        # A second handle on the same connection: event loops give no full socket.
        with socket.socket(fileno=os.dup(own.fileno())) as handle:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        transport.abort()


class RawHttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, whose requests carry their raw socket among the scope's extensions."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: RawSocket(self)}  # type: ignore[typeddict-unknown-key, dict-item, unused-ignore]
