"""News for webhooks, written in the transaction that makes it: what commits is told, what does not is not."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Connection, Row, RowMapping, Uuid, any_, bindparam, func, insert, select

from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import deliveries, webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One message: its type as webhooks subscribe to it, and its data."""

    project_id: uuid.UUID
    type: str
    data: Mapping[str, Any]


_LISTENING = select(webhooks.c.id, webhooks.c.project_id, webhooks.c.events).where(
    webhooks.c.project_id == any_(bindparam("project_ids", type_=ARRAY(Uuid))),
    webhooks.c.enabled,
    webhooks.c.deleted_at.is_(None),
)
_ADD = insert(deliveries).values(next_attempt_at=func.now())


def tell(connection: Connection, news: Sequence[News]) -> None:
    """Put each message out for every webhook of its project that wants its type."""
    if not news:
        return
    listening = connection.execute(_LISTENING, {"project_ids": list({one.project_id for one in news})}).all()
    rows = [
        {
            "id": new_id(),
            "webhook_id": webhook.id,
            "message_id": new_id(),
            "type": one.type,
            "data": dict(one.data),
            "attempts": [],
        }
        for one in news
        for webhook in listening
        if webhook.project_id == one.project_id and one.type in webhook.events
    ]
    if rows:
        connection.execute(_ADD, rows)


def tell_of_jobs(connection: Connection, ended: Iterable[RowMapping]) -> None:
    """Tell that jobs ended; each is a row of `jobs` as it is now."""
    tell(
        connection,
        [News(project_id=row["project_id"], type=f"job.{row['state']}", data=_of_job(row)) for row in ended],
    )


def tell_of_run(connection: Connection, row: Row[Any], *, state: str, outcome: str | None) -> None:
    """Tell that a run ended."""
    identity = to_edge("run", row.id)
    data = {
        "id": identity,
        "kind": row.kind,
        "state": state,
        "outcome": outcome,
        "origin": dict(row.origin),
        "url": f"/v1/runs/{identity}",
    }
    tell(connection, [News(project_id=row.project_id, type="run.finished", data=data)])


def _of_job(row: RowMapping) -> dict[str, Any]:
    identity = to_edge("job", row["id"])
    return {
        "id": identity,
        "run": None if row["run_id"] is None else to_edge("run", row["run_id"]),
        "kind": row["kind"],
        "state": row["state"],
        "outcome": row["outcome"],
        "origin": dict(row["origin"]),
        "url": f"/v1/jobs/{identity}",
    }
