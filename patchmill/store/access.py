"""Projects and keys: who may submit, and on whose account."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.store.ids import new_id
from patchmill.store.tables import keys, projects

# The project that every installation begins with; its keys may do what concerns the whole of it.
INSTALLATION = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A stored key; the secret itself is not kept."""

    id: uuid.UUID
    project_id: uuid.UUID
    name: str
    public_id: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


def ensure_project(connection: Connection, name: str) -> uuid.UUID:
    """Give the project of this name, made if it is not there."""
    connection.execute(upsert(projects).values(id=new_id(), name=name).on_conflict_do_nothing())
    found: uuid.UUID = connection.scalars(select(projects.c.id).where(projects.c.name == name)).one()
    return found


def find_project(connection: Connection, name: str) -> uuid.UUID | None:
    """Give the project of this name, or None."""
    return connection.scalars(select(projects.c.id).where(projects.c.name == name)).one_or_none()


def speaks_for_installation(connection: Connection, project_id: uuid.UUID) -> bool:
    """Say whether a project is the installation's own, the one that it began with."""
    return find_project(connection, INSTALLATION) == project_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow:
    """A project; `policy` is what it has set of its ladder, then come its share (`job/turns.py`) and its age.

    `retention_days` is how long what has ended is kept: None takes the installation's number, 0 is for ever.
    """

    id: uuid.UUID
    name: str
    policy: dict[str, Any]
    weight: int
    max_in_flight: int | None
    tokens_per_minute: int | None
    retention_days: int | None
    created_at: datetime


_PROJECTS = select(*(projects.c[field.name] for field in fields(ProjectRow)))


def list_projects(connection: Connection) -> list[ProjectRow]:
    """Give every project, by name."""
    rows = connection.execute(_PROJECTS.order_by(projects.c.name)).mappings()
    return [ProjectRow(**row) for row in rows]


def project(connection: Connection, project_id: uuid.UUID) -> ProjectRow:
    """Give a project that is known to be there."""
    row = connection.execute(_PROJECTS.where(projects.c.id == project_id)).mappings().one()
    return ProjectRow(**row)


def change_policy(connection: Connection, project_id: uuid.UUID, changes: Mapping[str, Any]) -> None:
    """Set fields of a project's ladder; None takes one back to the installation's."""
    locked = select(projects.c.policy).where(projects.c.id == project_id).with_for_update()
    policy = {**connection.scalars(locked).one(), **changes}
    kept = {name: value for name, value in policy.items() if value is not None}
    connection.execute(update(projects).where(projects.c.id == project_id).values(policy=kept))


def change_share(connection: Connection, project_id: uuid.UUID, changes: Mapping[str, int | None]) -> None:
    """Set numbers of a project's share; None takes one back to what it is without."""
    default = {"weight": 1}
    values = {name: default.get(name) if value is None else value for name, value in changes.items()}
    connection.execute(update(projects).where(projects.c.id == project_id).values(values))


def change_retention(connection: Connection, project_id: uuid.UUID, days: int | None) -> None:
    """Set how many days a project keeps what has ended: 0 is for ever, None the installation's number."""
    connection.execute(update(projects).where(projects.c.id == project_id).values(retention_days=days))


def add_key(
    connection: Connection,
    *,
    project_id: uuid.UUID,
    name: str,
    public_id: str,
    secret_hash: bytes,
    scopes: Sequence[str],
    expires_at: datetime | None,
) -> uuid.UUID:
    """Store a new key."""
    key_id = new_id()
    connection.execute(
        insert(keys).values(
            id=key_id,
            project_id=project_id,
            name=name,
            public_id=public_id,
            secret_hash=secret_hash,
            scopes=list(scopes),
            expires_at=expires_at,
        )
    )
    return key_id


_FIND_KEY = select(keys).where(keys.c.public_id == bindparam("public_id"))


def find_key(connection: Connection, public_id: str) -> KeyRow | None:
    """Give the key with this public id, whether or not it may still be used."""
    row = connection.execute(_FIND_KEY, {"public_id": public_id}).mappings().one_or_none()
    return None if row is None else _key(dict(row))


def project_key(connection: Connection, project_id: uuid.UUID, key_id: uuid.UUID) -> KeyRow | None:
    """Give one of a project's keys, or None."""
    statement = select(keys).where(keys.c.id == key_id, keys.c.project_id == project_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _key(dict(row))


def list_keys(connection: Connection, project_id: uuid.UUID) -> list[KeyRow]:
    """Give a project's keys, newest first."""
    rows = connection.execute(
        select(keys).where(keys.c.project_id == project_id).order_by(keys.c.id.desc())
    ).mappings()
    return [_key(dict(row)) for row in rows]


def touch_key(connection: Connection, key_id: uuid.UUID) -> None:
    """Remember that a key was used, to the minute."""
    connection.execute(
        update(keys)
        .where(
            keys.c.id == key_id,
            (keys.c.last_used_at.is_(None))
            | (keys.c.last_used_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 1)),
        )
        .values(last_used_at=func.now())
    )


def revoke_key(connection: Connection, public_id: str) -> bool:
    """Revoke a key; say whether there was one to revoke."""
    statement = (
        update(keys)
        .where(keys.c.public_id == public_id, keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return connection.execute(statement).rowcount > 0


def _key(row: dict[str, object]) -> KeyRow:
    return KeyRow(**{**row, "scopes": tuple(row["scopes"])})  # type: ignore[arg-type]  # a row has the table's columns
