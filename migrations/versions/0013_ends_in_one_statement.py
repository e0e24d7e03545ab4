"""The end of a job is one statement, with all that comes with it; so is what others are told of ends."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parent.parent / "functions"
MADE = {
    "new_id": "",
    "run_counts": "uuid[]",
    "count_runs": "uuid[]",
    "follow_ends": "uuid[]",
    "end_job": "uuid, integer, text, jsonb, jsonb, integer",
}


def upgrade() -> None:
    for name in MADE:
        op.execute((FUNCTIONS / f"0013_{name}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    for name, arguments in reversed(MADE.items()):
        op.execute(f"DROP FUNCTION {name}({arguments})")
