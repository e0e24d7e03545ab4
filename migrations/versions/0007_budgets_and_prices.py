"""Budgets end, are named anew, and tell at shares of their limit; prices refuse every change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "budgets",
        sa.Column(
            "alert_percent", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'"), nullable=False
        ),
    )
    op.drop_constraint("uq_budgets_name", "budgets", type_="unique")
    op.create_index(
        "uq_budgets_name", "budgets", ["name"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_table(
        "budget_alerts",
        sa.Column("window_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("data", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "\"type\" IN ('budget.alert', 'budget.exhausted')", name=op.f("ck_budget_alerts_type")
        ),
        sa.ForeignKeyConstraint(["window_id"], ["windows.id"], name=op.f("fk_budget_alerts_window_id")),
        sa.PrimaryKeyConstraint("window_id", "type", "percent", name=op.f("pk_budget_alerts")),
    )
    op.execute(
        """
        CREATE FUNCTION refuse_price_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the price list is append-only; a new price is a new row with a later valid_from'
                USING ERRCODE = 'restrict_violation';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER refuse_price_change BEFORE UPDATE OR DELETE OR TRUNCATE ON prices
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_price_change()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER refuse_price_change ON prices")
    op.execute("DROP FUNCTION refuse_price_change")
    op.drop_table("budget_alerts")
    op.drop_index("uq_budgets_name", table_name="budgets")
    # Names are given once again: those of ended budgets make way.
    op.execute("UPDATE budgets SET name = name || ' (ended, ' || id || ')' WHERE ended_at IS NOT NULL")
    op.create_unique_constraint("uq_budgets_name", "budgets", ["name"])
    op.drop_column("budgets", "alert_percent")
