"""A project's share of what is in flight, its line of due jobs by index, and the runs that are open."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_QUEUED = "state = 'queued'"


def _index(name: str, columns: list[str], where: str, table: str = "jobs") -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where))


def upgrade() -> None:
    op.add_column("projects", sa.Column("weight", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column("projects", sa.Column("max_in_flight", sa.Integer(), nullable=True))
    op.add_column("projects", sa.Column("tokens_per_minute", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_projects_weight"), "projects", "weight BETWEEN 1 AND 100")
    op.create_check_constraint(
        op.f("ck_projects_own_limits"), "projects", "max_in_flight >= 1 AND tokens_per_minute >= 1"
    )
    op.create_table(
        "turns",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("dispatched", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.LargeBinary(), nullable=True),
        sa.Column("same_file", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_turns_project_id")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_turns")),
    )
    _index("ix_jobs_ready", ["project_id", "priority", "id"], f"{_QUEUED} AND wait_reason IS NULL")
    _index(
        "ix_jobs_waiting",
        ["project_id", "priority", "run_at", "id"],
        f"{_QUEUED} AND wait_reason IS NOT NULL",
    )
    _index("ix_jobs_file", ["project_id", "sha256", "id"], _QUEUED)
    _index("ix_jobs_deadline", ["deadline_at"], f"{_QUEUED} AND deadline_at IS NOT NULL")
    op.drop_index("ix_jobs_due", table_name="jobs")
    _index("ix_runs_open", ["project_id", "id"], "state IN ('queued', 'running')", table="runs")


def downgrade() -> None:
    op.drop_index("ix_runs_open", table_name="runs")
    _index("ix_jobs_due", ["priority", "run_at", "id"], _QUEUED)
    for name in ("ix_jobs_deadline", "ix_jobs_file", "ix_jobs_waiting", "ix_jobs_ready"):
        op.drop_index(name, table_name="jobs")
    op.drop_table("turns")
    op.drop_constraint(op.f("ck_projects_own_limits"), "projects", type_="check")
    op.drop_constraint(op.f("ck_projects_weight"), "projects", type_="check")
    for column in ("tokens_per_minute", "max_in_flight", "weight"):
        op.drop_column("projects", column)
