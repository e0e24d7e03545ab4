"""`patchmill resume`: calls go on, whatever had paused them, or the jobs of a project or a queue do."""

from typing import Annotated

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import ends
from patchmill.cli.pausing import Project, Queue, part_of
from patchmill.cli.talk import say
from patchmill.errors import ConfigurationError
from patchmill.job.circuit import GATEWAY
from patchmill.settings import load
from patchmill.store import circuits, pauses

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=ends(
        "patchmill resume",
        "patchmill resume --model deepseek-v4-pro",
        "patchmill resume --project default",
        "patchmill resume --queue bulk",
    )
)
def resume(
    *,
    model: Annotated[
        str | None,
        typer.Option(help="Call this model again, which was down or out of reach.", show_default=False),
    ] = None,
    project: Project = None,
    queue: Queue = None,
) -> None:
    """Let calls go on, and wake the jobs that wait for that.

    Whatever paused them: an operator, or the gateway, which refused the key or had no credit left. If it
    still does, the next call pauses them again; it is not billed. With --project or --queue, let its jobs
    begin again. Needs PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same PATCHMILL_DATA_DIR.
    """
    with transaction(database_url(load())) as connection:
        part = part_of(connection, project=project, queue=queue)
        if part is not None and model is not None:
            raise ConfigurationError("name a model, a project or a queue, not two of them")
        if part is not None:
            resumed = pauses.resume(connection, part, actor="host")
            what = f"the {part.what} {project or queue} goes"
        else:
            if model is not None and model not in circuits.every_one(connection):
                raise ConfigurationError(f"model `{model}` has never been down or out of reach")
            resumed = circuits.resume(connection, model or GATEWAY, actor="host")
            what = "calls go" if model is None else f"calls to `{model}` go"
    say(f"{what} on" if resumed else f"{what} on already; nothing was paused")
