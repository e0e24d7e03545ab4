"""Running the stand-in: in this process until a signal, or in a thread for as long as a block runs."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from patchmill.dev.standin.app import build_app
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.raw_socket import RawHttpProtocol

_START_TIMEOUT_S = 20
# Requests that hang on purpose must not keep a stopping stand-in alive.
_STOP_GRACE_S = 1


class _Server(uvicorn.Server):
    """A uvicorn server that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()


def _server(options: Options, on_started: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        build_app(options),
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="on",
        http=RawHttpProtocol,
        timeout_graceful_shutdown=_STOP_GRACE_S,
        ws="none",
        server_header=False,
        proxy_headers=False,
    )
    return _Server(config, on_started)


def serve(
    options: Options, *, host: str = "127.0.0.1", port: int = 0, on_ready: Callable[[int], None] | None = None
) -> None:
    """Run a stand-in until SIGINT or SIGTERM.

    Port 0 takes a free port; `on_ready` gets the port once connections are accepted. OSError when the address
    cannot be bound. After SIGINT it returns; after SIGTERM the process ends by that signal, cleaned up.
    """
    with _bound(host, port) as listener:
        actual_port: int = listener.getsockname()[1]

        def started() -> None:
            if on_ready is not None:
                on_ready(actual_port)

        with contextlib.suppress(KeyboardInterrupt):
            _server(options, started).run(sockets=[listener])


@contextlib.contextmanager
def running(options: Options | None = None) -> Iterator[str]:
    """Run a stand-in on a free loopback port in a thread; yields its root URL, without `/v1`."""
    ready = threading.Event()
    server = _server(options or Options(), ready.set)
    with _bound("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="stand-in", daemon=True)
        thread.start()
        try:
            if not ready.wait(_START_TIMEOUT_S):
                raise TimeoutError("the stand-in gateway did not start")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
