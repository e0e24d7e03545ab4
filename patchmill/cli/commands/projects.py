"""`patchmill projects`: the key's project, how its jobs climb, its share, and how long what ended is kept."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import AsJson, group
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.documents import Project
from patchmill.client.projects import Projects
from patchmill.errors import ConfigurationError
from patchmill.settings import MAX_RETENTION_DAYS

app = group(
    "patchmill projects",
    "patchmill projects policy --repairs 2 --reasoning",
    "patchmill projects policy --no-escalate --reset repairs",
    "patchmill projects share --weight 2 --max-in-flight 10",
    "patchmill projects retention --days 30",
)


@app.callback(invoke_without_command=True)
def projects(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Show the key's project; the subcommands `policy`, `share` and `retention` change it."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    with served() as service:
        found = list(service.client.projects.list())
    if as_json:
        print(json.dumps(found, indent=2))
        return Exit.DONE
    for project in found:
        _show(project)
    return Exit.DONE


@app.command(epilog=ends("patchmill projects policy --repairs 2 --escalation-model deepseek-v4-pro"))
def policy(
    *,
    model: Annotated[str | None, typer.Option(help="The model of a first call.")] = None,
    escalation_model: Annotated[
        str | None, typer.Option(help="The stronger model, for what the first could not do.")
    ] = None,
    fallback_model: Annotated[
        str | None, typer.Option(help="Answers while the first model cannot be had.")
    ] = None,
    repairs: Annotated[
        int | None, typer.Option(min=0, help="How often the first model is told what was wrong, at most 2.")
    ] = None,
    escalate: Annotated[
        bool | None, typer.Option("--escalate/--no-escalate", help="Ask the stronger model at all.")
    ] = None,
    fall_back: Annotated[
        bool | None, typer.Option("--fall-back/--no-fall-back", help="Ask the fallback at all.")
    ] = None,
    reasoning: Annotated[
        bool | None,
        typer.Option("--reasoning/--no-reasoning", help="Let the stronger model reason first; it is billed."),
    ] = None,
    reset: Annotated[
        list[str] | None,
        typer.Option(help="Take a field back to the installation's setting, such as repairs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Set how the jobs of the key's project climb, from now on. Needs a key with the scope admin."""
    given = {
        "model": model,
        "escalation_model": escalation_model,
        "fallback_model": fallback_model,
        "repairs": repairs,
        "escalate": escalate,
        "fall_back": fall_back,
        "reasoning": reasoning,
    }
    return _change(lambda projects: projects.change_policy, given, reset, as_json=as_json)


@app.command(epilog=ends("patchmill projects share --weight 2", "patchmill projects share --reset weight"))
def share(
    *,
    weight: Annotated[
        int | None, typer.Option(min=1, help="Of its jobs beside those of other projects, at most 100.")
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=1, help="How many of its jobs are worked on at once.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, help="While the last minute's calls used so many, no job begins.")
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(help="Take a number back: a weight of 1, and no limits.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Set how much is done at once for the key's project, from now on. Needs a key with the scope admin.

    Where projects have more to do than there are call slots, they share these by weight; what one of them
    does not use, the others do.
    """
    given = {"weight": weight, "max_in_flight": max_in_flight, "tokens_per_minute": tokens_per_minute}
    return _change(lambda projects: projects.change_share, given, reset, as_json=as_json)


@app.command(epilog=ends("patchmill projects retention --days 30", "patchmill projects retention --reset"))
def retention(
    *,
    days: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_RETENTION_DAYS, help="Since a job or run ended; 0 keeps it for ever."),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take the installation's number again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Set how long the key's project keeps jobs and runs that ended. Needs a key with the scope admin.

    What is older is pruned within a minute or so, with its code, prompts and answers, and does not come back.
    What it cost stays in usage and budgets. Without an option this shows the project.
    """
    if reset and days is not None:
        raise ConfigurationError("give either --days or --reset")
    with served() as service:
        [project] = service.client.projects.list()
        if reset or days is not None:
            project = service.client.projects.change_retention(project["id"], days)
    return _tell(project, as_json=as_json)


def _change(
    way: Callable[[Projects], Callable[[str, Mapping[str, Any]], Project]],
    given: Mapping[str, Any],
    reset: Sequence[str] | None,
    *,
    as_json: bool,
) -> int:
    """Set what is given, take back what is to be reset, and show the project."""
    changes = {name: value for name, value in given.items() if value is not None}
    for name in reset or []:
        field = name.replace("-", "_")
        if field not in given:
            raise ConfigurationError(f"--reset {name}: there is no such field; take {', '.join(given)}")
        changes[field] = None
    with served() as service:
        [project] = service.client.projects.list()
        if changes:
            project = way(service.client.projects)(project["id"], changes)
    return _tell(project, as_json=as_json)


def _tell(project: Project, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps(project, indent=2))
        return Exit.DONE
    _show(project)
    return Exit.DONE


def _show(project: Project) -> None:
    print(f"{project['id']}  {shown(project['name'])}")
    for name, value in project["policy"].items():
        told = ("yes" if value else "no") if isinstance(value, bool) else "-" if value is None else str(value)
        own = "  (set by the project)" if name in project["own_policy"] else ""
        print(f"  {name:<17} {shown(told)}{own}")
    for name, number in project["share"].items():
        print(f"  {name:<17} {'-' if number is None else number}")
    kept = f"{project['retention_days']} days" if project["retention_days"] else "for ever"
    own = "" if project["own_retention_days"] is None else "  (set by the project)"
    print(f"  {'keeps what ended':<17} {kept}{own}")
    if not project["own_policy"]:
        say("the project has set nothing of its policy itself; all of that is the installation's")
