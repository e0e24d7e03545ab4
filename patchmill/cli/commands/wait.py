"""`patchmill wait`: until a job or a run has ended."""

import typer

from patchmill.cli.exits import ends
from patchmill.cli.following import wait_for
from patchmill.cli.outcome import exit_of_work
from patchmill.cli.serving import served
from patchmill.cli.standing import AsJson, Identity, print_standing
from patchmill.cli.submitting import Timeout
from patchmill.cli.work import work_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends("patchmill wait run_0192…", "patchmill wait job_0192… --timeout 600 --json"))
def wait(identity: Identity, *, timeout: Timeout = None, as_json: AsJson = False) -> int:
    """Wait until a job or a run has ended, and show how.

    Exits with 0 if every finding is verified to be gone, 1 if any is left, 3 if the service or the gateway
    failed or the time is over, 4 if a budget was in the way. Ctrl-C only ends the waiting.
    """
    with served() as service:
        ended = wait_for(service, work_of(identity), timeout_s=timeout, met=False)
    print_standing(ended, as_json=as_json)
    return exit_of_work(ended)
