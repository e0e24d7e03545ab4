"""`patchmill doctor`: everything that a client or a host needs, looked at one by one."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from patchmill.cli import doctor_gateway, doctor_host, doctor_server
from patchmill.cli.console import data_console
from patchmill.cli.doctor_line import Line, State
from patchmill.cli.exits import Exit, ends, exit_of
from patchmill.cli.local_settings import with_local_database, with_local_stand_in
from patchmill.cli.talk import shown
from patchmill.errors import ConfigurationError
from patchmill.settings import Settings, load

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog=ends("patchmill doctor", "patchmill doctor --json", "patchmill doctor --gateway"))
def doctor(
    *,
    gateway: Annotated[
        bool,
        typer.Option(
            "--gateway", help="Try the model gateway, too; costs less than $0.001 and needs its key."
        ),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Set counters of budgets and jobs that differ from the ledger to what it says."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> int:
    """Check what commands and the service need, and say what to do about what is missing.

    Looks at the server with its key, its version and its clock; at Postgres and Redis if their addresses are
    set, with schema, prices, workers, and whether the ledger adds up; at the checkers that come along; and at
    whether calls are paused.

    With --gateway it tries the gateway: key, account and catalogue for nothing, then a few small calls to
    each model of the settings, which say what the model really takes. With PATCHMILL_DATABASE_URL that is
    kept, and holds for every worker from then on. With --repair counters of budgets and jobs that differ from
    the ledger are set right, each with an entry in the audit. Without these two nothing is changed. Where no
    setting and no other server is named, the Postgres and the stand-in gateway of a running `patchmill up`
    are taken; of the stand-in nothing is kept.

    Exits with 0 if nothing failed, whatever it warns of; with 2 if a setting cannot work, with 3 if there is
    no server or a service fails, with 4 without credit, with 5 if a key is refused: of several, the lowest.
    """
    lines = list(_lines(gateway=gateway, repair=repair))
    if as_json:
        print(json.dumps([line.document() for line in lines], indent=2))
    else:
        console = data_console()
        for line in lines:
            text = Text()
            text.append(f"{line.state:<5}", style=_STYLES[line.state])
            text.append(f"{line.name:<10} {shown(line.detail)}")
            console.print(text)
            if line.advice:
                console.print(Text(f"{'':<16}{shown(line.advice)}"))
    return min((line.ends for line in lines if line.state is State.FAIL), default=Exit.DONE)


def _lines(*, gateway: bool, repair: bool) -> Iterator[Line]:
    try:
        settings = load()
    except ConfigurationError as error:
        advice = "correct the variable; `patchmill settings` lists them all"
        yield Line.fail("settings", str(error), advice, exit_of(error))
        return
    yield Line.ok("settings", "can be read")
    hosted = with_local_database(settings)
    checks: list[Callable[[Settings], Iterator[Line]]] = [
        doctor_server.server,
        partial(doctor_host.postgres, repair=repair),
        doctor_host.redis,
        doctor_host.checkers,
    ]
    for check in checks:
        yield from check(hosted)
    if gateway:
        yield from doctor_gateway.gateway(with_local_stand_in(hosted))
