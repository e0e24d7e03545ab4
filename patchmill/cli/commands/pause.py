"""`patchmill pause`: no call is made, or no job of a project or a queue begins, until `resume`."""

from typing import Annotated

import typer

from patchmill.cli.database import known_database, transaction
from patchmill.cli.exits import ends
from patchmill.cli.pausing import Project, Queue, part_of, pause_by_key
from patchmill.cli.serving import served
from patchmill.cli.talk import say
from patchmill.settings import load
from patchmill.store import circuits, pauses

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=ends(
        'patchmill pause --reason "the invoice is being looked into"',
        'patchmill pause --project default --reason "its budget is being discussed"',
        "patchmill pause --queue bulk",
    )
)
def pause(
    *,
    project: Project = None,
    queue: Queue = None,
    reason: Annotated[
        str, typer.Option(help="Why, for those who look at the dashboard.", show_default=False)
    ] = "",
) -> None:
    """Make no call from the next second on, in the whole installation.

    Jobs are accepted, and what costs nothing is done; those that need a model wait (`paused`) until
    `patchmill resume`. Calls on the wire are finished, since they are paid for.

    With --project or --queue, none of its jobs begins: they would take places from others. Those that run
    make no further call and wait, too.

    On the host it writes to the database: PATCHMILL_DATABASE_URL, or that of a running `patchmill up` with
    the same PATCHMILL_DATA_DIR. Elsewhere the server does it (PATCHMILL_SERVER_URL), and takes an admin key
    of the project `default`, or for --project one of that project.
    """
    url = known_database(load())
    if url is None:
        with served() as service:
            paused = pause_by_key(service.client, project=project, queue=queue, reason=reason)
    else:
        paused = _on_the_host(url, project=project, queue=queue, reason=reason)
    if project is None and queue is None:
        say("calls are paused; `patchmill resume` lets them go on" if paused else "calls were paused already")
        return
    what = "queue" if project is None else "project"
    name = f"{what} {project or queue}"
    again = f"`patchmill resume --{what} {project or queue}`"
    say(f"the {name} is paused; {again} lets it go on" if paused else f"the {name} was paused already")


def _on_the_host(url: str, *, project: str | None, queue: str | None, reason: str) -> bool:
    with transaction(url) as connection:
        part = part_of(connection, project=project, queue=queue)
        if part is None:
            return circuits.pause(connection, reason, actor="host")
        return pauses.pause(connection, part, reason, actor="host")
