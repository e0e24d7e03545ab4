"""`patchmill pause`: no call is made from now on, and nothing is lost meanwhile."""

from typing import Annotated

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import ends
from patchmill.cli.talk import say
from patchmill.settings import load
from patchmill.store import circuits

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=ends("patchmill pause", 'patchmill pause --reason "the invoice is being looked into"'))
def pause(
    *,
    reason: Annotated[
        str, typer.Option(help="Why, for those who look at the dashboard.", show_default=False)
    ] = "",
) -> None:
    """Make no call from the next second on, in the whole installation.

    Jobs are accepted, and what costs nothing is done; those that need a model wait (`paused`) until
    `patchmill resume`. Calls on the wire are finished, since they are paid for. Needs
    PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same PATCHMILL_DATA_DIR.
    """
    with transaction(database_url(load())) as connection:
        paused = circuits.pause(connection, reason, actor="host")
    say("calls are paused; `patchmill resume` lets them go on" if paused else "calls were paused already")
