"""Projects and queues that are paused, who paused calls, and which version a worker process is of."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("\"queue\" IN ('interactive', 'bulk')", name=op.f("ck_pauses_queue")),
        sa.CheckConstraint("(project_id IS NULL) <> (queue IS NULL)", name=op.f("ck_pauses_of_one")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_pauses_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        sa.UniqueConstraint("project_id", name=op.f("uq_pauses_project_id")),
        sa.UniqueConstraint("queue", name=op.f("uq_pauses_queue")),
    )
    op.add_column("circuits", sa.Column("actor", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("version", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "version")
    op.drop_column("circuits", "actor")
    op.drop_table("pauses")
