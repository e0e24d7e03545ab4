"""Which server to speak to, and with which key: what the environment names, or this machine's own."""

from dataclasses import dataclass
from pathlib import Path

from patchmill.client.connection import check_address, check_key, is_loopback
from patchmill.errors import ConfigurationError, Unauthenticated, Unavailable
from patchmill.settings import load

KEY_FILE = "local-key"
URL_FILE = "local-url"  # only there while `patchmill up` runs
MAX_FILE_BYTES = 4096
_WAYS = (
    "set PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY, or start the service here with `patchmill up`; "
    "`fix`, `annotate` and `suggest` do without one with --local"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server's address and the key to use there; `configured` if the environment names the address."""

    url: str
    key: str
    configured: bool


def find_server() -> Server:
    """Read PATCHMILL_SERVER_URL and PATCHMILL_SERVER_KEY; without them, take what `patchmill up` left here.

    The local key is only ever given for an address of this machine.

    Raises:
        Unavailable: nothing names a server, and none was ever started here.
        Unauthenticated: a server is named, but no key for it, or what is none.
        ConfigurationError: a setting cannot work.
    """
    settings = load()
    folder = settings.data_dir.expanduser()
    configured = "server_url" in settings.model_fields_set
    url = (
        settings.server_url
        if configured
        else read_line(folder / URL_FILE) or f"http://127.0.0.1:{settings.port}"
    )
    try:
        check_address(url)
    except ConfigurationError as error:
        where = "PATCHMILL_SERVER_URL" if configured else str(folder / URL_FILE)
        raise ConfigurationError(f"{where}: {error}") from None
    key = None if settings.server_key is None else settings.server_key.get_secret_value()
    if not key and is_loopback(url):
        key = read_line(folder / KEY_FILE)
    if key:
        check_key(key)
        return Server(url=url, key=key, configured=configured)
    if configured:
        raise Unauthenticated(f"there is no key for {url}; set PATCHMILL_SERVER_KEY")
    raise Unavailable(f"no server is known in {folder} (PATCHMILL_DATA_DIR); {_WAYS}")


def read_line(file: Path) -> str | None:
    """The line in a file of the data folder; None if it is not there, or another user's."""
    try:
        with file.open(encoding="utf-8") as text:
            return text.read(MAX_FILE_BYTES).strip() or None
    except (OSError, UnicodeDecodeError):
        return None
