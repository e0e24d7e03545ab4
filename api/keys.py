"""The keys of a project: make, list, revoke."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from api import examples
from api.answering import json_answer
from api.auth import Admin
from api.bodies import JsonBytes, read_model
from api.openapi import BODY_PROBLEMS, answers, problems, takes
from api.parts import PartsOf
from api.query import refuse_unknown
from api.requests import KeyRequest
from api.schemas import Key, KeyList, NewKey
from patchmill.errors import FieldError, InvalidFields, NotFound
from patchmill.store import access, key_secret, shared_time
from patchmill.store.access import KeyRow
from patchmill.store.ids import from_edge, to_edge

router = APIRouter(prefix="/v1/keys", tags=["keys"], dependencies=[Depends(refuse_unknown())])


@router.post(
    "",
    summary="Make a key",
    status_code=HTTPStatus.CREATED,
    openapi_extra=takes(KeyRequest, examples.KEY_REQUESTS),
    responses={
        **answers(HTTPStatus.CREATED, NewKey, examples.NEW_KEY, "The key, with its secret for this once."),
        **problems(*BODY_PROBLEMS),
    },
)
def create_key(caller: Admin, body: JsonBytes, parts: PartsOf) -> Response:
    """Make a key for the caller's project; the secret is shown in this answer and never again."""
    asked = read_model(body, KeyRequest)
    if asked.expires_at is not None and asked.expires_at <= shared_time.now():
        raise InvalidFields([FieldError("/expires_at", "out_of_range", "must be in the future")])
    secret = key_secret.make()
    with parts.database.begin() as connection:
        key_id = access.add_key(
            connection,
            project_id=caller.project_id,
            name=asked.name,
            public_id=secret.public_id,
            secret_hash=key_secret.digest(secret, parts.pepper),
            scopes=sorted(set(asked.scopes)),
            expires_at=asked.expires_at,
        )
        row = access.project_key(connection, caller.project_id, key_id)
    if row is None:
        raise NotFound("the key was removed in this moment")
    return json_answer(NewKey(**_fields(row), secret=secret.text()), HTTPStatus.CREATED)


@router.get(
    "",
    summary="List keys",
    responses={
        **answers(HTTPStatus.OK, KeyList, examples.KEY_LIST, "The keys of the project, newest first."),
        **problems(InvalidFields),
    },
)
def list_keys(caller: Admin, parts: PartsOf) -> Response:
    """List the project's keys, revoked ones too, without their secrets."""
    with parts.database.begin() as connection:
        rows = access.list_keys(connection, caller.project_id)
    return json_answer(KeyList(data=[Key(**_fields(row)) for row in rows], next_cursor=None))


@router.post(
    "/{key_id}/revoke",
    summary="Revoke a key",
    responses={
        **answers(HTTPStatus.OK, Key, examples.REVOKED_KEY, "The key; it opens nothing from now on."),
        **problems(NotFound, InvalidFields),
    },
)
def revoke_key(key_id: str, caller: Admin, parts: PartsOf) -> Response:
    """Revoke a key at once; one that is revoked already stays as it is."""
    identity = from_edge("key", key_id)
    with parts.database.begin() as connection:
        row = None if identity is None else access.project_key(connection, caller.project_id, identity)
        if row is None:
            raise NotFound(f"there is no key {key_id[:100]}")
        access.revoke_key(connection, row.public_id)
        row = access.project_key(connection, caller.project_id, row.id) or row
    return json_answer(Key(**_fields(row)))


def _fields(row: KeyRow) -> dict[str, Any]:
    return {
        "id": to_edge("key", row.id),
        "name": row.name,
        "project": to_edge("prj", row.project_id),
        "prefix": f"{key_secret.PREFIX}{row.public_id}",
        "scopes": list(row.scopes),
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }
