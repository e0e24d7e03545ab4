"""`patchmill jobs`: list them, cancel one, start one anew."""

import json
from itertools import islice
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.job_text import job_lines
from patchmill.cli.listing import LIMIT, AsJson, Label, Limit, group, label_filters, page
from patchmill.cli.outcome import standing_of_job
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.http import ENDED

app = group(
    "patchmill jobs",
    "patchmill jobs --state failed --limit 10 --json",
    "patchmill jobs --repository acme/app --label team=core",
    "patchmill jobs retry job_0192…",
)

JobId = Annotated[str, typer.Argument(metavar="ID", help="An id `job_…`.")]


@app.callback(invoke_without_command=True)
def jobs(
    context: typer.Context,
    *,
    state: Annotated[str | None, typer.Option(help="queued, dispatched, running, succeeded …")] = None,
    kind: Annotated[str | None, typer.Option(help="fix or annotate.")] = None,
    outcome: Annotated[str | None, typer.Option(help="verified, partial, unchecked or no_change.")] = None,
    run: Annotated[str | None, typer.Option(help="An id `run_…`.")] = None,
    rule: Annotated[str | None, typer.Option(help="A rule that one of the findings has.")] = None,
    repository: Annotated[str | None, typer.Option(help="Where the file is from, such as acme/app.")] = None,
    q: Annotated[str | None, typer.Option(help="A part of the path, or of an error's message.")] = None,
    label: Label = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> int:
    """List jobs, newest first; the subcommands cancel one, or start it anew."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    given = {
        "state": state,
        "kind": kind,
        "outcome": outcome,
        "run": run,
        "rule": rule,
        "repository": repository,
        "q": q,
    }
    filters = {name: value for name, value in given.items() if value is not None}
    with served() as service:
        found = list(islice(service.client.jobs(**filters, **label_filters(label), **page(limit)), limit))
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for line in job_lines(found):
        print(line)
    if not found:
        say("no job is like that" if filters or label else "there are no jobs yet; `patchmill fix` makes one")
    return Exit.DONE


@app.command(epilog=ends("patchmill jobs cancel job_0192…"))
def cancel(identity: JobId) -> int:
    """Ask a job to stop: at once if it waits, as soon as its call is over if it runs."""
    with served() as service:
        before = service.client.job(identity)
        job = service.client.cancel(identity)
    if before["state"] in ENDED:
        say(f"{shown(job['id'])} has ended already: {standing_of_job(job)}")
        return Exit.DONE
    say(f"{shown(job['id'])}: {standing_of_job(job)}")
    return Exit.DONE


@app.command(epilog=ends("patchmill jobs retry job_0192…"))
def retry(identity: JobId) -> int:
    """Start a job that has ended anew; what it costs comes on top."""
    with served() as service:
        job = service.client.retry(identity)
    say(f"{shown(job['id'])}: {standing_of_job(job)}; `patchmill wait {shown(job['id'])}` waits for it")
    return Exit.DONE
