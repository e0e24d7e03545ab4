"""`patchmill workers`: the worker processes, how each is, and what it has in hand."""

import json
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.serving import served
from patchmill.cli.table import table
from patchmill.cli.talk import say
from patchmill.cli.waiting import moment
from patchmill.client.operating import Worker

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=ends("patchmill workers", "patchmill workers --json"))
def workers(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of documents.")] = False
) -> int:
    """Show the worker processes that live, and those that ended or fell silent within the hour.

    A silent one has not been heard of for a lease time (PATCHMILL_LEASE_TTL_S); others take its jobs over.
    Needs a key with the scope admin.
    """
    with served() as service:
        found = service.client.workers()
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    if not found:
        say("no worker has run within the hour; start one with `python -m worker`")
        return Exit.DONE
    head = ["name", "state", "jobs", "slots", "version", "started", "last heard"]
    for line in table([head, *map(_row, found)], right={2, 3}):
        print(line)
    return Exit.DONE


def _row(worker: Worker) -> list[str]:
    return [
        worker["name"],
        worker["state"],
        str(worker["jobs"]),
        "?" if worker["slots"] is None else str(worker["slots"]),
        worker["version"] or "?",
        moment(worker["started_at"]),
        moment(worker["stopped_at"] or worker["heartbeat_at"]),
    ]
