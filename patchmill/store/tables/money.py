"""Budgets, their windows, and the one movement of money of each call."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from patchmill.store.tables.base import at, count, json, metadata, now, one_of

budgets = Table(
    "budgets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("project_id", Uuid, ForeignKey("projects.id")),
    Column("key_id", Uuid, ForeignKey("keys.id")),
    Column("window", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("limit_picos", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("at_limit", Text, nullable=False),
    Column("alert_percent", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    now("created_at"),
    at("ended_at"),  # from then on it limits nothing, and its name is free
    one_of("scope", "installation project key"),
    one_of("window", "hour day week month total"),
    one_of("at_limit", "wait fail"),
    CheckConstraint("limit_picos IS NOT NULL OR limit_tokens IS NOT NULL", name="limited"),
    CheckConstraint("limit_picos >= 0 AND limit_tokens >= 0", name="limits"),
    CheckConstraint("(scope = 'project') = (project_id IS NOT NULL)", name="project_scope"),
    CheckConstraint("(scope = 'key') = (key_id IS NOT NULL)", name="key_scope"),
    Index("ix_budgets_scope", "scope", postgresql_where=text("ended_at IS NULL")),
    Index("ix_budgets_project_id", "project_id", postgresql_where=text("ended_at IS NULL")),
    Index("ix_budgets_key_id", "key_id", postgresql_where=text("ended_at IS NULL")),
    Index("uq_budgets_name", "name", unique=True, postgresql_where=text("ended_at IS NULL")),
)

windows = Table(  # made on demand, never reset; the counters are a cache of the ledger
    "windows",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("budget_id", Uuid, ForeignKey("budgets.id"), nullable=False),
    at("starts_at", nullable=False),
    at("resets_at"),
    Column("cap_picos", BigInteger),  # the limit when a call was last admitted
    Column("cap_tokens", BigInteger),
    count("settled_picos"),
    count("settled_tokens"),
    count("held_picos"),
    count("held_tokens"),
    count("uncertain_picos"),
    count("uncertain_tokens"),
    UniqueConstraint("budget_id", "starts_at"),
    CheckConstraint("settled_picos + held_picos + uncertain_picos <= cap_picos", name="cap_picos"),
    CheckConstraint("settled_tokens + held_tokens + uncertain_tokens <= cap_tokens", name="cap_tokens"),
    CheckConstraint("least(held_picos, held_tokens) >= 0", name="held"),
    CheckConstraint("least(uncertain_picos, uncertain_tokens) >= 0", name="uncertain"),
    postgresql_with={"fillfactor": 20},  # the hot rows: each changes with every call
)

budget_alerts = Table(  # what was told of a window, each once
    "budget_alerts",
    metadata,
    Column("window_id", Uuid, ForeignKey("windows.id"), primary_key=True),
    Column("type", Text, primary_key=True),
    Column("percent", Integer, primary_key=True),  # of the limit; 100 once it is exhausted
    json("data"),  # as webhooks were told
    now("at"),
    one_of("type", "budget.alert budget.exhausted"),
)

call_windows = Table(  # which windows a call's one movement of money is seen through
    "call_windows",
    metadata,
    Column("call_id", Uuid, ForeignKey("calls.id"), primary_key=True),
    Column("window_id", Uuid, ForeignKey("windows.id"), primary_key=True),
    Index("ix_call_windows_window", "window_id"),
)

ledger_entries = Table(  # one transfer per call and phase; append-only, by trigger
    "ledger_entries",
    metadata,
    Column("call_id", Uuid, ForeignKey("calls.id"), primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("debit", Text, nullable=False),  # the account that gives
    Column("credit", Text, nullable=False),  # the account that takes
    Column("tokens", BigInteger, nullable=False),
    Column("picos", BigInteger, nullable=False),
    now("at"),
    one_of("phase", "hold post release suspend overrun"),
    CheckConstraint("least(tokens, picos) >= 0", name="amounts"),
)

prices = Table(  # append-only, by trigger: a new price is a new row, and the later of two rows holds
    "prices",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("model", Text, nullable=False),
    Column("input_picos", BigInteger, nullable=False),
    Column("cached_picos", BigInteger, nullable=False),
    Column("output_picos", BigInteger, nullable=False),
    json("calendar", nullable=True),  # hours of the day in which this row outranks the plain one
    at("valid_from", nullable=False),
    at("valid_to"),
    Column("source", Text, nullable=False),
    CheckConstraint("input_picos >= 0 AND cached_picos >= 0 AND output_picos >= 0", name="rates"),
    Index("ix_prices_model", "model", "valid_from"),
)
