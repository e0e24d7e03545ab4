"""`patchmill status`: how a job or a run stands, now."""

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.serving import served
from patchmill.cli.standing import AsJson, Identity, print_standing
from patchmill.cli.work import standing, work_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends("patchmill status run_0192…", "patchmill status job_0192… --json"))
def status(identity: Identity, *, as_json: AsJson = False) -> int:
    """Show how a job or a run stands: its state, what it found, what it cost.

    Exits with 0 however it stands; `patchmill wait` tells by its exit code.
    """
    with served() as service:
        now = standing(service.client, work_of(identity))
    print_standing(now, as_json=as_json)
    return Exit.DONE
