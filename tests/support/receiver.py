"""A receiver of webhooks: a real HTTP server in a thread that keeps what came, and answers as it is told."""

import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook

from tests.support.stack import until


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request as it came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """Give the message read, if its signature holds."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    before: Callable[[], object] = lambda: None  # is called before the answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet: a client that breaks off is what some tests are about."""


class Receiver:
    """Answers the n-th request with the n-th reply, further ones with the last."""

    def __init__(
        self, *replies: Reply, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.messages: list[Message] = []
        self._replies: Sequence[Reply] = replies or (Reply(),)
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = receiver._keep(Message(path=self.path, headers=headers, body=body))
                reply.before()
                try:
                    self.send_response(reply.status)
                    for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply.body)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name it has there
                """Keep quiet."""

        self._server = _Server((host, port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _keep(self, message: Message) -> Reply:
        with self._lock:
            self.messages.append(message)
            return self._replies[min(len(self.messages), len(self._replies)) - 1]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook") -> str:
        """Give the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def wait_for(self, count: int) -> list[Message]:
        """Wait until so many messages have come, and give all."""
        until(lambda: len(self.messages) >= count, f"{count} messages")
        return list(self.messages)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
