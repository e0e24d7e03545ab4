"""`patchmill diff`: what a job or a run offers, as a patch."""

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.offering import Format, put_patch
from patchmill.cli.serving import served
from patchmill.cli.standing import Identity
from patchmill.cli.talk import say
from patchmill.cli.work import rendered, work_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends("patchmill diff job_0192…", "patchmill diff run_0192… | git apply --check"))
def diff(identity: Identity) -> int:
    """Print what a job or a run offers as one patch that `git apply` takes; in colours on a terminal.

    Exits with 1 if nothing is offered, or not yet.
    """
    with served() as service:
        patch = rendered(service.client, work_of(identity), Format.PATCH.value)
    if not patch:
        say(f"{identity} offers nothing; `patchmill status {identity}` tells why")
        return Exit.FINDINGS_LEFT
    put_patch(patch)
    return Exit.DONE
