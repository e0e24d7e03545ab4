"""The gateway's own account of what it billed, beside ours; bounded by how far back anybody looks."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Table,
    Text,
    Uuid,
    text,
)

from patchmill.store.tables.base import at, count, json, metadata, now, one_of

accounts = Table(  # one row: the account that the workers' key belongs to, and when it was read
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),  # `gateway`
    Column("identity", Text, nullable=False),  # a digest of address and key
    at("known_since", nullable=False),  # when it was first seen: what was called before is not compared
    now("next_at"),  # when a worker may read it again
    at("looked_at"),  # when it was last read whole
    Column("supported", Boolean, nullable=False, server_default=text("true")),  # false: it tells no account
    Column("problem", Text),  # why it could not be read the last time
    at("problem_since"),
    Column("available_picos", BigInteger),
    Column("low_balance", Boolean, nullable=False, server_default=text("false")),
    at("balance_at"),
)

balances = Table(  # the last that was said in each hour
    "balances",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True),
    at("at", nullable=False),
    Column("available_picos", BigInteger, nullable=False),
    Column("low_balance", Boolean, nullable=False),
)

reconciliations = Table(  # what the gateway billed in an hour for a model, and what our ledger says
    "reconciliations",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("model", Text, primary_key=True),
    count("billed_calls"),
    count("billed_input_tokens"),
    count("billed_output_tokens"),
    count("billed_picos"),
    at("billed_since", nullable=False),  # when the gateway was first seen to say just this
    count("settled_calls"),  # of calls sent in the hour
    count("settled_input_tokens"),
    count("settled_output_tokens"),
    count("settled_picos"),
    count("uncertain_calls"),
    count("uncertain_tokens"),  # their holds
    count("uncertain_picos"),
    count("near_calls"),  # that may stand in this hour or in a neighbour
    Column("verdict", Text, nullable=False),
    at("looked_at", nullable=False),
    at("drifted_at"),  # when a difference without explanation was first seen
    at("drift_ended_at"),
    one_of("verdict", "equal border uncertain trial others drift"),
    Index("ix_reconciliations_drift", "hour", postgresql_where=text("verdict = 'drift'")),
)

call_decisions = Table(  # why a call that was uncertain is so no more; append-only, by trigger
    "call_decisions",
    metadata,
    Column("call_id", Uuid, ForeignKey("calls.id"), primary_key=True),
    now("at"),
    Column("actor", Text, nullable=False),  # as in the audit; `worker` where the numbers showed it
    Column("ground", Text, nullable=False),
    Column("billed", Boolean, nullable=False),
    count("input_tokens"),
    count("output_tokens"),
    count("picos"),
    Column("reason", Text, nullable=False),
    json("evidence", nullable=True),  # the numbers that showed it
    one_of("ground", "reconciliation operator"),
    CheckConstraint("billed OR (input_tokens = 0 AND output_tokens = 0 AND picos = 0)", name="unbilled"),
    CheckConstraint("input_tokens >= 0 AND output_tokens >= 0 AND picos >= 0", name="amounts"),
)
