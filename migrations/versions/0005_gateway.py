"""How the gateway and its models are, a project's ladder, and what is known of each call."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _json(name: str, **more: object) -> sa.Column:
    return sa.Column(name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), **more)


def upgrade() -> None:
    op.create_table(
        "circuits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="ok", nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _json("quota", nullable=True),
        sa.Column("quota_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("\"state\" IN ('ok', 'paused', 'down', 'off')", name=op.f("ck_circuits_state")),
        sa.CheckConstraint("(state = 'ok') = (why IS NULL)", name=op.f("ck_circuits_why_iff_open")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_circuits")),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.Text(), nullable=False),
        _json("capability", nullable=False),
        sa.Column("dropped", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.add_column(
        "projects",
        sa.Column("policy", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column(
        "jobs",
        sa.Column("skipped_rungs", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    )
    op.create_index(
        "ix_jobs_waiting_for_gateway",
        "jobs",
        ["priority", "id"],
        postgresql_where=sa.text(
            "state = 'queued' AND wait_reason IN ('gateway_account', 'gateway_down', 'paused')"
        ),
    )
    op.add_column("calls", sa.Column("rung", sa.Text(), server_default="first", nullable=False))
    op.add_column("calls", sa.Column("prompt_version", sa.Text(), nullable=True))
    op.add_column("calls", sa.Column("fingerprint", sa.Text(), nullable=True))
    op.add_column(
        "calls",
        sa.Column("anomalies", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("calls", sa.Column("queue_ms", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_calls_rung"), "calls", "\"rung\" IN ('first', 'repair', 'escalation', 'fallback')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_calls_rung"), "calls", type_="check")
    for column in ("queue_ms", "anomalies", "fingerprint", "prompt_version", "rung"):
        op.drop_column("calls", column)
    op.drop_index("ix_jobs_waiting_for_gateway", table_name="jobs")
    op.drop_column("jobs", "skipped_rungs")
    op.drop_column("projects", "policy")
    op.drop_table("models")
    op.drop_table("circuits")
