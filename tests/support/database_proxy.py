"""A TCP proxy before Postgres."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.engine import URL, make_url

from tests.support.proxy import Link, proxy


@contextmanager
def before(database_url: str, link: Callable[[socket.socket, socket.socket], Link]) -> Iterator[str]:
    """Give the URL of a database behind a proxy, for as long as the block runs."""
    url = make_url(database_url)
    plain = {"sslmode": "disable", "gssencmode": "disable"}  # so that the messages can be read
    with proxy(lambda client: link(client, connect(url))) as port:
        behind = url.set(host="127.0.0.1", port=port, query=plain)
        yield behind.render_as_string(hide_password=False)


def connect(url: URL) -> socket.socket:
    """Connect to the server of a database."""
    folder = url.query.get("host")
    if isinstance(folder, str):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{folder}/.s.PGSQL.{url.query.get('port', url.port or 5432)}")
        return server
    return socket.create_connection((url.host or "127.0.0.1", url.port or 5432))
