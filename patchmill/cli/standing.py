"""How a job or a run stands: what names it on the command line, and how it is printed."""

import json
from typing import Annotated

import typer

from patchmill.cli.console import data_console
from patchmill.cli.job_text import print_job, print_run, print_skipped
from patchmill.cli.work import Standing

Identity = Annotated[str, typer.Argument(metavar="ID", help="An id, `job_…` or `run_…`.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the documents of the run and its jobs as one JSON object.")
]


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
        identity = job["id"]
        print_job(console, job, None, now.declined.get(identity), now.waits.get(identity))
