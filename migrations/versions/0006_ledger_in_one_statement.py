"""A hold is one statement and a settlement another; hot rows have room to change where they are."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parent.parent / "functions"
MADE = {
    "price_mark": "text",
    "hold_call": "uuid, integer, uuid, bigint, bigint, jsonb, jsonb",
    "wake_waiters": "uuid, uuid[], timestamptz, integer",
    "end_call": "uuid, uuid, text, text[], bigint[], bigint[], jsonb, jsonb, integer, interval, text",
    "tell_first_token": "uuid, uuid, jsonb",
}
WAITING = sa.text("state = 'queued' AND wait_reason = 'budget'")


def upgrade() -> None:
    # No foreign key: each call would lock the row of its price, and all calls have the same few.
    op.add_column("calls", sa.Column("price_id", sa.BigInteger(), nullable=True))
    for name in MADE:
        op.execute((FUNCTIONS / f"0006_{name}.sql").read_text(encoding="utf-8"))
    op.drop_index("ix_jobs_waiting_for_budget", "jobs")
    op.create_index("ix_jobs_waiting_for_budget", "jobs", ["run_at"], postgresql_where=WAITING)
    for column in ("project_id", "key_id"):
        op.create_index(
            f"ix_budgets_{column}", "budgets", [column], postgresql_where=sa.text("ended_at IS NULL")
        )
    op.create_index("ix_budgets_scope", "budgets", ["scope"], postgresql_where=sa.text("ended_at IS NULL"))
    op.execute("ALTER TABLE windows SET (fillfactor = 20)")
    op.execute("ALTER TABLE jobs SET (fillfactor = 70)")
    # The trigger refuses everybody; this says so to those, too, who could switch triggers off for themselves.
    op.execute("REVOKE UPDATE, DELETE, TRUNCATE ON ledger_entries FROM PUBLIC, CURRENT_USER")


def downgrade() -> None:
    op.execute("GRANT UPDATE, DELETE, TRUNCATE ON ledger_entries TO CURRENT_USER")
    op.execute("ALTER TABLE jobs RESET (fillfactor)")
    op.execute("ALTER TABLE windows RESET (fillfactor)")
    for column in ("scope", "key_id", "project_id"):
        op.drop_index(f"ix_budgets_{column}", "budgets")
    op.drop_index("ix_jobs_waiting_for_budget", "jobs")
    op.create_index("ix_jobs_waiting_for_budget", "jobs", ["id"], postgresql_where=WAITING)
    for name, arguments in reversed(MADE.items()):
        op.execute(f"DROP FUNCTION {name}({arguments})")
    op.drop_column("calls", "price_id")
