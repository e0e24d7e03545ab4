"""A hold and a settlement find rows by their ids alone, in fewer statements, and their checks are shorter.

Postgres reads the text of each check of a table anew with every statement that writes a row there, so the tables
that calls write have theirs in a shorter form. Those of other tables say the same and stay as they were written.
"""

from collections.abc import Callable
from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).parent.parent / "functions"
ANEW = {
    "hold_call": "uuid, integer, uuid, bigint, bigint, jsonb, jsonb",
    "end_call": "uuid, uuid, text, text[], bigint[], bigint[], jsonb, jsonb, integer, interval, text",
}
WORDS = {  # what a column may say
    "ledger_entries": {"phase": "hold post release suspend overrun"},
    "calls": {"state": "sent settled void uncertain", "rung": "first repair escalation fallback"},
    "jobs": {
        "kind": "fix annotate",
        "state": "queued dispatched running succeeded failed cancelled",
        "outcome": "verified partial unchecked no_change",
        "priority": "interactive bulk",
        "wait_reason": "retry rate_limit budget gateway_account gateway_down paused same_work",
    },
}
NOT_NEGATIVE = {
    "ledger_entries": {"amounts": "tokens picos"},
    "windows": {"held": "held_picos held_tokens", "uncertain": "uncertain_picos uncertain_tokens"},
    "jobs": {"money": "held_picos uncertain_picos cost_picos"},
}
TERMINAL = "succeeded failed cancelled"
TABLES = ("ledger_entries", "calls", "windows", "jobs")  # the busiest last


def upgrade() -> None:
    """Replace the functions, so that whoever calls them now is not left without, and the checks one table at a time."""
    for name in ANEW:
        _make("0015", name)
    _check(_short)


def downgrade() -> None:
    """Take those of 0014 again."""
    for name, arguments in ANEW.items():
        op.execute(f"DROP FUNCTION {name}({arguments})")
        _make("0014", name)
    _check(_long)


def _make(revision: str, name: str) -> None:
    op.execute((FUNCTIONS / f"{revision}_{name}.sql").read_text(encoding="utf-8"))


def _check(in_form: Callable[[str], dict[str, str]]) -> None:
    """Give each table its checks in a form; a table is locked for a moment, and read while others write."""
    with op.get_context().autocommit_block():
        for table in TABLES:
            checks = in_form(table)
            anew = (
                f"DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} CHECK ({check}) NOT VALID"
                for name, check in checks.items()
            )
            op.execute(f"ALTER TABLE {table} {', '.join(anew)}")
        op.execute("SET lock_timeout = 0")  # nobody waits for it
        for table in TABLES:
            named = (f"VALIDATE CONSTRAINT {name}" for name in in_form(table))
            op.execute(f"ALTER TABLE {table} {', '.join(named)}")
        op.execute("SET lock_timeout = '500ms'")


def _short(table: str) -> dict[str, str]:
    checks = {name: _one_of(name, words) for name, words in WORDS.get(table, {}).items()}
    for name, columns in NOT_NEGATIVE.get(table, {}).items():
        checks[name] = f"least({', '.join(columns.split())}) >= 0"
    if table == "jobs":
        checks["finished_iff_terminal"] = f"({_one_of('state', TERMINAL)}) = (finished_at IS NOT NULL)"
    return _named(table, checks)


def _long(table: str) -> dict[str, str]:
    checks = {name: f"{name} IN ({_quoted(words)})" for name, words in WORDS.get(table, {}).items()}
    for name, columns in NOT_NEGATIVE.get(table, {}).items():
        checks[name] = " AND ".join(f"{column} >= 0" for column in columns.split())
    if table == "jobs":
        checks["finished_iff_terminal"] = f"(state IN ({_quoted(TERMINAL)})) = (finished_at IS NOT NULL)"
    return _named(table, checks)


def _named(table: str, checks: dict[str, str]) -> dict[str, str]:
    return {f"ck_{table}_{name}": check for name, check in checks.items()}


def _one_of(column: str, words: str) -> str:
    return f"{column} = ANY ('{{{','.join(words.split())}}}')"


def _quoted(words: str) -> str:
    return ", ".join(f"'{word}'" for word in words.split())
