"""News for others, written in the transaction that makes it."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from patchmill.store.tables.base import at, json, metadata, now, one_of

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("secret_no", Integer, nullable=False, server_default=text("1")),  # secrets are derived, not stored
    at("rotated_at"),  # since when the secret before this one is on its way out
    at("failing_since"),
    now("created_at"),
    at("deleted_at"),
    Index("ix_webhooks_project", "project_id", postgresql_where=text("deleted_at IS NULL")),
)

deliveries = Table(  # the outbox: written in the transaction that makes the news
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, ForeignKey("webhooks.id"), nullable=False),
    Column("message_id", Uuid, nullable=False),  # the same for a replay
    Column("type", Text, nullable=False),
    json("data"),
    Column("state", Text, nullable=False, server_default="pending"),
    json("attempts"),  # [{at, status, latency_ms, error}]
    now("created_at"),  # the message's own time
    at("next_attempt_at"),
    at("ended_at"),
    # A test or a replay, which says nothing of the endpoint's health.
    Column("by_hand", Boolean, nullable=False, server_default=text("false")),
    Column("replayed", Boolean, nullable=False, server_default=text("false")),  # the message went out again
    one_of("state", "pending delivered failed"),
    CheckConstraint("(state = 'pending') = (next_attempt_at IS NOT NULL)", name="due_iff_pending"),
    Index("ix_deliveries_due", "webhook_id", "next_attempt_at", postgresql_where=text("state = 'pending'")),
    Index("ix_deliveries_webhook", "webhook_id", "id"),
)
