"""Keys: who calls, for which project, and what the key may do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.database import Connection
from api.parts import Parts, PartsOf
from patchmill.errors import Forbidden, Unauthenticated
from patchmill.store import access, key_secret, shared_time

_NO_SUCH_KEY = bytes(32)  # compared with when there is no key, so that the time tells nothing
_USE_IS_NEWS_AFTER = timedelta(minutes=1)


class Scope(StrEnum):
    """What a key may do; `admin` includes the others."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The key that came with a request, and its project."""

    project_id: UUID
    key_id: UUID


_Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(auto_error=False, description="A key, as `pm_…`")),
]


def _needing(scope: Scope) -> Callable[..., Caller]:
    def authenticate(request: Request, bearer: _Bearer, parts: PartsOf) -> Caller:
        if bearer is None:
            raise Unauthenticated("send a key as `Authorization: Bearer pm_…`")
        key = _key_of(bearer.credentials, parts)
        if scope not in key.scopes and Scope.ADMIN not in key.scopes:
            raise Forbidden(f"this needs a key with the scope {scope}; this one has {', '.join(key.scopes)}")
        request.state.key_id = key.id
        return Caller(project_id=key.project_id, key_id=key.id)

    return authenticate


Reader = Annotated[Caller, Depends(_needing(Scope.JOBS_READ))]
Writer = Annotated[Caller, Depends(_needing(Scope.JOBS_WRITE))]
Admin = Annotated[Caller, Depends(_needing(Scope.ADMIN))]


def _operating(caller: Admin, parts: PartsOf) -> Caller:
    with parts.database.begin() as connection:
        refuse_for_installation(connection, caller)
    return caller


def refuse_for_installation(connection: Connection, caller: Caller) -> None:
    """Refuse what concerns every project to the keys of all but the installation's own.

    Raises:
        Forbidden: the key is of another project.
    """
    if not access.speaks_for_installation(connection, caller.project_id):
        raise Forbidden(
            "this concerns the whole installation: it needs an admin key of the project "
            f"`{access.INSTALLATION}`, or the command line on the host"
        )


Operator = Annotated[Caller, Depends(_operating)]


def _key_of(text: str, parts: Parts) -> access.KeyRow:
    secret = key_secret.read(text.strip())
    if secret is None:
        raise Unauthenticated("this is not a key of Patchmill, or it is mistyped")
    now = shared_time.now()
    with parts.database.begin() as connection:
        key = access.find_key(connection, secret.public_id)
        stored = _NO_SUCH_KEY if key is None else key.secret_hash
        if not key_secret.matches(secret, stored, parts.pepper) or key is None:
            raise Unauthenticated("there is no such key")
        if key.revoked_at is not None:
            raise Unauthenticated("this key is revoked")
        if key.expires_at is not None and key.expires_at <= now:
            raise Unauthenticated("this key has expired")
        # In a transaction of its own: requests with one key do not queue for its row.
        if key.last_used_at is None or key.last_used_at < now - _USE_IS_NEWS_AFTER:
            access.touch_key(connection, key.id)
    return key
