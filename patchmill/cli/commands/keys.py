"""`patchmill keys`: API keys, made and revoked in the database."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import ends
from patchmill.cli.listing import Subcommands
from patchmill.cli.new_key import Scope, add_key, project_id
from patchmill.cli.talk import say, shown
from patchmill.errors import ConfigurationError
from patchmill.instants import rfc3339
from patchmill.settings import load
from patchmill.store import access, key_secret
from patchmill.store.ids import to_edge

MAX_DAYS = 36_500

app = typer.Typer(
    cls=Subcommands,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Create, list and revoke API keys. "
    "Needs PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same PATCHMILL_DATA_DIR.",
    epilog=ends(
        "patchmill keys create --name ci", "patchmill keys list", "patchmill keys revoke pm_1a2b3c4d"
    ),
)


DEFAULT_SCOPES = [Scope.JOBS_READ, Scope.JOBS_WRITE]

Project = Annotated[str, typer.Option(help="The project that the key belongs to.")]


@app.command(
    epilog=ends(
        "patchmill keys create --name ci --expires-in-days 90",
        "KEY=$(patchmill keys create --scope jobs:read)",
    )
)
def create(
    *,
    project: Project = access.INSTALLATION,
    name: Annotated[str, typer.Option(help="What the key is for, to be recognised by.")] = "cli",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key may do; may be repeated. Without it: jobs:read and jobs:write."),
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=MAX_DAYS, help="Days until it expires; without it, never.")
    ] = None,
) -> None:
    """Create a key and print it, only this once.

    It is alone on standard output, so that a script can take it. In the database is no more than its hash.
    """
    settings = load()
    url = database_url(settings)
    pepper = key_secret.load_pepper(settings.key_pepper_file, settings.data_dir)
    scopes = scope or DEFAULT_SCOPES
    expires_at = None if expires_in_days is None else datetime.now(UTC) + timedelta(days=expires_in_days)
    with transaction(url) as connection:
        key = add_key(
            connection,
            project_id(connection, project),
            pepper,
            name=name,
            scopes=scopes,
            expires_at=expires_at,
        )
    until = f"until {expires_at:%Y-%m-%d}" if expires_at else "for ever"
    say(f"key `{name}` of project `{project}`: {', '.join(scopes)}, {until}; it is not shown again")
    print(key)


@app.command("list", epilog=ends("patchmill keys list", "patchmill keys list --json"))
def list_keys(
    *,
    project: Project = access.INSTALLATION,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the keys of a project, newest first.

    The keys themselves are not kept anywhere.
    """
    with transaction(database_url(load())) as connection:
        rows = access.list_keys(connection, project_id(connection, project))
    if as_json:
        print(json.dumps([_document(row) for row in rows], indent=2))
        return
    for row in rows:
        scopes = ",".join(row.scopes)
        print(
            f"{key_secret.PREFIX}{row.public_id}  {_state(row):<7}  {scopes:<20}  {row.created_at:%Y-%m-%d}  "
            f"{shown(row.name)}"
        )
    if not rows:
        say(f"project `{project}` has no keys; `patchmill keys create` makes one")


@app.command(epilog=ends("patchmill keys revoke pm_1a2b3c4d"))
def revoke(
    prefix: Annotated[
        str, typer.Argument(metavar="KEY", help="The key's beginning, such as pm_1a2b3c4d, or the whole key.")
    ],
) -> None:
    """Revoke a key: from now on nobody can use it."""
    public_id = prefix.removeprefix(key_secret.PREFIX)[: key_secret.PUBLIC_LENGTH]
    with transaction(database_url(load())) as connection:
        row = access.find_key(connection, public_id)
        if row is None:
            raise ConfigurationError(
                f"there is no key {key_secret.PREFIX}{public_id}; `patchmill keys list` lists them"
            )
        revoked = access.revoke_key(connection, public_id)
    name = f"{key_secret.PREFIX}{public_id} (`{row.name}`)"
    say(f"{name} is revoked" if revoked else f"{name} was revoked already")


def _state(row: access.KeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= datetime.now(UTC) else "valid"


def _document(row: access.KeyRow) -> dict[str, Any]:
    return {
        "id": to_edge("key", row.id),
        "name": row.name,
        "project": to_edge("prj", row.project_id),
        "prefix": f"{key_secret.PREFIX}{row.public_id}",
        "scopes": list(row.scopes),
        "expires_at": _written(row.expires_at),
        "last_used_at": _written(row.last_used_at),
        "revoked_at": _written(row.revoked_at),
    }


def _written(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
