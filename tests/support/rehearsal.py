"""Migrations of a next version, made for a rehearsal: one that adds, one that fills, one that removes.

They are written as `docs/change/schema.md` asks: what is added may be missing, rows are filled in batches
that are committed one by one, an index is built while others write, and what is removed was used by nobody.
"""

import shutil
from pathlib import Path

from patchmill.store import schema
from tests.support.stack import ROOT

ADDED, FILLED, REMOVED = "9001", "9002", "9003"
_HEAD = '''"""A step of a rehearsal."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
{steps}

def downgrade() -> None:
    raise NotImplementedError("a rehearsal is not taken back")
'''
_STEPS = {
    ADDED: """
    op.add_column("jobs", sa.Column("path_length", sa.Integer(), nullable=True))
    op.create_table(
        "visits",
        sa.Column("job_id", sa.Uuid(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
""",
    FILLED: """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_jobs_path_length")
        op.create_index("ix_jobs_path_length", "jobs", ["path_length"], postgresql_concurrently=True)
        op.execute("SET lock_timeout = '500ms'")
        batch = sa.text(
            "WITH batch AS ("
            "  SELECT id FROM jobs WHERE id > :after AND path_length IS NULL ORDER BY id LIMIT 500 FOR UPDATE"
            "), filled AS ("
            "  UPDATE jobs SET path_length = length(path) FROM batch WHERE jobs.id = batch.id"
            ") SELECT count(*), (array_agg(id ORDER BY id DESC))[1] FROM batch"
        )
        filled, after = 500, uuid.UUID(int=0)
        while filled == 500:
            filled, after = op.get_bind().execute(batch, {"after": after}).one()
""",
    REMOVED: """
    op.drop_table("visits")
    op.drop_index("ix_jobs_path_length", table_name="jobs")
    op.drop_column("jobs", "path_length")
""",
}


def next_version(folder: Path) -> Path:
    """Give a copy of the migrations with those of the rehearsal after them."""
    scripts = folder / "migrations"
    shutil.copytree(ROOT / "migrations", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    before = schema.newest()
    for revision, steps in _STEPS.items():
        text = _HEAD.format(revision=revision, before=before, steps=steps.strip("\n") + "\n")
        (scripts / "versions" / f"{revision}_rehearsal.py").write_text(text, encoding="utf-8")
        before = revision
    return scripts
