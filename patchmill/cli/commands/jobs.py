"""`patchmill jobs`: list them, cancel or start anew one, or all that match."""

import json
from typing import Annotated

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.job_text import job_lines
from patchmill.cli.listing import LIMIT, AsJson, Label, Limit, first, group, label_filters, page
from patchmill.cli.many_jobs import act_on_many, beginning, filters_of, refuse_filters
from patchmill.cli.outcome import standing_of_job
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.http import ENDED

app = group(
    "patchmill jobs",
    "patchmill jobs --state failed --limit 10 --json",
    "patchmill jobs --repository acme/app --label team=core",
    "patchmill jobs retry --state failed --error gateway_unavailable --since 1d",
)

JobId = Annotated[str | None, typer.Argument(metavar="[ID]", help="An id `job_…`.", show_default=False)]
State = Annotated[str | None, typer.Option(help="queued, dispatched, running, succeeded …")]
Kind = Annotated[str | None, typer.Option(help="fix or annotate.")]
OutcomeOf = Annotated[str | None, typer.Option(help="verified, partial, unchecked or no_change.")]
Error = Annotated[str | None, typer.Option(help="The code of a failed job's error: gateway_unavailable …")]
Run = Annotated[str | None, typer.Option(help="An id `run_…`.")]
Rule = Annotated[str | None, typer.Option(help="A rule that one of the findings has.")]
Repository = Annotated[str | None, typer.Option(help="Where the file is from, such as acme/app.")]
Part = Annotated[str | None, typer.Option(help="A part of the path, or of an error's message.")]
Since = Annotated[
    str | None,
    typer.Option(
        help="Submitted since: a span such as 90m, 24h or 1d, a date (of UTC), or an RFC 3339 time."
    ),
]
Expect = Annotated[int | None, typer.Option(min=0, help="How many jobs this must be; asks for nothing.")]
BulkAsJson = Annotated[bool, typer.Option("--json", help="Print what was done to many as JSON.")]


@app.callback(invoke_without_command=True)
def jobs(
    context: typer.Context,
    *,
    state: State = None,
    kind: Kind = None,
    outcome: OutcomeOf = None,
    error: Error = None,
    run: Run = None,
    rule: Rule = None,
    repository: Repository = None,
    q: Part = None,
    label: Label = None,
    since: Since = None,
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> int:
    """List jobs, newest first; the subcommands cancel or start anew one of them, or many."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    given = {
        "state": state,
        "kind": kind,
        "outcome": outcome,
        "error": error,
        "run": run,
        "rule": rule,
        "repository": repository,
        "q": q,
        "created_after": None if since is None else beginning(since),
    }
    filters = {name: value for name, value in given.items() if value is not None}
    with served() as service:
        found = first(service.client.jobs(**filters, **label_filters(label), **page(limit)), limit)
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for line in job_lines(found):
        print(line)
    if not found:
        say("no job is like that" if filters or label else "there are no jobs yet; `patchmill fix` makes one")
    return Exit.DONE


@app.command(
    epilog=ends("patchmill jobs cancel job_0192…", "patchmill jobs cancel --run run_0192… --expect 40")
)
def cancel(
    identity: JobId = None,
    *,
    state: State = None,
    kind: Kind = None,
    outcome: OutcomeOf = None,
    error: Error = None,
    run: Run = None,
    rule: Rule = None,
    repository: Repository = None,
    q: Part = None,
    label: Label = None,
    since: Since = None,
    expect: Expect = None,
    as_json: BulkAsJson = False,
) -> int:
    """Ask a job to stop: at once if it waits, as soon as its call is over if it runs.

    With filters in the place of an id, all that match are counted, and stopped once the number is confirmed:
    at the terminal, or with --expect.
    """
    given = {"state": state, "kind": kind, "outcome": outcome, "error": error, "run": run, "rule": rule}
    filters = filters_of({**given, "repository": repository, "q": q}, label, since)
    with served() as service:
        if identity is None:
            return act_on_many(service.client, "cancel", filters, expect=expect, as_json=as_json)
        refuse_filters(filters, expect)
        before = service.client.job(identity)
        job = service.client.cancel(identity)
    if before["state"] in ENDED:
        say(f"{shown(job['id'])} has ended already: {standing_of_job(job)}")
        return Exit.DONE
    say(f"{shown(job['id'])}: {standing_of_job(job)}")
    return Exit.DONE


@app.command(
    epilog=ends(
        "patchmill jobs retry job_0192…",
        "patchmill jobs retry --state failed --error gateway_unavailable --since 1d",
        "patchmill jobs retry --state failed --repository acme/app --expect 12",
    )
)
def retry(
    identity: JobId = None,
    *,
    state: State = None,
    kind: Kind = None,
    outcome: OutcomeOf = None,
    error: Error = None,
    run: Run = None,
    rule: Rule = None,
    repository: Repository = None,
    q: Part = None,
    label: Label = None,
    since: Since = None,
    expect: Expect = None,
    as_json: BulkAsJson = False,
) -> int:
    """Start a job that has ended anew; what it costs comes on top.

    With filters in the place of an id, all that match are counted by what became of them, and started once
    the number is confirmed: at the terminal, or with --expect. Those that are verified do not count.
    """
    given = {"state": state, "kind": kind, "outcome": outcome, "error": error, "run": run, "rule": rule}
    filters = filters_of({**given, "repository": repository, "q": q}, label, since)
    with served() as service:
        if identity is None:
            return act_on_many(service.client, "retry", filters, expect=expect, as_json=as_json)
        refuse_filters(filters, expect)
        job = service.client.retry(identity)
    say(f"{shown(job['id'])}: {standing_of_job(job)}; `patchmill wait {shown(job['id'])}` waits for it")
    return Exit.DONE
