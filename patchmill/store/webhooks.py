"""Webhooks of a project: where its news goes, and what became of each message.

Locks are taken in the order project, webhook, deliveries.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.sql.elements import KeyedColumnElement

from patchmill.store.ids import first_id, new_id
from patchmill.store.tables import deliveries, projects, webhooks

MAX_REPLAYED = 1_000  # by one request
MAX_GIVEN_UP = 10_000  # at once

_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRow:
    """A stored webhook; its secrets are derived from its id and `secret_no`."""

    id: uuid.UUID
    project_id: uuid.UUID
    url: str
    events: tuple[str, ...]
    enabled: bool
    secret_no: int
    rotated_at: datetime | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """One message on its way to one webhook; `attempts` are as its document shows them."""

    id: uuid.UUID
    webhook_id: uuid.UUID
    message_id: uuid.UUID
    type: str
    state: str
    attempts: tuple[Mapping[str, Any], ...]
    next_attempt_at: datetime | None


_SHOWN = [webhooks.c[name] for name in WebhookRow.__slots__]
_DELIVERY = [deliveries.c[name] for name in DeliveryRow.__slots__]
_LIVE = webhooks.c.deleted_at.is_(None)


def add(
    connection: Connection,
    project_id: uuid.UUID,
    *,
    url: str,
    events: Sequence[str],
    enabled: bool,
    at_most: int,
) -> WebhookRow | None:
    """Store a new webhook; None when the project has `at_most` already."""
    # The lock makes those who add at once count each other's.
    connection.execute(
        select(projects.c.id).where(projects.c.id == project_id).with_for_update(key_share=True)
    )
    there = connection.scalar(
        select(func.count()).select_from(webhooks).where(webhooks.c.project_id == project_id, _LIVE)
    )
    if (there or 0) >= at_most:
        return None
    values = {"id": new_id(), "project_id": project_id, "url": url, "events": list(events)}
    row = connection.execute(insert(webhooks).values(**values, enabled=enabled).returning(*_SHOWN))
    return _webhook(row.mappings().one())


def find_many(
    connection: Connection, project_id: uuid.UUID, *, before: uuid.UUID | None, limit: int
) -> list[WebhookRow]:
    """Give a project's webhooks, newest first."""
    statement = select(*_SHOWN).where(webhooks.c.project_id == project_id, _LIVE)
    rows = connection.execute(_page(statement, webhooks.c.id, before, limit)).mappings()
    return [_webhook(row) for row in rows]


def find(
    connection: Connection, project_id: uuid.UUID, webhook_id: uuid.UUID, *, locked: bool = False
) -> WebhookRow | None:
    """Give one of a project's webhooks, held for a change if `locked`; None when there is no such one."""
    statement = select(*_SHOWN).where(webhooks.c.id == webhook_id, webhooks.c.project_id == project_id, _LIVE)
    if locked:
        statement = statement.with_for_update(key_share=True)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _webhook(row)


def change(
    connection: Connection,
    webhook: WebhookRow,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> WebhookRow:
    """Change what is given. A new URL, and being enabled, begins without a history of failures.

    A webhook that is disabled ends its pending deliveries as failed: they can be replayed.
    """
    values: dict[str, Any] = {}
    if url is not None:
        values |= {"url": url, "failing_since": None}
    if events is not None:
        values["events"] = list(events)
    if enabled is not None and enabled is not webhook.enabled:
        values |= {"enabled": enabled} | ({"failing_since": None} if enabled else {})
    if not values:
        return webhook
    changed = _update(connection, webhook.id, **values)
    if not changed.enabled:
        give_up(connection, webhook.id)
    return changed


def rotate(connection: Connection, webhook: WebhookRow) -> WebhookRow:
    """Begin with the next secret; the one before it is on its way out from now on."""
    return _update(
        connection, webhook.id, secret_no=webhooks.c.secret_no + 1, rotated_at=func.clock_timestamp()
    )


def delete(connection: Connection, webhook: WebhookRow) -> None:
    """Delete a webhook for its project; the rows stay, and what was on its way is given up."""
    _update(connection, webhook.id, enabled=False, deleted_at=func.now())
    give_up(connection, webhook.id)


_ON_THEIR_WAY = (
    select(deliveries.c.id)
    .where(deliveries.c.webhook_id == bindparam("given_webhook"), deliveries.c.state == "pending")
    .limit(MAX_GIVEN_UP)
)
_GIVE_UP = (
    update(deliveries)
    .where(deliveries.c.id.in_(_ON_THEIR_WAY), deliveries.c.state == "pending")
    .values(state="failed", next_attempt_at=None, ended_at=func.now())
)


def give_up(connection: Connection, webhook_id: uuid.UUID) -> None:
    """End what is on its way to a webhook as failed, as much as fits into a short transaction.

    The rest stays, and is not sent while the webhook is disabled.
    """
    connection.execute(_GIVE_UP, {"given_webhook": webhook_id})


def find_deliveries(
    connection: Connection,
    webhook_id: uuid.UUID,
    *,
    state: str | None,
    before: uuid.UUID | None,
    limit: int,
) -> list[DeliveryRow]:
    """Give a webhook's deliveries, newest first."""
    statement = select(*_DELIVERY).where(deliveries.c.webhook_id == webhook_id)
    if state is not None:
        statement = statement.where(deliveries.c.state == state)
    rows = connection.execute(_page(statement, deliveries.c.id, before, limit)).mappings()
    return [_delivery(row) for row in rows]


def find_delivery(
    connection: Connection, webhook_id: uuid.UUID, delivery_id: uuid.UUID
) -> DeliveryRow | None:
    """Give one of a webhook's deliveries, or None."""
    statement = select(*_DELIVERY).where(
        deliveries.c.id == delivery_id, deliveries.c.webhook_id == webhook_id
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _delivery(row)


def send(connection: Connection, webhook_id: uuid.UUID, kind: str, data: Mapping[str, Any]) -> DeliveryRow:
    """Put out one message for one webhook, by hand."""
    values = {
        "id": new_id(),
        "webhook_id": webhook_id,
        "message_id": new_id(),
        "type": kind,
        "data": dict(data),
        "attempts": [],
        "by_hand": True,
    }
    row = connection.execute(
        insert(deliveries).values(**values, next_attempt_at=func.now()).returning(*_DELIVERY)
    )
    return _delivery(row.mappings().one())


def replay(connection: Connection, delivery_id: uuid.UUID) -> DeliveryRow:
    """Put a delivery's message out once more: the same message, byte for byte."""
    return _replay(connection, [delivery_id])[0]


def replay_failed(connection: Connection, webhook_id: uuid.UUID, since: datetime) -> int:
    """Put out once more what failed since a time, the oldest first; say how many, at most `MAX_REPLAYED`.

    What was replayed already is left out; its replay is not, once it has failed too.
    """
    failed = (
        select(deliveries.c.id)
        .where(
            deliveries.c.webhook_id == webhook_id,
            # Ids tell the time too, by other clocks, and have an index.
            deliveries.c.id >= first_id(max(since, _LONG_AGO) - timedelta(hours=1)),
            deliveries.c.state == "failed",
            ~deliveries.c.replayed,
            deliveries.c.created_at >= since,
        )
        .order_by(deliveries.c.id)
        .limit(MAX_REPLAYED)
    )
    return len(_replay(connection, connection.scalars(failed).all()))


_NOTE_REPLAYED = (
    update(deliveries)
    .where(deliveries.c.id == any_(bindparam("these", type_=ARRAY(Uuid))))
    .values(replayed=True)
    .returning(deliveries)
)
_REPLAY = insert(deliveries).values(next_attempt_at=func.now()).returning(*_DELIVERY)


def _replay(connection: Connection, chosen: Sequence[uuid.UUID]) -> list[DeliveryRow]:
    originals = connection.execute(_NOTE_REPLAYED, {"these": list(chosen)}).all()
    rows = [
        {
            "id": new_id(),
            "webhook_id": original.webhook_id,
            "message_id": original.message_id,
            "type": original.type,
            "data": original.data,
            "attempts": [],
            "by_hand": True,
            "created_at": original.created_at,
        }
        for original in originals
    ]
    return [_delivery(row) for row in connection.execute(_REPLAY, rows).mappings()] if rows else []


def _update(connection: Connection, webhook_id: uuid.UUID, **values: Any) -> WebhookRow:
    statement = update(webhooks).where(webhooks.c.id == webhook_id).values(**values)
    return _webhook(connection.execute(statement.returning(*_SHOWN)).mappings().one())


def _page(
    statement: Select[Any], key: KeyedColumnElement[uuid.UUID], before: uuid.UUID | None, limit: int
) -> Select[Any]:
    page: ColumnElement[uuid.UUID] = key
    narrowed = statement if before is None else statement.where(page < before)
    return narrowed.order_by(page.desc()).limit(limit)


def _webhook(row: RowMapping) -> WebhookRow:
    return WebhookRow(**{**row, "events": tuple(row["events"])})


def _delivery(row: RowMapping) -> DeliveryRow:
    return DeliveryRow(**{**row, "attempts": tuple(row["attempts"])})
