"""The whole schema. What a column means stands beside it; arrows and bounds are enforced here too.

Times are aware UTC; money is pico-US-dollars (1e-12 USD) in bigint; tokens are bigint.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _at(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _json(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, JSONB(none_as_null=True), nullable=nullable)


def _one_of(column: str, values: str) -> CheckConstraint:
    quoted = ", ".join(f"'{value}'" for value in values.split())
    return CheckConstraint(f'"{column}" IN ({quoted})', name=column)


projects = Table(
    "projects",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _now("created_at"),
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
    _at("expires_at"),
    _at("last_used_at"),
    _at("revoked_at"),
    _now("created_at"),
)

sources = Table(  # submitted files, once per project and content
    "sources",
    metadata,
    Column("project_id", Uuid, ForeignKey("projects.id"), primary_key=True),
    Column("sha256", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    _now("created_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_id", Uuid, ForeignKey("projects.id"), nullable=False),
    Column("key_id", Uuid, ForeignKey("keys.id")),
    Column("run_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="queued"),
    Column("outcome", Text),
    Column("priority", Text, nullable=False),
    Column("fence", Integer, nullable=False, server_default=text("0")),  # the number of the latest claim
    Column("dispatch_no", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # claims that count
    Column("losses", Integer, nullable=False, server_default=text("0")),  # claims whose worker was lost
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),  # unbilled ones
    Column("worker_id", Uuid),  # whose claim it is while running
    Column("wait_reason", Text),
    _at("run_at", nullable=False),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("path", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    _json("request"),  # the validated request without file content and findings
    _json("origin"),
    _json("labels"),
    Column("idempotency_key", Text),
    Column("idempotency_hash", LargeBinary),
    Column("max_cost_picos", BigInteger),  # the job's own cap
    _at("deadline_at"),
    _count("calls"),
    _count("input_tokens"),
    _count("cached_tokens"),
    _count("output_tokens"),
    _count("cost_picos"),
    _count("held_picos"),
    _count("uncertain_picos"),
    _json("timings"),
    _json("error", nullable=True),
    Column("event_seq", Integer, nullable=False, server_default=text("1")),
    _now("created_at"),
    _at("dispatched_at"),
    _at("started_at"),  # first claim
    _at("finished_at"),
    UniqueConstraint("project_id", "idempotency_key"),
    ForeignKeyConstraint(["project_id", "sha256"], ["sources.project_id", "sources.sha256"]),
    _one_of("kind", "fix annotate"),
    _one_of("state", "queued dispatched running succeeded failed cancelled"),
    _one_of("outcome", "verified partial unchecked no_change"),
    _one_of("priority", "interactive bulk"),
    _one_of("wait_reason", "retry rate_limit budget gateway_account gateway_down paused same_work"),
    CheckConstraint("held_picos >= 0 AND uncertain_picos >= 0 AND cost_picos >= 0", name="money"),
    CheckConstraint("(state = 'succeeded') = (outcome IS NOT NULL)", name="outcome_iff_succeeded"),
    CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="error_iff_failed"),
    CheckConstraint("(state = 'running') = (worker_id IS NOT NULL)", name="worker_iff_running"),
    CheckConstraint(
        "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
        name="finished_iff_terminal",
    ),
    Index("ix_jobs_due", "priority", "run_at", "id", postgresql_where=text("state = 'queued'")),
    Index(
        "ix_jobs_window",
        "state",
        "dispatched_at",
        postgresql_where=text("state IN ('dispatched', 'running')"),
    ),
    Index("ix_jobs_running", "worker_id", postgresql_where=text("state = 'running'")),
    Index(
        "ix_jobs_waiting_for_budget",
        "id",
        postgresql_where=text("state = 'queued' AND wait_reason = 'budget'"),
    ),
    Index("ix_jobs_list", "project_id", "id"),
)

findings = Table(
    "findings",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("start_line", Integer, nullable=False),
    Column("start_column", Integer),
    Column("end_line", Integer, nullable=False),
    Column("end_column", Integer),
    _json("fixes"),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("reason", Text),
    _one_of("status", "pending verified unchecked unresolved"),
    Index("ix_findings_rule", "rule", "job_id"),
)

workers = Table(  # one row per start of a worker process, never reused
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    _now("started_at"),
    _now("heartbeat_at"),
    _at("stopped_at"),
    Column("draining", Boolean, nullable=False, server_default=text("false")),
    Index("ix_workers_live", "heartbeat_at", postgresql_where=text("stopped_at IS NULL")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("worker_id", Uuid, ForeignKey("workers.id"), nullable=False),
    _now("started_at"),
    _at("ended_at"),
    Column("ending", Text),  # the state that the job left this attempt in, or why it was taken back
)

calls = Table(
    "calls",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the job, from 1
    Column("fence", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("turn", Text, nullable=False),  # sha256 of the request: an answer serves exactly this request
    _json("messages"),
    Column("max_tokens", Integer, nullable=False),
    Column("hold_tokens", BigInteger, nullable=False),
    Column("hold_picos", BigInteger, nullable=False),
    Column("input_picos", BigInteger, nullable=False),  # rates per token that the hold was made with
    Column("cached_picos", BigInteger, nullable=False),
    Column("output_picos", BigInteger, nullable=False),
    Column("failure", Text),
    Column("message", Text),
    Column("status", Integer),
    Column("reply", Text),
    Column("finish_reason", Text),
    Column("returned_model", Text),
    Column("gateway_request_id", Text),
    Column("stand_in", Boolean, nullable=False, server_default=text("false")),
    _json("usage", nullable=True),  # the gateway's own report, verbatim
    _count("input_tokens"),
    _count("cached_tokens"),
    _count("output_tokens"),
    _count("reasoning_tokens"),
    _count("cost_picos"),
    Column("first_token_ms", Integer),
    Column("total_ms", Integer),
    _now("sent_at"),
    _at("deadline_at", nullable=False),
    _at("ended_at"),
    UniqueConstraint("job_id", "number"),
    ForeignKeyConstraint(["job_id", "fence"], ["attempts.job_id", "attempts.fence"]),
    _one_of("state", "sent settled void uncertain"),
    Index("ix_calls_sent", "deadline_at", postgresql_where=text("state = 'sent'")),
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
    _now("created_at"),
    UniqueConstraint("job_id", "ordinal"),
    _one_of("status", "verified unchecked"),
    _one_of("source", "model tool store stand-in"),
    _one_of("safety", "safe unsafe"),
)

checks = Table(
    "checks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("suggestion_id", Uuid, ForeignKey("suggestions.id")),  # none: the edit was refused
    Column("call_id", Uuid, ForeignKey("calls.id")),  # none: the edit is a tool's own
    Column("check", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    _one_of("result", "passed failed skipped"),
    Index("ix_checks_job", "job_id", "id"),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("project_id", Uuid, nullable=False),
    Column("job_id", Uuid, ForeignKey("jobs.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("type", Text, nullable=False),
    _json("data"),
    _now("at"),
    UniqueConstraint("job_id", "seq"),
    Index("ix_events_at", "at"),
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("project_id", Uuid, ForeignKey("projects.id")),
    Column("key_id", Uuid, ForeignKey("keys.id")),
    Column("window", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("limit_picos", BigInteger),
    Column("limit_tokens", BigInteger),
    Column("at_limit", Text, nullable=False),
    _now("created_at"),
    _at("ended_at"),
    _one_of("scope", "installation project key"),
    _one_of("window", "hour day week month total"),
    _one_of("at_limit", "wait fail"),
    CheckConstraint("limit_picos IS NOT NULL OR limit_tokens IS NOT NULL", name="limited"),
    CheckConstraint("limit_picos >= 0 AND limit_tokens >= 0", name="limits"),
    CheckConstraint("(scope = 'project') = (project_id IS NOT NULL)", name="project_scope"),
    CheckConstraint("(scope = 'key') = (key_id IS NOT NULL)", name="key_scope"),
)

windows = Table(  # made on demand, never reset; the counters are a cache of the ledger
    "windows",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("budget_id", Uuid, ForeignKey("budgets.id"), nullable=False),
    _at("starts_at", nullable=False),
    _at("resets_at"),
    Column("cap_picos", BigInteger),  # the limit when a call was last admitted
    Column("cap_tokens", BigInteger),
    _count("settled_picos"),
    _count("settled_tokens"),
    _count("held_picos"),
    _count("held_tokens"),
    _count("uncertain_picos"),
    _count("uncertain_tokens"),
    UniqueConstraint("budget_id", "starts_at"),
    CheckConstraint("settled_picos + held_picos + uncertain_picos <= cap_picos", name="cap_picos"),
    CheckConstraint("settled_tokens + held_tokens + uncertain_tokens <= cap_tokens", name="cap_tokens"),
    CheckConstraint("held_picos >= 0 AND held_tokens >= 0", name="held"),
    CheckConstraint("uncertain_picos >= 0 AND uncertain_tokens >= 0", name="uncertain"),
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
    _now("at"),
    _one_of("phase", "hold post release suspend overrun"),
    CheckConstraint("tokens >= 0 AND picos >= 0", name="amounts"),
)

prices = Table(  # append-only by convention: a new price is a new row
    "prices",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("model", Text, nullable=False),
    Column("input_picos", BigInteger, nullable=False),
    Column("cached_picos", BigInteger, nullable=False),
    Column("output_picos", BigInteger, nullable=False),
    _json("calendar", nullable=True),  # hours of the day in which this row outranks the plain one
    _at("valid_from", nullable=False),
    _at("valid_to"),
    Column("source", Text, nullable=False),
    CheckConstraint("input_picos >= 0 AND cached_picos >= 0 AND output_picos >= 0", name="rates"),
    Index("ix_prices_model", "model", "valid_from"),
)
