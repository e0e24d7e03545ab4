"""`patchmill queues`: what is due, what waits for what, what runs, and which project is next."""

import json
from typing import Annotated, cast

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import Exit, ends
from patchmill.cli.pausing import as_api_writes, part_of
from patchmill.cli.serving import served
from patchmill.cli.table import table
from patchmill.cli.waiting import paused_since
from patchmill.client.operating import ProjectQueues, Queue, Queues
from patchmill.errors import ConfigurationError
from patchmill.settings import load
from patchmill.store import queues as store

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_HEAD = ["", "due", "oldest", "dispatched", "running", "in/min", "out/min", "waiting"]
_HEAD_OF_PLACES = ["project", "weight", "behind", "dispatched", "at most"]


@app.command(
    epilog=ends("patchmill queues", "patchmill queues --all", "patchmill queues --project default --json")
)
def queues(
    *,
    project: Annotated[
        str | None,
        typer.Option(help="Also this project's part, by its name; on the host.", show_default=False),
    ] = None,
    every_one: Annotated[
        bool, typer.Option("--all", help="Also the part of every project; on the host.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Show the queues `interactive` and `bulk` of the installation, and the part of the key's project.

    Of projects it says how far the turn of each is behind the one that has come furthest: of those with due
    jobs, the one that is furthest behind is next. Needs a key with the scope admin. With --project and --all
    it reads the database, and needs PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same
    PATCHMILL_DATA_DIR.
    """
    if project is not None and every_one:
        raise ConfigurationError("give --project or --all, not both")
    if project is not None or every_one:
        seen = _on_the_host(project)
    else:
        with served() as service:
            seen = service.client.queues()
    if as_json:
        print(json.dumps(seen, indent=2))
        return Exit.DONE
    for line in _lines(seen):
        print(line)
    return Exit.DONE


def _on_the_host(project: str | None) -> Queues:
    with transaction(database_url(load())) as connection:
        wanted = None if project is None else part_of(connection, project=project, queue=None)
        seen = store.look(connection)
    places = [place for place in seen.places if wanted is None or place.id == wanted.project_id]
    return cast("Queues", as_api_writes(store.document(seen, places)))


def _lines(seen: Queues) -> list[str]:
    rows = [_HEAD, *(_row(queue["name"], queue) for queue in seen["queues"])]
    for place in seen["projects"]:
        rows += [_row(f"{place['name']} {queue['name']}", queue) for queue in place["queues"]]
    lines = table(rows, right=range(1, 7))
    if seen["projects"]:
        lines += ["", *table([_HEAD_OF_PLACES, *map(_place, seen["projects"])], right={1, 2, 3})]
    paused = [queue["paused"] for queue in seen["queues"]] + [place["paused"] for place in seen["projects"]]
    told = [paused_since(pause) for pause in paused if pause is not None]
    return [*lines, *([""] if told else []), *told]


def _row(name: str, queue: Queue) -> list[str]:
    waiting = ", ".join(f"{count} {reason}" for reason, count in queue["waiting"].items())
    rates = queue["rate_per_min"]
    return [
        name,
        f"{queue['due']:,}",
        f"{queue['oldest_due_s']:.1f} s" if queue["due"] else "-",
        f"{queue['dispatched']:,}",
        f"{queue['running']:,}",
        f"{rates['in']:,}",
        f"{rates['out']:,}",
        waiting or "-",
    ]


def _place(place: ProjectQueues) -> list[str]:
    limits = [
        f"{place['max_in_flight']:,} in flight" if place["max_in_flight"] else "",
        f"{place['tokens_per_minute']:,} tokens a minute" if place["tokens_per_minute"] else "",
    ]
    return [
        place["name"],
        str(place["weight"]),
        f"{place['behind_s']:.1f} s",
        f"{place['dispatched_ever']:,}",
        ", ".join(filter(None, limits)) or "-",
    ]
