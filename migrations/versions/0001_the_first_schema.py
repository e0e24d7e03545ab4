"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("input_picos", sa.BigInteger(), nullable=False),
        sa.Column("cached_picos", sa.BigInteger(), nullable=False),
        sa.Column("output_picos", sa.BigInteger(), nullable=False),
        sa.Column("calendar", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "input_picos >= 0 AND cached_picos >= 0 AND output_picos >= 0", name=op.f("ck_prices_rates")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index("ix_prices_model", "prices", ["model", "valid_from"], unique=False)
    op.create_table(
        "projects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "heartbeat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("draining", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index(
        "ix_workers_live",
        "workers",
        ["heartbeat_at"],
        unique=False,
        postgresql_where=sa.text("stopped_at IS NULL"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_keys_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_keys_public_id")),
    )
    op.create_table(
        "sources",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_sources_project_id")),
        sa.PrimaryKeyConstraint("project_id", "sha256", name=op.f("pk_sources")),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("limit_picos", sa.BigInteger(), nullable=True),
        sa.Column("limit_tokens", sa.BigInteger(), nullable=True),
        sa.Column("at_limit", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(scope = 'key') = (key_id IS NOT NULL)", name=op.f("ck_budgets_key_scope")),
        sa.CheckConstraint(
            "(scope = 'project') = (project_id IS NOT NULL)", name=op.f("ck_budgets_project_scope")
        ),
        sa.CheckConstraint("\"at_limit\" IN ('wait', 'fail')", name=op.f("ck_budgets_at_limit")),
        sa.CheckConstraint("\"scope\" IN ('installation', 'project', 'key')", name=op.f("ck_budgets_scope")),
        sa.CheckConstraint(
            "\"window\" IN ('hour', 'day', 'week', 'month', 'total')", name=op.f("ck_budgets_window")
        ),
        sa.CheckConstraint("limit_picos >= 0 AND limit_tokens >= 0", name=op.f("ck_budgets_limits")),
        sa.CheckConstraint(
            "limit_picos IS NOT NULL OR limit_tokens IS NOT NULL", name=op.f("ck_budgets_limited")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_budgets_key_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_budgets_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sa.UniqueConstraint("name", name=op.f("uq_budgets_name")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("dispatch_no", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("losses", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures_in_a_row", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("wait_reason", sa.Text(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("origin", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("idempotency_hash", sa.LargeBinary(), nullable=True),
        sa.Column("max_cost_picos", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("uncertain_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("timings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("event_seq", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name=op.f("ck_jobs_error_iff_failed")),
        sa.CheckConstraint(
            "(state = 'running') = (worker_id IS NOT NULL)", name=op.f("ck_jobs_worker_iff_running")
        ),
        sa.CheckConstraint(
            "(state = 'succeeded') = (outcome IS NOT NULL)", name=op.f("ck_jobs_outcome_iff_succeeded")
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished_iff_terminal"),
        ),
        sa.CheckConstraint("\"kind\" IN ('fix', 'annotate')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint(
            "\"outcome\" IN ('verified', 'partial', 'unchecked', 'no_change')", name=op.f("ck_jobs_outcome")
        ),
        sa.CheckConstraint("\"priority\" IN ('interactive', 'bulk')", name=op.f("ck_jobs_priority")),
        sa.CheckConstraint(
            "\"state\" IN ('queued', 'dispatched', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint(
            "\"wait_reason\" IN ('retry', 'rate_limit', 'budget', 'gateway_account', 'gateway_down', 'paused', 'same_work')",
            name=op.f("ck_jobs_wait_reason"),
        ),
        sa.CheckConstraint(
            "held_picos >= 0 AND uncertain_picos >= 0 AND cost_picos >= 0", name=op.f("ck_jobs_money")
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_jobs_key_id")),
        sa.ForeignKeyConstraint(
            ["project_id", "sha256"],
            ["sources.project_id", "sources.sha256"],
            name=op.f("fk_jobs_project_id_sha256"),
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_jobs_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("project_id", "idempotency_key", name=op.f("uq_jobs_project_id_idempotency_key")),
    )
    op.create_index(
        "ix_jobs_due",
        "jobs",
        ["priority", "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_jobs_list", "jobs", ["project_id", "id"], unique=False)
    op.create_index(
        "ix_jobs_running", "jobs", ["worker_id"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "ix_jobs_waiting_for_budget",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND wait_reason = 'budget'"),
    )
    op.create_index(
        "ix_jobs_window",
        "jobs",
        ["state", "dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('dispatched', 'running')"),
    )
    op.create_table(
        "attempts",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name=op.f("fk_attempts_worker_id")),
        sa.PrimaryKeyConstraint("job_id", "fence", name=op.f("pk_attempts")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("job_id", "seq", name=op.f("uq_events_job_id_seq")),
    )
    op.create_index("ix_events_at", "events", ["at"], unique=False)
    op.create_table(
        "findings",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("start_line", sa.Integer(), nullable=False),
        sa.Column("start_column", sa.Integer(), nullable=True),
        sa.Column("end_line", sa.Integer(), nullable=False),
        sa.Column("end_column", sa.Integer(), nullable=True),
        sa.Column("fixes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "\"status\" IN ('pending', 'verified', 'unchecked', 'unresolved')",
            name=op.f("ck_findings_status"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_findings_job_id")),
        sa.PrimaryKeyConstraint("job_id", "index", name=op.f("pk_findings")),
    )
    op.create_index("ix_findings_rule", "findings", ["rule", "job_id"], unique=False)
    op.create_table(
        "suggestions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("start_line", sa.Integer(), nullable=False),
        sa.Column("end_line", sa.Integer(), nullable=False),
        sa.Column("original", sa.Text(), nullable=False),
        sa.Column("replacement", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("safety", sa.Text(), nullable=False),
        sa.Column("requires", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("committable", sa.Boolean(), nullable=False),
        sa.Column("findings", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("\"safety\" IN ('safe', 'unsafe')", name=op.f("ck_suggestions_safety")),
        sa.CheckConstraint(
            "\"source\" IN ('model', 'tool', 'store', 'stand-in')", name=op.f("ck_suggestions_source")
        ),
        sa.CheckConstraint("\"status\" IN ('verified', 'unchecked')", name=op.f("ck_suggestions_status")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_suggestions_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suggestions")),
        sa.UniqueConstraint("job_id", "ordinal", name=op.f("uq_suggestions_job_id_ordinal")),
    )
    op.create_table(
        "windows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("budget_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resets_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cap_picos", sa.BigInteger(), nullable=True),
        sa.Column("cap_tokens", sa.BigInteger(), nullable=True),
        sa.Column("settled_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("uncertain_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("uncertain_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("held_picos >= 0 AND held_tokens >= 0", name=op.f("ck_windows_held")),
        sa.CheckConstraint(
            "settled_picos + held_picos + uncertain_picos <= cap_picos", name=op.f("ck_windows_cap_picos")
        ),
        sa.CheckConstraint(
            "settled_tokens + held_tokens + uncertain_tokens <= cap_tokens",
            name=op.f("ck_windows_cap_tokens"),
        ),
        sa.CheckConstraint(
            "uncertain_picos >= 0 AND uncertain_tokens >= 0", name=op.f("ck_windows_uncertain")
        ),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.id"], name=op.f("fk_windows_budget_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
        sa.UniqueConstraint("budget_id", "starts_at", name=op.f("uq_windows_budget_id_starts_at")),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("turn", sa.Text(), nullable=False),
        sa.Column("messages", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("max_tokens", sa.Integer(), nullable=False),
        sa.Column("hold_tokens", sa.BigInteger(), nullable=False),
        sa.Column("hold_picos", sa.BigInteger(), nullable=False),
        sa.Column("input_picos", sa.BigInteger(), nullable=False),
        sa.Column("cached_picos", sa.BigInteger(), nullable=False),
        sa.Column("output_picos", sa.BigInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("returned_model", sa.Text(), nullable=True),
        sa.Column("gateway_request_id", sa.Text(), nullable=True),
        sa.Column("stand_in", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("usage", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_picos", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_token_ms", sa.Integer(), nullable=True),
        sa.Column("total_ms", sa.Integer(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "\"state\" IN ('sent', 'settled', 'void', 'uncertain')", name=op.f("ck_calls_state")
        ),
        sa.ForeignKeyConstraint(
            ["job_id", "fence"], ["attempts.job_id", "attempts.fence"], name=op.f("fk_calls_job_id_fence")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_calls_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_calls_job_id_number")),
    )
    op.create_index(
        "ix_calls_sent", "calls", ["deadline_at"], unique=False, postgresql_where=sa.text("state = 'sent'")
    )
    op.create_table(
        "call_windows",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("window_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_call_windows_call_id")),
        sa.ForeignKeyConstraint(["window_id"], ["windows.id"], name=op.f("fk_call_windows_window_id")),
        sa.PrimaryKeyConstraint("call_id", "window_id", name=op.f("pk_call_windows")),
    )
    op.create_index("ix_call_windows_window", "call_windows", ["window_id"], unique=False)
    op.create_table(
        "checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("suggestion_id", sa.Uuid(), nullable=True),
        sa.Column("call_id", sa.Uuid(), nullable=True),
        sa.Column("check", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("\"result\" IN ('passed', 'failed', 'skipped')", name=op.f("ck_checks_result")),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_checks_call_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_checks_job_id")),
        sa.ForeignKeyConstraint(["suggestion_id"], ["suggestions.id"], name=op.f("fk_checks_suggestion_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
    )
    op.create_index("ix_checks_job", "checks", ["job_id", "id"], unique=False)
    op.create_table(
        "ledger_entries",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("picos", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "\"phase\" IN ('hold', 'post', 'release', 'suspend', 'overrun')",
            name=op.f("ck_ledger_entries_phase"),
        ),
        sa.CheckConstraint("tokens >= 0 AND picos >= 0", name=op.f("ck_ledger_entries_amounts")),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_ledger_entries_call_id")),
        sa.PrimaryKeyConstraint("call_id", "phase", name=op.f("pk_ledger_entries")),
    )


def downgrade() -> None:
    op.drop_table("ledger_entries")
    op.drop_index("ix_checks_job", table_name="checks")
    op.drop_table("checks")
    op.drop_index("ix_call_windows_window", table_name="call_windows")
    op.drop_table("call_windows")
    op.drop_index("ix_calls_sent", table_name="calls", postgresql_where=sa.text("state = 'sent'"))
    op.drop_table("calls")
    op.drop_table("windows")
    op.drop_table("suggestions")
    op.drop_index("ix_findings_rule", table_name="findings")
    op.drop_table("findings")
    op.drop_index("ix_events_at", table_name="events")
    op.drop_table("events")
    op.drop_table("attempts")
    op.drop_index(
        "ix_jobs_window", table_name="jobs", postgresql_where=sa.text("state IN ('dispatched', 'running')")
    )
    op.drop_index(
        "ix_jobs_waiting_for_budget",
        table_name="jobs",
        postgresql_where=sa.text("state = 'queued' AND wait_reason = 'budget'"),
    )
    op.drop_index("ix_jobs_running", table_name="jobs", postgresql_where=sa.text("state = 'running'"))
    op.drop_index("ix_jobs_list", table_name="jobs")
    op.drop_index("ix_jobs_due", table_name="jobs", postgresql_where=sa.text("state = 'queued'"))
    op.drop_table("jobs")
    op.drop_table("budgets")
    op.drop_table("sources")
    op.drop_table("keys")
    op.drop_index("ix_workers_live", table_name="workers", postgresql_where=sa.text("stopped_at IS NULL"))
    op.drop_table("workers")
    op.drop_table("projects")
    op.drop_index("ix_prices_model", table_name="prices")
    op.drop_table("prices")
