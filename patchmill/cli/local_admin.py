"""The first one who can sign in to the dashboard of this machine, with a password in the data folder."""

from pathlib import Path

from sqlalchemy import Connection

from patchmill.cli.local_key import write_line
from patchmill.store import auditing, password, people

NAME = "admin"
FILE = "admin-password"


def ensure_local_admin(connection: Connection, *, data_dir: Path) -> None:
    """Make the user `admin` when there is no user at all; whoever is there already is left alone."""
    if people.list_users(connection):
        return
    made = password.make()
    if people.add_user(connection, name=NAME, password_hash=password.hashed(made), role="admin"):
        auditing.record(
            connection, actor="host", action="user.create", subject=f"user:{NAME}", details={"role": "admin"}
        )
        write_line(data_dir / FILE, made)
