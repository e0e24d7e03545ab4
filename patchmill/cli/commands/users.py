"""`patchmill users`: people who sign in to the dashboard, made and disabled in the database."""

import json
import re
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from patchmill.cli.database import database_url, transaction
from patchmill.cli.exits import ends
from patchmill.cli.listing import Subcommands
from patchmill.cli.talk import say
from patchmill.errors import ConfigurationError
from patchmill.instants import rfc3339
from patchmill.settings import load
from patchmill.store import auditing, password, people
from patchmill.store.people import UserRow

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

app = typer.Typer(
    cls=Subcommands,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Create, list, disable and enable people who sign in to the dashboard. "
    "Needs PATCHMILL_DATABASE_URL, or a running `patchmill up` with the same PATCHMILL_DATA_DIR.",
    epilog=ends("patchmill users create ann --role viewer", "patchmill users list"),
)


class Role(StrEnum):
    """What a person may do there."""

    VIEWER = "viewer"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that is signed in with.")]
FromStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input instead of making one."),
]


@app.command(
    epilog=ends(
        "patchmill users create ann --role viewer",
        "pass show patchmill | patchmill users create ann --role admin --password-stdin",
    )
)
def create(
    name: Name,
    *,
    role: Annotated[
        Role, typer.Option(help="A viewer changes nothing and sees no prompts; an admin does both.")
    ] = Role.VIEWER,
    password_stdin: FromStdin = False,
) -> None:
    """Create a user, and print the password that was made, only this once.

    It is alone on standard output, so that a script can take it. In the database is no more than its hash.
    """
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            "a name has 1 to 64 letters, digits, dots, hyphens, underscores and @, "
            "and begins with a letter or a digit"
        )
    given = _given_password() if password_stdin else password.make()
    with transaction(database_url(load())) as connection:
        if not people.add_user(connection, name=name, password_hash=password.hashed(given), role=role):
            raise ConfigurationError(
                f"there is a user `{name}` already; `patchmill users password {name}` gives another password"
            )
        _record(connection, "user.create", name, role=role.value)
    if password_stdin:
        say(f"user `{name}` ({role})")
    else:
        say(f"user `{name}` ({role}); the password is not shown again")
        print(given)


@app.command("list", epilog=ends("patchmill users list", "patchmill users list --json"))
def list_users(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List every user by name."""
    with transaction(database_url(load())) as connection:
        rows = people.list_users(connection)
    if as_json:
        print(json.dumps([_document(row) for row in rows], indent=2))
        return
    for row in rows:
        state = "enabled" if row.disabled_at is None else "disabled"
        print(f"{row.name:<20}  {row.role:<6}  {state:<8}  {row.created_at:%Y-%m-%d}")
    if not rows:
        say("there are no users; `patchmill users create` makes one")


@app.command(epilog=ends("patchmill users disable ann"))
def disable(name: Name) -> None:
    """Disable a user: nobody can sign in under that name, and whoever did is signed out."""
    with transaction(database_url(load())) as connection:
        row = _user(connection, name)
        disabled = people.disable(connection, row.id)
        _record(connection, "user.disable", name)
    say(f"user `{name}` is disabled" if disabled else f"user `{name}` was disabled already")


@app.command(epilog=ends("patchmill users enable ann"))
def enable(name: Name) -> None:
    """Let a disabled user sign in again, with the password as it was."""
    with transaction(database_url(load())) as connection:
        row = _user(connection, name)
        enabled = people.enable(connection, row.id)
        _record(connection, "user.enable", name)
    say(f"user `{name}` is enabled" if enabled else f"user `{name}` was enabled already")


@app.command(
    "password",
    epilog=ends(
        "patchmill users password ann", "pass show ann | patchmill users password ann --password-stdin"
    ),
)
def change_password(name: Name, *, password_stdin: FromStdin = False) -> None:
    """Give a user another password and print it; whoever is signed in under that name is signed out."""
    given = _given_password() if password_stdin else password.make()
    with transaction(database_url(load())) as connection:
        row = _user(connection, name)
        people.set_password(connection, row.id, password.hashed(given))
        _record(connection, "user.password", name)
    if password_stdin:
        say(f"user `{name}` has another password")
    else:
        say(f"user `{name}` has another password; it is not shown again")
        print(given)


def _given_password() -> str:
    """Read one line, and no more of it than a password may have."""
    given = sys.stdin.readline(password.MAX_LENGTH + 2).rstrip("\r\n")
    if not password.MIN_LENGTH <= len(given) <= password.MAX_LENGTH:
        raise ConfigurationError(
            f"a password has {password.MIN_LENGTH} to {password.MAX_LENGTH} characters; "
            "send it as one line on standard input"
        )
    return given


def _user(connection: Connection, name: str) -> UserRow:
    row = people.user_named(connection, name)
    if row is None:
        raise ConfigurationError(f"there is no user `{name}`; `patchmill users list` lists them")
    return row


def _record(connection: Connection, action: str, name: str, **details: Any) -> None:
    auditing.record(connection, actor="host", action=action, subject=f"user:{name}", details=details)


def _document(row: UserRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": row.role,
        "created_at": rfc3339(row.created_at),
        "disabled_at": None if row.disabled_at is None else rfc3339(row.disabled_at),
    }
