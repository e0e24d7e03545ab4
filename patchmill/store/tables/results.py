"""What jobs asked of models, and what they found."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
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

calls = Table(
    "calls",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the job, from 1
    Column("fence", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("rung", Text, nullable=False, server_default="first"),  # of the ladder: why it was made
    Column("prompt_version", Text),  # of what every prompt of its sort begins with
    Column("state", Text, nullable=False),
    Column("turn", Text, nullable=False),  # sha256 of the request: an answer serves exactly this request
    json("messages"),
    Column("max_tokens", Integer, nullable=False),
    Column("hold_tokens", BigInteger, nullable=False),
    Column("hold_picos", BigInteger, nullable=False),
    # The row of `prices` that held when it was sent; a foreign key would lock that row with each call.
    Column("price_id", BigInteger),
    Column("input_picos", BigInteger, nullable=False),  # that row's rates, which the answer is paid by
    Column("cached_picos", BigInteger, nullable=False),
    Column("output_picos", BigInteger, nullable=False),
    Column("failure", Text),
    Column("message", Text),
    Column("status", Integer),
    Column("reply", Text),
    Column("finish_reason", Text),
    Column("returned_model", Text),
    Column("fingerprint", Text),  # of the system that answered, as the gateway names it
    Column("anomalies", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # odd, and yet an answer
    Column("gateway_request_id", Text),
    Column("stand_in", Boolean, nullable=False, server_default=text("false")),
    json("usage", nullable=True),  # the gateway's own report, verbatim
    count("input_tokens"),
    count("cached_tokens"),
    count("output_tokens"),
    count("reasoning_tokens"),
    count("cost_picos"),
    Column("queue_ms", Integer),  # before the request was on the wire
    Column("first_token_ms", Integer),
    Column("total_ms", Integer),
    now("sent_at"),
    at("deadline_at", nullable=False),
    at("ended_at"),
    UniqueConstraint("job_id", "number"),
    ForeignKeyConstraint(["job_id", "fence"], ["attempts.job_id", "attempts.fence"]),
    one_of("state", "sent settled void uncertain"),
    one_of("rung", "first repair escalation fallback"),
    Index("ix_calls_sent", "deadline_at", postgresql_where=text("state = 'sent'")),
    Index("ix_calls_uncertain", "id", postgresql_where=text("state = 'uncertain'")),
)

suggestions = Table(
    "suggestions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("start_line", Integer, nullable=False),
    Column("end_line", Integer, nullable=False),
    Column("original", Text, nullable=False),
    Column("replacement", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("safety", Text, nullable=False),
    Column("requires", ARRAY(Uuid), nullable=False),
    Column("committable", Boolean, nullable=False),
    Column("findings", ARRAY(Integer), nullable=False),
    now("created_at"),
    UniqueConstraint("job_id", "ordinal"),
    one_of("status", "verified unchecked"),
    one_of("source", "model tool store stand-in"),
    one_of("safety", "safe unsafe"),
)

checks = Table(
    "checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("suggestion_id", Uuid, ForeignKey("suggestions.id")),  # none: the edit was refused
    Column("call_id", Uuid, ForeignKey("calls.id")),  # none: the edit is a tool's own, or a copy
    Column("check", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    one_of("result", "passed failed skipped"),
    Index("ix_checks_job", "job_id", "id"),
    Index("ix_checks_suggestion", "suggestion_id", postgresql_where=text("suggestion_id IS NOT NULL")),
)
