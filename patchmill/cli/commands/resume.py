"""`patchmill resume`: calls go on, whatever had paused them."""

from typing import Annotated

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import ends
from patchmill.cli.talk import say
from patchmill.errors import ConfigurationError
from patchmill.job.circuit import GATEWAY
from patchmill.settings import load
from patchmill.store import circuits

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=ends("patchmill resume", "patchmill resume --model deepseek-v4-pro"))
def resume(
    *,
    model: Annotated[
        str | None,
        typer.Option(help="Call this model again, which was down or out of reach.", show_default=False),
    ] = None,
) -> None:
    """Let calls go on, and wake the jobs that wait for that.

    Whatever paused them: an operator, or the gateway, which refused the key or had no credit left. If it
    still does, the next call pauses them again; it is not billed. Needs
    PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same PATCHMILL_DATA_DIR.
    """
    name = model or GATEWAY
    with transaction(database_url(load())) as connection:
        known = circuits.every_one(connection)
        if model is not None and model not in known:
            raise ConfigurationError(f"model `{model}` has never been down or out of reach")
        resumed = circuits.resume(connection, name, actor="host")
    what = "calls go" if model is None else f"calls to `{model}` go"
    say(f"{what} on" if resumed else f"{what} on already; nothing was paused")
