"""A new key of a project, made in the database."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from patchmill.errors import ConfigurationError
from patchmill.store import access, key_secret


class Scope(StrEnum):
    """What a key may do; `admin` includes the others."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ADMIN = "admin"


def add_key(
    connection: Connection,
    owner: uuid.UUID,
    pepper: bytes,
    *,
    name: str,
    scopes: list[Scope],
    expires_at: datetime | None,
) -> str:
    """Store a new key of the project `owner`; give its text, which is kept nowhere."""
    secret = key_secret.make()
    access.add_key(
        connection,
        project_id=owner,
        name=name,
        public_id=secret.public_id,
        secret_hash=key_secret.digest(secret, pepper),
        scopes=[scope.value for scope in scopes],
        expires_at=expires_at,
    )
    return secret.text()


def project_id(connection: Connection, name: str) -> uuid.UUID:
    """Give a project's id.

    Raises:
        ConfigurationError: there is no such project.
    """
    found = access.find_project(connection, name)
    if found is None:
        maker = "migrate" if name == access.INSTALLATION else "projects create"
        raise ConfigurationError(f"there is no project `{name}`; `patchmill {maker}` makes it")
    return found
