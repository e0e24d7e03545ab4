"""`patchmill status`: how a job or a run stands, now."""

import json
from typing import Annotated

import typer

from patchmill.cli.console import data_console
from patchmill.cli.exits import Exit, ends
from patchmill.cli.job_text import print_job, print_run, print_skipped
from patchmill.cli.serving import served
from patchmill.cli.work import Standing, standing, work_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Identity = Annotated[str, typer.Argument(metavar="ID", help="An id, `job_…` or `run_…`.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the documents of the run and its jobs as one JSON object.")
]


@app.command(epilog=ends("patchmill status run_0192…", "patchmill status job_0192… --json"))
def status(identity: Identity, *, as_json: AsJson = False) -> int:
    """Show how a job or a run stands: its state, what it found, what it cost.

    Exits with 0 however it stands; `patchmill wait` tells by its exit code.
    """
    with served() as service:
        now = standing(service.client, work_of(identity))
    print_standing(now, as_json=as_json)
    return Exit.DONE


def print_standing(now: Standing, *, as_json: bool) -> None:
    """Print a run and its jobs, or jobs, for people or as one JSON object."""
    if as_json:
        print(json.dumps(now.document(), indent=2))
        return
    console = data_console()
    if now.run is not None:
        print_run(console, now.run)
        print_skipped(console, now.run)
    for job in now.jobs:
        print_job(console, job, source=None)
