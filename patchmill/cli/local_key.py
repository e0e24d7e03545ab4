"""How this machine's own commands reach the service: its key and its address, kept in the data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from patchmill.cli.local_settings import DATABASE_FILE, STAND_IN_FILE
from patchmill.cli.new_key import Scope, add_key, project_id
from patchmill.client.server import KEY_FILE, URL_FILE
from patchmill.store import access, key_secret

FILE = KEY_FILE


def ensure_local_key(connection: Connection, *, data_dir: Path, pepper: bytes) -> str:
    """Give the key in the data folder; a new one when there is none that this database accepts."""
    file = data_dir / FILE
    kept = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    if kept and _accepted(connection, kept, pepper):
        return kept
    key = add_key(
        connection,
        project_id(connection, access.INSTALLATION),
        pepper,
        name="local",
        scopes=[Scope.ADMIN, Scope.JOBS_READ, Scope.JOBS_WRITE],
        expires_at=None,
    )
    write_line(file, key)
    return key


@contextmanager
def announced(url: str, *, database_url: str, stand_in_url: str | None, data_dir: Path) -> Iterator[None]:
    """Let commands find the service, its database and its stand-in while the block runs."""
    lines = {URL_FILE: url, DATABASE_FILE: database_url, STAND_IN_FILE: stand_in_url}
    for name, line in lines.items():
        if line is None:
            (data_dir / name).unlink(missing_ok=True)  # of one that was killed
        else:
            write_line(data_dir / name, line)
    try:
        yield
    finally:
        for name in lines:
            (data_dir / name).unlink(missing_ok=True)


def write_line(file: Path, line: str) -> None:
    """Write a file of one line, at once, for its user alone."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(line + "\n", encoding="utf-8")
    draft.replace(file)


def _accepted(connection: Connection, text: str, pepper: bytes) -> bool:
    secret = key_secret.read(text)
    row = None if secret is None else access.find_key(connection, secret.public_id)
    if secret is None or row is None or row.revoked_at is not None:
        return False
    return key_secret.matches(secret, row.secret_hash, pepper)
