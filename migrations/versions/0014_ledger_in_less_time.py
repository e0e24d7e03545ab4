"""A hold has the windows locked for a moment, and a settlement takes fewer statements."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parent.parent / "functions"
ANEW = {
    "hold_call": "uuid, integer, uuid, bigint, bigint, jsonb, jsonb",
    "end_call": "uuid, uuid, text, text[], bigint[], bigint[], jsonb, jsonb, integer, interval, text",
}
MORE = {"admit_alone": "uuid", "why_not_held": "uuid, integer, jsonb"}


def upgrade() -> None:
    """Replace the functions, so that whoever calls them now is not left without, and make two that they call."""
    for name in (*MORE, *ANEW):
        _make("0014", name)


def downgrade() -> None:
    """Take those of 0006 again."""
    _drop(ANEW | MORE)
    for name in ANEW:
        _make("0006", name)


def _make(revision: str, name: str) -> None:
    op.execute((FUNCTIONS / f"{revision}_{name}.sql").read_text(encoding="utf-8"))


def _drop(functions: dict[str, str]) -> None:
    for name, arguments in functions.items():
        op.execute(f"DROP FUNCTION {name}({arguments})")
