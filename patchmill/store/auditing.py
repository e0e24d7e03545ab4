"""The record of what people and keys did that is more than reading or submitting."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update

from patchmill.store.tables import audit

_ADD = insert(audit).returning(audit.c.id)
_AMEND = update(audit).where(audit.c.id == bindparam("entry")).values(details=bindparam("known"))


def record(
    connection: Connection, *, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> int:
    """Write down who did what to which thing, in the transaction that does it.

    The actor is `user:NAME`, `key_…`, or `host` for the command line there; the action is `noun.verb`; the
    subject is an id as users see it. Gives the number of the entry.
    """
    values = {"actor": actor, "action": action, "subject": subject, "details": dict(details)}
    entry: int = connection.scalars(_ADD, values).one()
    return entry


def amend(connection: Connection, entry: int, details: Mapping[str, Any]) -> None:
    """Bring an entry up to date about what takes several transactions, in each of them."""
    connection.execute(_AMEND, {"entry": entry, "known": dict(details)})
