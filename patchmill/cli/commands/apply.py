"""`patchmill apply`: what a job or a run offers, written into the files."""

from pathlib import Path
from typing import Annotated

import typer

from patchmill.cli import offering
from patchmill.cli.exits import Exit, ends
from patchmill.cli.serving import served
from patchmill.cli.standing import Identity
from patchmill.cli.talk import say
from patchmill.cli.tree import Tree
from patchmill.cli.work import standing, work_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends("patchmill apply run_0192… --check", "patchmill apply run_0192…"))
def apply(
    identity: Identity,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only see whether it can be done.")] = False,
) -> int:
    """Write what a job or a run offers into the files below the current folder: all of it, or nothing.

    Every file must be what was submitted, byte for byte; if one has moved on, it is named, and nothing is
    changed. Exits with 1 then, or if nothing is offered.
    """
    with served() as service:
        now = standing(service.client, work_of(identity))
    if not now.ended:
        say(f"{identity} has not ended; `patchmill wait {identity}` waits for it")
        return Exit.FINDINGS_LEFT
    count = offering.apply(now, Tree(Path.cwd()), check=check)
    return Exit.DONE if count else Exit.FINDINGS_LEFT
