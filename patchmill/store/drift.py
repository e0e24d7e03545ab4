"""Whether the counters of windows and jobs are what the ledger adds up to, and setting them right.

Counters are a cache: the ledger is the truth about money, and the calls about tokens by kind. Both are read
in one statement, so work that goes on meanwhile makes no difference.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Uuid, bindparam, case, func, literal, text, update

from patchmill.store import auditing
from patchmill.store.engine import allow_long
from patchmill.store.ids import to_edge
from patchmill.store.tables import jobs, windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A window (`win_…`) or a job whose counters differ: by name as they are, and as they should be."""

    kind: str
    id: uuid.UUID
    found: Mapping[str, int]
    due: Mapping[str, int]

    @property
    def subject(self) -> str:
        """Its id as users see it."""
        return to_edge(self.kind, self.id)

    def __str__(self) -> str:
        told = (f"{name} is {self.found[name]} and should be {due}" for name, due in self.due.items())
        return f"{self.subject}: {', '.join(told)}"


def _balance(account: str, unit: str, only: str = "") -> str:
    """Sum what came into an account, less what left it."""
    came = f"coalesce(sum(e.{unit}) FILTER (WHERE e.credit = '{account}'{only}), 0)"
    return f"{came} - coalesce(sum(e.{unit}) FILTER (WHERE e.debit = '{account}'), 0)"


_OF_BUDGET = " AND e.debit <> 'overrun'"  # that is the operator's, and no window's
_OF_WINDOWS = {
    f"{account}_{unit}": _balance(account, unit, _OF_BUDGET)
    for account in ("settled", "held", "uncertain")
    for unit in ("picos", "tokens")
}
_OF_JOBS = {
    "cost_picos": _balance("settled", "picos"),
    "held_picos": _balance("held", "picos"),
    "uncertain_picos": _balance("uncertain", "picos"),
}
_OF_CALLS = {"calls": "count(*)"}
_OF_CALLS |= {name: f"sum(c.{name})::bigint" for name in ("input_tokens", "cached_tokens", "output_tokens")}


def _sums(of: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in of.items())


def _as_json(names: Mapping[str, str], row: str) -> str:
    pairs = ", ".join(f"'{name}', coalesce({row}.{name}, 0)" for name in names)
    return f"jsonb_build_object({pairs})"


_COMPARED = text(
    f"""
    SELECT * FROM (
        SELECT 'win' AS kind, w.id, {_as_json(_OF_WINDOWS, "w")} AS found, {_as_json(_OF_WINDOWS, "l")} AS due
        FROM windows w LEFT JOIN (
            SELECT v.window_id, {_sums(_OF_WINDOWS)}
            FROM call_windows v JOIN ledger_entries e ON e.call_id = v.call_id GROUP BY v.window_id
        ) l ON l.window_id = w.id
        UNION ALL
        SELECT 'job', j.id, {_as_json(_OF_JOBS | _OF_CALLS, "j")},
            {_as_json(_OF_JOBS, "l")} || {_as_json(_OF_CALLS, "t")}
        FROM jobs j LEFT JOIN (
            SELECT c.job_id, {_sums(_OF_JOBS)}
            FROM calls c JOIN ledger_entries e ON e.call_id = c.id GROUP BY c.job_id
        ) l ON l.job_id = j.id LEFT JOIN (
            SELECT c.job_id, {_sums(_OF_CALLS)} FROM calls c GROUP BY c.job_id
        ) t ON t.job_id = j.id
    ) AS counters WHERE found <> due ORDER BY kind, id
    """  # noqa: S608 - put together from the names above
)


def drift(connection: Connection) -> list[Drift]:
    """Give every window and job whose counters differ; reads the whole ledger, for up to a minute."""
    allow_long(connection)
    return [_drift(dict(row)) for row in connection.execute(_COMPARED).mappings()]


def _drift(row: Mapping[str, Any]) -> Drift:
    differ = [name for name, due in row["due"].items() if row["found"][name] != due]
    found, due = ({name: row[side][name] for name in differ} for side in ("found", "due"))
    return Drift(kind=row["kind"], id=row["id"], found=found, due=due)


_TABLES = {"job": jobs, "win": windows}
_LOCKS = {
    kind: text(f"SELECT id FROM {table.name} WHERE id = ANY (:ids) ORDER BY id FOR NO KEY UPDATE").bindparams(  # noqa: S608 - our own tables
        bindparam("ids", type_=ARRAY(Uuid))
    )
    for kind, table in _TABLES.items()
}


def rebuild(connection: Connection, *, actor: str) -> Sequence[Drift]:
    """Set the counters that differ to what the ledger adds up to, each with a row in the audit.

    Whoever holds or settles locks job and windows before it counts, and so does this, in the same order.
    """
    suspects = drift(connection)
    for kind, lock in _LOCKS.items():
        connection.execute(lock, {"ids": [each.id for each in suspects if each.kind == kind]})
    held = {(each.kind, each.id) for each in suspects}
    wrong = [each for each in drift(connection) if (each.kind, each.id) in held] if held else []
    for each in wrong:
        _set_right(connection, each)
        auditing.record(
            connection,
            actor=actor,
            action="ledger.rebuild",
            subject=each.subject,
            details={"found": dict(each.found), "due": dict(each.due)},
        )
    return wrong


def _set_right(connection: Connection, wrong: Drift) -> None:
    table = _TABLES[wrong.kind]
    values: dict[str, Any] = dict(wrong.due)
    if table is windows:
        values |= {f"cap_{unit}": _cap(wrong.due, unit) for unit in ("picos", "tokens")}
    connection.execute(update(table).where(table.c.id == wrong.id).values(values))


def _cap(due: Mapping[str, int], unit: str) -> ColumnElement[int]:
    """Give the cap, lifted where the ledger says that more was used: that is so all the same."""
    names = [f"{account}_{unit}" for account in ("settled", "held", "uncertain")]
    settled, held, uncertain = (literal(due[name]) if name in due else windows.c[name] for name in names)
    cap = windows.c[f"cap_{unit}"]
    return case((cap.is_not(None), func.greatest(cap, settled + held + uncertain)))
