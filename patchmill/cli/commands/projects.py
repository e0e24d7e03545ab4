"""`patchmill projects`: the key's project, how its jobs climb, its share, and how long what ended is kept."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import Exit, ends
from patchmill.cli.listing import AsJson, group
from patchmill.cli.serving import served
from patchmill.cli.talk import say, shown
from patchmill.client.documents import Project
from patchmill.client.projects import Projects
from patchmill.errors import ConfigurationError
from patchmill.job.retry import UnknownPolicy
from patchmill.job.turns import MAX_WEIGHT
from patchmill.settings import MAX_RETENTION_DAYS, load
from patchmill.store import access, auditing
from patchmill.store.ids import to_edge

MOST_NAME = 100
MOST = 2**31 - 1
SHARE = ("weight", "max_in_flight", "tokens_per_minute")

app = group(
    "patchmill projects",
    "patchmill projects create payments",
    "patchmill projects policy --repairs 2 --reasoning",
    "patchmill projects policy --no-escalate --reset repairs",
    "patchmill projects share --weight 2 --max-in-flight 10",
    "patchmill projects retention --days 30",
)


@app.callback(invoke_without_command=True)
def projects(context: typer.Context, *, as_json: AsJson = False) -> int:
    """Show the key's project; `policy`, `share` and `retention` change it, `create` makes another."""
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


@app.command(epilog=ends("patchmill projects create payments"))
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"What it is called: up to {MOST_NAME} characters.")
    ],
) -> None:
    """Make a project: its jobs, keys, budgets and results are apart from those of the others.

    `patchmill keys create --project NAME` makes its first key. Needs PATCHMILL_DATABASE_URL, or a running
    `patchmill up` with the same PATCHMILL_DATA_DIR.
    """
    if not name.strip() or name != name.strip() or len(name) > MOST_NAME or not name.isprintable():
        raise ConfigurationError(
            f"NAME: must be 1 to {MOST_NAME} printable characters, without blanks around them"
        )
    with transaction(database_url(load())) as connection:
        if access.find_project(connection, name) is not None:
            raise ConfigurationError(f"there is a project `{name}` already")
        subject = to_edge("prj", access.ensure_project(connection, name))
        auditing.record(
            connection, actor="host", action="project.create", subject=subject, details={"name": name}
        )
    say(f"project `{name}` is made; `patchmill keys create --project {shlex.quote(name)}` makes a key of it")
    print(subject)


@app.command(
    epilog=ends(
        "patchmill projects policy --repairs 2 --escalation-model deepseek-v4-pro",
        "patchmill projects policy --unknown fail",
    )
)
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
    unknown: Annotated[
        UnknownPolicy | None,
        typer.Option(
            help="After a call that may have been billed unanswered: make another, or fail the job."
        ),
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
        "unknown": unknown,
    }
    return _change(lambda projects: projects.change_policy, given, reset, as_json=as_json)


@app.command(
    epilog=ends(
        "patchmill projects share --weight 2",
        "patchmill projects share --reset weight",
        "patchmill projects share --project default --max-in-flight 10",
    )
)
def share(
    *,
    weight: Annotated[
        int | None, typer.Option(min=1, max=MAX_WEIGHT, help="Of its jobs beside those of other projects.")
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="How many of its jobs are worked on at once.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, help="While the last minute's calls used so many, no job begins."),
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(help="Take a number back: a weight of 1, and no limits.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Of this project, by its name; on the host.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as JSON.")] = False,
) -> int:
    """Set how much is done at once for the key's project, from now on.

    Where projects have more to do than there are call slots, they share these by weight; what one of them
    does not use, the others do. So it needs an admin key of the project `default`. With --project it writes
    to the database, and needs PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same
    PATCHMILL_DATA_DIR.
    """
    given = {"weight": weight, "max_in_flight": max_in_flight, "tokens_per_minute": tokens_per_minute}
    if project is not None:
        return _share_on_the_host(project, _changes(given, reset), as_json=as_json)
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
    changes = _changes(given, reset)
    with served() as service:
        [project] = service.client.projects.list()
        if changes:
            project = way(service.client.projects)(project["id"], changes)
    return _tell(project, as_json=as_json)


def _changes(given: Mapping[str, Any], reset: Sequence[str] | None) -> dict[str, Any]:
    changes = {name: value for name, value in given.items() if value is not None}
    for name in reset or []:
        field = name.replace("-", "_")
        if field not in given:
            raise ConfigurationError(f"--reset {name}: there is no such field; take {', '.join(given)}")
        changes[field] = None
    return changes


def _share_on_the_host(name: str, changes: Mapping[str, int | None], *, as_json: bool) -> int:
    with transaction(database_url(load())) as connection:
        project_id = access.find_project(connection, name)
        if project_id is None:
            raise ConfigurationError(f"there is no project `{name}`")
        subject = to_edge("prj", project_id)
        if changes:
            access.change_share(connection, project_id, changes)
            auditing.record(
                connection, actor="host", action="project.share", subject=subject, details=changes
            )
        row = access.project(connection, project_id)
    share = {field: getattr(row, field) for field in SHARE}
    if as_json:
        print(json.dumps({"id": subject, "name": row.name, "share": share}, indent=2))
        return Exit.DONE
    print(f"{subject}  {shown(row.name)}")
    _show_share(share)
    return Exit.DONE


def _show_share(share: Mapping[str, int | None]) -> None:
    for name, number in share.items():
        print(f"  {name:<17} {'-' if number is None else number}")


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
    _show_share(project["share"])
    kept = f"{project['retention_days']} days" if project["retention_days"] else "for ever"
    own = "" if project["own_retention_days"] is None else "  (set by the project)"
    print(f"  {'keeps what ended':<17} {kept}{own}")
    if not project["own_policy"]:
        say("the project has set nothing of its policy itself; all of that is the installation's")
