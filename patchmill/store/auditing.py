"""The record of what people and keys did that is more than reading or submitting."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from patchmill.store.tables import audit

_ADD = insert(audit)


def record(
    connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Write down who did what to which thing, in the transaction that does it.

    The actor is `user:NAME`, `key_…`, or `host` for the command line there; the action is `noun.verb`; the
    subject is an id as users see it.
    """
    connection.execute(_ADD, {"actor": actor, "action": action, "subject": subject, "details": dict(details)})
