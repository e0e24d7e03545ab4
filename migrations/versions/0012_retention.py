"""What has ended is pruned by age: how long a project keeps it, what is pruned, and what is next, by index."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KEPT = "pruned_at IS NULL"
_ENDED = "finished_at IS NOT NULL"


def _index(name: str, table: str, columns: list[str], where: str | None) -> None:
    op.create_index(name, table, columns, postgresql_where=None if where is None else sa.text(where))


def upgrade() -> None:
    op.add_column("projects", sa.Column("retention_days", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_projects_retention"), "projects", "retention_days >= 0")
    for table in ("jobs", "runs"):
        op.add_column(table, sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True))
        op.drop_index(f"ix_{table}_list", table_name=table)
        _index(f"ix_{table}_list", table, ["project_id", "id"], _KEPT)
    _index("ix_jobs_ended", "jobs", ["project_id", "finished_at"], f"{_ENDED} AND run_id IS NULL AND {_KEPT}")
    _index("ix_runs_ended", "runs", ["project_id", "finished_at"], f"{_ENDED} AND {_KEPT}")
    _index("ix_runs_pruned", "runs", ["id"], "pruned_at IS NOT NULL")
    _index("ix_runs_superseded", "runs", ["superseded_by"], "superseded_by IS NOT NULL")
    _index("ix_checks_suggestion", "checks", ["suggestion_id"], "suggestion_id IS NOT NULL")
    op.drop_constraint(op.f("fk_attempts_worker_id"), "attempts", type_="foreignkey")


def downgrade() -> None:
    """Give up the columns; what is pruned already shows again as far as it is there."""
    # Workers that are pruned are not missed by anybody else.
    op.create_foreign_key(
        op.f("fk_attempts_worker_id"),
        "attempts",
        "workers",
        ["worker_id"],
        ["id"],
        postgresql_not_valid=True,
    )
    op.drop_index("ix_checks_suggestion", table_name="checks")
    for name in ("ix_runs_superseded", "ix_runs_pruned", "ix_runs_ended"):
        op.drop_index(name, table_name="runs")
    op.drop_index("ix_jobs_ended", table_name="jobs")
    for table in ("runs", "jobs"):
        op.drop_index(f"ix_{table}_list", table_name=table)
        _index(f"ix_{table}_list", table, ["project_id", "id"], None)
        op.drop_column(table, "pruned_at")
    op.drop_constraint(op.f("ck_projects_retention"), "projects", type_="check")
    op.drop_column("projects", "retention_days")
