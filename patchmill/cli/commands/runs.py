"""`patchmill runs`: list them, cancel one."""

import json
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.job_text import run_lines
from patchmill.cli.listing import LIMIT, AsJson, Label, Limit, first, group, label_filters, page
from patchmill.cli.outcome import standing_of_run
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.http import RUN_ENDED

app = group(
    "patchmill runs", "patchmill runs --repository acme/app --json", "patchmill runs cancel run_0192…"
)


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="queued, running, finished or cancelled.")] = None,
    repository: Annotated[
        str | None, typer.Option(help="Where the files are from, such as acme/app.")
    ] = None,
    label: Label = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> int:
    """List runs, newest first; the subcommand cancels one."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    given = {"state": state, "repository": repository}
    filters = {name: value for name, value in given.items() if value is not None}
    with served() as service:
        found = first(service.client.runs(**filters, **label_filters(label), **page(limit)), limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for line in run_lines(found):
        print(line)
    if not found:
        say(
            "no run is like that"
            if filters or label
            else "there are no runs yet; `patchmill suggest` makes one"
        )
    return Exit.DONE


@app.command(epilog=ends("patchmill runs cancel run_0192…"))
def cancel(identity: Annotated[str, typer.Argument(metavar="ID", help="An id `run_…`.")]) -> int:
    """Ask every job of a run to stop; what has ended stays as it is."""
    with served() as service:
        before = service.client.run(identity)
        run = service.client.cancel_run(identity)
    already = " has ended already" if before["state"] in RUN_ENDED else ""
    say(f"{shown(run['id'])}{already}: {standing_of_run(run)}")
    return Exit.DONE
