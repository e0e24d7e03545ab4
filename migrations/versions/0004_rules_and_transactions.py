"""The rules of a run stand once on the run, not in each job; events say which transaction wrote them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is there already was written by no transaction that a reader could still wait for.
    op.add_column(
        "events", sa.Column("xact_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.alter_column("events", "xact_id", server_default=sa.text("pg_current_xact_id()::text::bigint"))
    op.create_index("ix_events_xact", "events", ["xact_id"], unique=False)
    op.add_column(
        "runs",
        sa.Column(
            "reported", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'"), nullable=False
        ),
    )
    op.execute(
        """
        UPDATE runs SET reported = named.reported
        FROM (SELECT DISTINCT ON (run_id) run_id, request->'reported' AS reported FROM jobs
              WHERE run_id IS NOT NULL AND request ? 'reported') AS named
        WHERE runs.id = named.run_id
        """
    )
    op.execute("UPDATE jobs SET request = request - 'reported' WHERE request ? 'reported'")


def downgrade() -> None:
    op.execute(
        """
        UPDATE jobs SET request = request || jsonb_build_object('reported', runs.reported)
        FROM runs WHERE runs.id = jobs.run_id
        """
    )
    op.drop_column("runs", "reported")
    op.drop_index("ix_events_xact", table_name="events")
    op.drop_column("events", "xact_id")
