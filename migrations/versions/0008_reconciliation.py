"""What the gateway says that it billed, and why uncertain calls are so no more."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTED = (
    ("billed_calls", "billed_input_tokens", "billed_output_tokens", "billed_picos"),
    ("settled_calls", "settled_input_tokens", "settled_output_tokens", "settled_picos"),
    ("uncertain_calls", "uncertain_tokens", "uncertain_picos", "near_calls"),
)


def _at(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _flag(name: str, default: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), server_default=sa.text(default), nullable=False)


def _counts(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        _at("known_since", nullable=False),
        _now("next_at"),
        _at("looked_at"),
        _flag("supported", "true"),
        sa.Column("problem", sa.Text(), nullable=True),
        _at("problem_since"),
        sa.Column("available_picos", sa.BigInteger(), nullable=True),
        _flag("low_balance", "false"),
        _at("balance_at"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
    )
    op.create_table(
        "balances",
        _at("hour", nullable=False),
        _at("at", nullable=False),
        sa.Column("available_picos", sa.BigInteger(), nullable=False),
        sa.Column("low_balance", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_balances")),
    )
    _create_reconciliations()
    _create_decisions()
    op.create_index("ix_calls_uncertain", "calls", ["id"], postgresql_where=sa.text("state = 'uncertain'"))


def _create_reconciliations() -> None:
    theirs, ours, doubtful = _COUNTED
    op.create_table(
        "reconciliations",
        _at("hour", nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *_counts(*theirs),
        _at("billed_since", nullable=False),
        *_counts(*ours, *doubtful),
        sa.Column("verdict", sa.Text(), nullable=False),
        _at("looked_at", nullable=False),
        _at("drifted_at"),
        _at("drift_ended_at"),
        sa.CheckConstraint(
            "\"verdict\" IN ('equal', 'border', 'uncertain', 'trial', 'others', 'drift')",
            name=op.f("ck_reconciliations_verdict"),
        ),
        sa.PrimaryKeyConstraint("hour", "model", name=op.f("pk_reconciliations")),
    )
    op.create_index(
        "ix_reconciliations_drift",
        "reconciliations",
        ["hour"],
        postgresql_where=sa.text("verdict = 'drift'"),
    )


def _create_decisions() -> None:
    op.create_table(
        "call_decisions",
        sa.Column("call_id", sa.Uuid(), nullable=False),
        _now("at"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("ground", sa.Text(), nullable=False),
        sa.Column("billed", sa.Boolean(), nullable=False),
        *_counts("input_tokens", "output_tokens", "picos"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "\"ground\" IN ('reconciliation', 'operator')", name=op.f("ck_call_decisions_ground")
        ),
        sa.CheckConstraint(
            "billed OR (input_tokens = 0 AND output_tokens = 0 AND picos = 0)",
            name=op.f("ck_call_decisions_unbilled"),
        ),
        sa.CheckConstraint(
            "input_tokens >= 0 AND output_tokens >= 0 AND picos >= 0",
            name=op.f("ck_call_decisions_amounts"),
        ),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=op.f("fk_call_decisions_call_id")),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_decisions")),
    )
    op.execute(
        """
        CREATE TRIGGER refuse_decision_change BEFORE UPDATE OR DELETE OR TRUNCATE ON call_decisions
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
        """
    )


def downgrade() -> None:
    op.drop_index("ix_calls_uncertain", table_name="calls")
    for table in ("call_decisions", "reconciliations", "balances", "accounts"):
        op.drop_table(table)
