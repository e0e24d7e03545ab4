"""`patchmill resume`: calls go on, whatever had paused them, or the jobs of a project or a queue do."""

from typing import Annotated

import typer

from patchmill.cli.database import known_database, transaction
from patchmill.cli.exits import ends
from patchmill.cli.pausing import Project, Queue, part_of, resume_by_key
from patchmill.cli.serving import served
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
    begin again.

    On the host it writes to the database: PATCHMILL_DATABASE_URL, or that of a running `patchmill up` with
    the same PATCHMILL_DATA_DIR. Elsewhere the server does it (PATCHMILL_SERVER_URL), and takes an admin key
    of the project `default`, or for --project one of that project.
    """
    if model is not None and (project is not None or queue is not None):
        raise ConfigurationError("name a model, a project or a queue, not two of them")
    url = known_database(load())
    if url is None:
        with served() as service:
            resumed = resume_by_key(service.client, project=project, queue=queue, model=model)
    else:
        resumed = _on_the_host(url, project=project, queue=queue, model=model)
    if project is not None or queue is not None:
        what = f"the {'queue' if project is None else 'project'} {project or queue} goes"
    else:
        what = "calls go" if model is None else f"calls to `{model}` go"
    say(f"{what} on" if resumed else f"{what} on already; nothing was paused")


def _on_the_host(url: str, *, project: str | None, queue: str | None, model: str | None) -> bool:
    with transaction(url) as connection:
        part = part_of(connection, project=project, queue=queue)
        if part is not None:
            return pauses.resume(connection, part, actor="host")
        if model is not None and model not in circuits.every_one(connection):
            raise ConfigurationError(f"model `{model}` has never been down or out of reach")
        return circuits.resume(connection, model or GATEWAY, actor="host")
