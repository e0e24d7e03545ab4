"""What `patchmill up` runs on this machine, for commands of a host that no setting leads to another place."""

from pydantic import SecretStr

from patchmill.client.server import read_line
from patchmill.dev.standin.gateway import DEFAULT_KEY
from patchmill.settings import Settings

DATABASE_FILE = "local-database"  # only there while `patchmill up` runs
STAND_IN_FILE = "local-stand-in"  # likewise, and only if `up` runs the stand-in gateway


def with_local_database(settings: Settings) -> Settings:
    """Fill in the database of a running `patchmill up`, where none is set and no other server is named."""
    is_set = settings.database_url is not None and settings.database_url.get_secret_value()
    if is_set or "server_url" in settings.model_fields_set:
        return settings
    url = read_line(settings.data_dir.expanduser() / DATABASE_FILE)
    return settings if url is None else settings.model_copy(update={"database_url": SecretStr(url)})


def with_local_stand_in(settings: Settings) -> Settings:
    """Fill in the stand-in gateway of a running `patchmill up`, where no gateway or other server is named.

    What it answers is never kept: the database may serve the real gateway later.
    """
    has_key = settings.gateway_api_key is not None and settings.gateway_api_key.get_secret_value()
    if has_key or {"server_url", "gateway_url"} & settings.model_fields_set:
        return settings
    url = read_line(settings.data_dir.expanduser() / STAND_IN_FILE)
    if url is None:
        return settings
    found = {"gateway_url": url, "gateway_api_key": SecretStr(DEFAULT_KEY), "database_url": None}
    return settings.model_copy(update=found)
