"""`patchmill budgets`: limits on what is spent, listed, shown, set, changed and ended."""

import difflib
import json
from typing import Annotated, Any

import typer

from patchmill.cli.budget_text import LEGEND, budget_lines, describe
from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import AsJson, group
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.budget_documents import BudgetDetail
from patchmill.client.http import Client
from patchmill.errors import ConfigurationError

app = group(
    "patchmill budgets",
    "patchmill budgets create core --usd 5 --window month --time-zone Europe/Berlin --alert 80 --alert 95",
    "patchmill budgets show core",
    "patchmill budgets set core --usd 7.50",
)

NONE = "none"

Which = Annotated[str, typer.Argument(metavar="BUDGET", help="An id `bud_…`, or a name.")]
AtLimit = Annotated[
    str | None,
    typer.Option(help="What jobs do once it is used up: wait for the next window, or fail."),
]
Alert = Annotated[
    list[int] | None,
    typer.Option(help="A share in percent at which webhooks are told, once a window; may be repeated."),
]
DocumentAsJson = Annotated[bool, typer.Option("--json", help="Print the document as JSON.")]


@app.callback(invoke_without_command=True)
def budgets(context: typer.Context, *, as_json: AsJson = False) -> int:
    """List the budgets that bear on the key's project, newest first; the subcommands do the rest."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    with served() as service:
        found = list(service.client.budgets.list())
    if as_json:
        print(json.dumps(found, indent=2))
    elif found:
        print("\n".join(budget_lines(found)))
        say(LEGEND)
    else:
        say("no budget limits what is spent; `patchmill budgets create` sets one")
    return Exit.DONE


@app.command(epilog=ends("patchmill budgets show core", "patchmill budgets show bud_0192… --json"))
def show(which: Which, *, as_json: DocumentAsJson = False) -> int:
    """Show a budget: what is left, how its window was spent, and when it will be used up at this pace."""
    with served() as service:
        _tell(service.client.budgets.read(_identity(service.client, which)), as_json=as_json)
    return Exit.DONE


@app.command(
    epilog=ends(
        "patchmill budgets create core --usd 5 --window month --time-zone Europe/Berlin --alert 80",
        "patchmill budgets create everyone --tokens 5000000 --window day --installation --at-limit fail",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is recognised by.")],
    *,
    usd: Annotated[
        str | None, typer.Option(help="The most in a window, in US dollars, such as 5.50.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="The most in a window, in tokens.")] = None,
    window: Annotated[
        str, typer.Option(help="How long it counts: hour, day, week, month or total.")
    ] = "month",
    time_zone: Annotated[str, typer.Option(help="By which days, weeks and months begin.")] = "UTC",
    project: Annotated[bool, typer.Option("--project", help="For the key's project, as without it.")] = False,
    key: Annotated[str | None, typer.Option(help="For one key of the project, by its id `key_…`.")] = None,
    installation: Annotated[
        bool, typer.Option("--installation", help="For everything that is spent here.")
    ] = False,
    at_limit: AtLimit = None,
    alert: Alert = None,
    as_json: DocumentAsJson = False,
) -> int:
    """Limit what may be spent in each window. Needs a key with the scope admin.

    A call is only sent when its worst case fits in every budget that bears on it, so none is ever exceeded.
    """
    if usd is None and tokens is None:
        raise ConfigurationError("give --usd, --tokens, or both")
    if project + installation + (key is not None) > 1:
        raise ConfigurationError("take one of --project, --key and --installation")
    limit: dict[str, Any] = {"usd": usd, "tokens": tokens}
    body: dict[str, Any] = {
        "name": name,
        "window": {"kind": window, "time_zone": time_zone},
        "limit": {axis: value for axis, value in limit.items() if value is not None},
        "alert_percent": alert or [],
    }
    if at_limit is not None:
        body["at_limit"] = at_limit
    with served() as service:
        body["scope"] = _scope(service.client, key, installation=installation)
        _tell(service.client.budgets.create(body), as_json=as_json)
    return Exit.DONE


@app.command(
    "set",
    epilog=ends(
        "patchmill budgets set core --usd 7.50",
        "patchmill budgets set core --usd none --tokens 2000000 --at-limit fail",
        "patchmill budgets set core --no-alerts",
    ),
)
def change(
    which: Which,
    *,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    usd: Annotated[
        str | None, typer.Option(help="The most in a window in US dollars; none: no limit.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="The most in a window in tokens; none: no limit.")
    ] = None,
    at_limit: AtLimit = None,
    alert: Alert = None,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="Tell of no share.")] = False,
    as_json: DocumentAsJson = False,
) -> int:
    """Change a budget, for calls that are made from now on. Needs a key with the scope admin.

    A limit below what is spent blocks further calls, and changes nothing else.
    """
    if alert and no_alerts:
        raise ConfigurationError("take --alert or --no-alerts, not both")
    changes: dict[str, Any] = {}
    limit = {
        **({} if usd is None else {"usd": None if usd.casefold() == NONE else usd}),
        **({} if tokens is None else {"tokens": None if tokens.casefold() == NONE else _whole(tokens)}),
    }
    given = {"name": name, "at_limit": at_limit, "limit": limit or None, "alert_percent": alert or None}
    changes = {field: value for field, value in given.items() if value is not None}
    if no_alerts:
        changes["alert_percent"] = []
    if not changes:
        raise ConfigurationError("say what to change: --name, --usd, --tokens, --at-limit or --alert")
    with served() as service:
        identity = _identity(service.client, which)
        _tell(service.client.budgets.change(identity, changes), as_json=as_json)
    return Exit.DONE


@app.command("end", epilog=ends("patchmill budgets end core"))
def end(which: Which) -> int:
    """End a budget: it limits nothing any more, and its name is free. Needs a key with the scope admin."""
    with served() as service:
        service.client.budgets.end(_identity(service.client, which))
    say(f"{shown(which)} has ended")
    return Exit.DONE


def _scope(client: Client, key: str | None, *, installation: bool) -> dict[str, Any]:
    if installation:
        return {"kind": "installation"}
    if key is not None:
        return {"kind": "key", "id": key}
    [own] = client.projects.list()
    return {"kind": "project", "id": own["id"]}


def _identity(client: Client, which: str) -> str:
    """Give the id of a budget that is named by it, or by its name."""
    if which.startswith("bud_"):
        return which
    names = {each["name"]: each["id"] for each in client.budgets.list()}
    if which not in names:
        close = difflib.get_close_matches(which, names, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else "; `patchmill budgets` lists them"
        raise ConfigurationError(f"there is no budget {which}{hint}")
    return names[which]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"--tokens: {text[:50]!r} is not a whole number, and not none") from None


def _tell(budget: BudgetDetail, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(budget, indent=2))
    else:
        print("\n".join(describe(budget)))
