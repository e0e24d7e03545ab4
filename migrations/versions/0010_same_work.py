"""Identical work is done once: keys of what is asked and of what decides the result, and whose result it is."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_jobs_at_work": "state = 'running' AND served_from IS NULL",
    "ix_jobs_done_work": (
        "state = 'succeeded' AND served_from IS NULL AND erased_at IS NULL AND work_key IS NOT NULL"
    ),
    "ix_jobs_same_work": "state = 'queued' AND wait_reason = 'same_work'",
}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("task_key", sa.LargeBinary(), nullable=True))
    op.add_column("jobs", sa.Column("work_key", sa.LargeBinary(), nullable=True))
    op.add_column("jobs", sa.Column("served_from", sa.Uuid(), nullable=True))
    for name, where in _INDEXES.items():
        op.create_index(
            name,
            "jobs",
            ["project_id", "work_key"],
            unique=name == "ix_jobs_at_work",
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    for name in reversed(_INDEXES):
        op.drop_index(name, table_name="jobs")
    for column in ("served_from", "work_key", "task_key"):
        op.drop_column("jobs", column)
