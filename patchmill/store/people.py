"""People who sign in to the dashboard, and their sessions."""

import uuid
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from patchmill.store.ids import new_id
from patchmill.store.tables import sessions, users

IDLE = timedelta(hours=12)  # a session that nobody used for so long is over
LIFETIME = timedelta(days=7)  # and so is every one after that
_USE_IS_NEWS_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """Somebody who may sign in, unless disabled."""

    id: uuid.UUID
    name: str
    password_hash: str
    role: str
    created_at: datetime
    disabled_at: datetime | None


_USERS = select(*(users.c[field.name] for field in fields(UserRow)))
_NAMED = _USERS.where(users.c.name == bindparam("name"))


def add_user(connection: Connection, *, name: str, password_hash: str, role: str) -> bool:
    """Store a new user; False when there is one of this name already."""
    values = {"id": new_id(), "name": name, "password_hash": password_hash, "role": role}
    added = upsert(users).values(values).on_conflict_do_nothing().returning(users.c.id)
    return connection.execute(added).one_or_none() is not None


def user_named(connection: Connection, name: str) -> UserRow | None:
    """Give the user of this name, disabled or not."""
    row = connection.execute(_NAMED, {"name": name}).mappings().one_or_none()
    return None if row is None else UserRow(**row)


def list_users(connection: Connection) -> list[UserRow]:
    """Give every user, by name."""
    return [UserRow(**row) for row in connection.execute(_USERS.order_by(users.c.name)).mappings()]


def set_password(connection: Connection, user_id: uuid.UUID, password_hash: str) -> None:
    """Give a user another password; whoever is signed in under that name is signed out."""
    connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
    connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


def disable(connection: Connection, user_id: uuid.UUID) -> bool:
    """Let a user sign in no more, and end the sessions; says whether the user could until now."""
    disabled = connection.execute(
        update(users)
        .where(users.c.id == user_id, users.c.disabled_at.is_(None))
        .values(disabled_at=func.now())
    )
    connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
    return disabled.rowcount > 0


def enable(connection: Connection, user_id: uuid.UUID) -> bool:
    """Let a disabled user sign in again, with the password as it was; says whether the user could not."""
    enabled = connection.execute(
        update(users).where(users.c.id == user_id, users.c.disabled_at.is_not(None)).values(disabled_at=None)
    )
    return enabled.rowcount > 0


def _over() -> ColumnElement[bool]:
    return or_(sessions.c.expires_at <= func.now(), sessions.c.seen_at <= func.now() - IDLE)


_SESSION_OF = _USERS.join(sessions, sessions.c.user_id == users.c.id).where(
    sessions.c.token_hash == bindparam("token_hash"), users.c.disabled_at.is_(None), ~_over()
)
_TOUCH = (
    update(sessions)
    .where(
        sessions.c.token_hash == bindparam("of_token_hash"),
        sessions.c.seen_at < func.now() - _USE_IS_NEWS_AFTER,
    )
    .values(seen_at=func.now())
)
_OPEN = insert(sessions).values(expires_at=func.now() + bindparam("lifetime", type_=Interval))


def open_session(connection: Connection, user_id: uuid.UUID, token_hash: bytes) -> None:
    """Remember that somebody signed in; sessions that are over are forgotten on the way."""
    connection.execute(delete(sessions).where(_over()))
    opened = {"token_hash": token_hash, "user_id": user_id, "lifetime": LIFETIME}
    connection.execute(_OPEN, opened)


def session_user(connection: Connection, token_hash: bytes, *, used: bool) -> UserRow | None:
    """Give who is signed in with this token, or None; `used` says that a person did something with it."""
    row = connection.execute(_SESSION_OF, {"token_hash": token_hash}).mappings().one_or_none()
    if row is None:
        return None
    if used:
        connection.execute(_TOUCH, {"of_token_hash": token_hash})
    return UserRow(**row)


def close_session(connection: Connection, token_hash: bytes) -> None:
    """Forget a session."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))
