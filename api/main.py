"""One process of the HTTP door. It starts nothing else, and says what it lacks."""

import errno
import os
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from patchmill.errors import ConfigurationError
from patchmill.settings import load
from patchmill.telemetry import configure_logging, get_logger

EXIT_USAGE = 2
EXIT_SERVICE = 3
EXIT_INTERRUPTED = 130
STOP_GRACE_S = 10
KEEP_ALIVE_S = 30

_log = get_logger("api")


class _Server(uvicorn.Server):
    """A server that says where it listens, and lets those go who wait before its last answers."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            _log.info("listening", host=host, port=port, pid=os.getpid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.parts.waiting.release()
        await super().shutdown(sockets)


def main() -> int:
    """Serve until SIGTERM (0) or SIGINT (130); 2 for settings that cannot work, 3 for a port in use."""
    try:
        settings = load()
        app = create_app(settings)
    except ConfigurationError as error:
        return _fail(EXIT_USAGE, str(error))
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or errno.errorcode.get(error.errno or 0, str(error))
        return _fail(EXIT_SERVICE, f"cannot listen on {settings.host} port {settings.port}: {reason}")
    configure_logging()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_GRACE_S,
    )
    # uvicorn hands the signal on after it has shut down in order; for SIGTERM that is all.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        _Server(config, app).run(sockets=[listener])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _fail(code: int, sentence: str) -> int:
    sys.stderr.write(f"patchmill api: {sentence}\n")
    return code
