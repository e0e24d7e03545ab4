"""The server that a command speaks to: a configured one, this machine's, or one for the command alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from patchmill.client.http import Client
from patchmill.client.problem import ApiError
from patchmill.client.server import Server, find_server
from patchmill.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from patchmill.cli.environment import Running

UNAUTHENTICATED = 401

Local = Annotated[
    bool,
    typer.Option(
        "--local",
        help="Start the service for this command alone, and leave nothing behind; needs no server.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A client, and the service that was started for it, if one was."""

    client: Client
    local: "Running | None"

    def check(self) -> None:
        """Notice that a process of the local service has ended (Unavailable), or that it shall stop."""
        if self.local is not None:
            self.local.check()
            self.local.stop.pause(0)


@contextmanager
def served(*, local: bool = False) -> Iterator[Served]:
    """Give the server to speak to.

    Raises:
        Unavailable: there is none, or it does not answer; the message says what to do.
        Unauthenticated: there is no key for it, or it does not accept the key.
    """
    if local:
        from patchmill.cli.local_service import local_service  # noqa: PLC0415 - brings the whole service along

        with local_service() as running, Client(running.api_url, running.key) as client:
            yield Served(client=client, local=running)
        return
    server = find_server()
    with Client(server.url, server.key) as client, _explained(server):
        yield Served(client=client, local=None)


@contextmanager
def _explained(server: Server) -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        hint = "is PATCHMILL_SERVER_URL right?" if server.configured else "start it with `patchmill up`"
        raise Unavailable(f"{error}; {hint}") from error
    except ApiError as error:
        if error.status != UNAUTHENTICATED:
            raise
        raise Unauthenticated(
            f"{server.url} does not accept the key: {error}; set PATCHMILL_SERVER_KEY, "
            "or make a key with `patchmill keys create`"
        ) from error
