"""Who may do what, and who did."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from patchmill.store.tables.base import at, json, metadata, now, one_of

projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("policy", JSONB, nullable=False, server_default=text("'{}'")),  # what it set of the ladder
    # Its share of what is in flight, see `job/turns.py`.
    Column("weight", Integer, nullable=False, server_default=text("1")),
    Column("max_in_flight", Integer),
    Column("tokens_per_minute", BigInteger),
    # How long what has ended is kept: none takes the installation's number, 0 is for ever.
    Column("retention_days", Integer),
    now("created_at"),
    CheckConstraint("weight BETWEEN 1 AND 100", name="weight"),
    CheckConstraint("max_in_flight >= 1 AND tokens_per_minute >= 1", name="own_limits"),
    CheckConstraint("retention_days >= 0", name="retention"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("public_id", Text, nullable=False, unique=True),
    Column("secret_hash", LargeBinary, nullable=False),  # HMAC-SHA256 under the installation's pepper
    Column("scopes", ARRAY(Text), nullable=False),
    at("expires_at"),
    at("last_used_at"),
    at("revoked_at"),
    now("created_at"),
)

users = Table(  # people who sign in to the dashboard; they see every project
    "users",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),  # argon2id
    Column("role", Text, nullable=False),
    now("created_at"),
    at("disabled_at"),
    one_of("role", "viewer admin"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # sha256 of the cookie's random value
    Column("user_id", Uuid, ForeignKey("users.id"), nullable=False),
    now("created_at"),
    now("seen_at"),
    at("expires_at", nullable=False),
    Index("ix_sessions_expiry", "expires_at"),
)

audit = Table(  # what people and keys did that is more than reading or submitting
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    now("at"),
    Column("actor", Text, nullable=False),  # `user:NAME`, `key_…`, or `host` for the command line there
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    json("details"),
    Index("ix_audit_subject", "subject", "id"),
)
