"""The ledger as somebody else sees it: what it must hold at every commit, read on a connection of its own."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import make_url

# Each part names a promise, and gives a row for each thing that breaks it.
_BREACHES = """
WITH legs AS (
    SELECT call_id, debit AS account, -tokens AS tokens, -picos AS picos FROM ledger_entries
    UNION ALL SELECT call_id, credit, tokens, picos FROM ledger_entries
), of_call AS (
    SELECT c.id, c.job_id, c.state, c.hold_tokens, c.hold_picos, c.cost_picos,
        c.input_tokens, c.cached_tokens, c.output_tokens, c.input_picos, c.cached_picos, c.output_picos,
        c.usage,
        coalesce(sum(l.tokens), 0) AS rest_tokens, coalesce(sum(l.picos), 0) AS rest_picos,
        coalesce(sum(l.tokens) FILTER (WHERE account = 'held'), 0) AS held_tokens,
        coalesce(sum(l.picos) FILTER (WHERE account = 'held'), 0) AS held_picos,
        coalesce(sum(l.tokens) FILTER (WHERE account = 'uncertain'), 0) AS uncertain_tokens,
        coalesce(sum(l.picos) FILTER (WHERE account = 'uncertain'), 0) AS uncertain_picos,
        coalesce(sum(l.tokens) FILTER (WHERE account = 'settled'), 0) AS settled_tokens,
        coalesce(sum(l.picos) FILTER (WHERE account = 'settled'), 0) AS settled_picos,
        coalesce(sum(-l.tokens) FILTER (WHERE account = 'overrun'), 0) AS over_tokens,
        coalesce(sum(-l.picos) FILTER (WHERE account = 'overrun'), 0) AS over_picos
    FROM calls c LEFT JOIN legs l ON l.call_id = c.id GROUP BY c.id
), phases AS (
    SELECT c.id, c.state, array_agg(e.phase ORDER BY e.phase) AS names
    FROM calls c LEFT JOIN ledger_entries e ON e.call_id = c.id GROUP BY c.id
), of_window AS (
    SELECT v.window_id, sum(held_tokens) AS held_tokens, sum(held_picos) AS held_picos,
        sum(uncertain_tokens) AS uncertain_tokens, sum(uncertain_picos) AS uncertain_picos,
        sum(settled_tokens - over_tokens) AS settled_tokens, sum(settled_picos - over_picos) AS settled_picos
    FROM of_call JOIN call_windows v ON v.call_id = of_call.id GROUP BY 1
), of_job AS (
    SELECT job_id, sum(cost_picos) AS cost, sum(held_picos) AS held, sum(uncertain_picos) AS uncertain,
        sum(over_picos) AS over, count(*) AS made, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens
    FROM of_call GROUP BY 1
)
SELECT 'I1 a window is over its cap' AS promise, id::text FROM windows
    WHERE settled_picos + held_picos + uncertain_picos > cap_picos
    OR settled_tokens + held_tokens + uncertain_tokens > cap_tokens
UNION ALL SELECT 'I1 a job is over its own cap', j.id::text FROM jobs j JOIN of_job o ON o.job_id = j.id
    WHERE o.cost + o.held + o.uncertain - o.over > j.max_cost_picos
UNION ALL SELECT 'I1 a run is over its cap', r.id::text FROM runs r JOIN jobs j ON j.run_id = r.id
    JOIN of_job o ON o.job_id = j.id GROUP BY r.id
    HAVING sum(o.cost + o.held + o.uncertain - o.over) > r.max_cost_picos
UNION ALL SELECT 'I2 the transfers of a call do not sum to zero', id::text FROM of_call
    WHERE rest_tokens <> 0 OR rest_picos <> 0
UNION ALL SELECT 'I2 a window does not hold what the ledger adds up to', w.id::text
    FROM windows w LEFT JOIN of_window o ON o.window_id = w.id
    WHERE (w.held_tokens, w.held_picos, w.uncertain_tokens, w.uncertain_picos, w.settled_tokens,
        w.settled_picos) IS DISTINCT FROM (coalesce(o.held_tokens, 0), coalesce(o.held_picos, 0),
        coalesce(o.uncertain_tokens, 0), coalesce(o.uncertain_picos, 0),
        coalesce(o.settled_tokens, 0), coalesce(o.settled_picos, 0))
UNION ALL SELECT 'I3 the transfers of a call are not those of its state', id::text FROM phases
    WHERE CASE state
    WHEN 'sent' THEN names <> '{hold}'
    WHEN 'uncertain' THEN names <> '{hold,suspend}'
    WHEN 'void' THEN names NOT IN ('{hold,release}', '{hold,release,suspend}')
    ELSE array_remove(array_remove(array_remove(names, 'release'), 'suspend'), 'overrun') <> '{hold,post}' END
UNION ALL SELECT 'I4 the accounts of a call are not those of its state', id::text FROM of_call
    WHERE (held_tokens, held_picos, uncertain_tokens, uncertain_picos, settled_tokens, settled_picos)
    IS DISTINCT FROM (
        CASE state WHEN 'sent' THEN hold_tokens ELSE 0 END, CASE state WHEN 'sent' THEN hold_picos ELSE 0 END,
        CASE state WHEN 'uncertain' THEN hold_tokens ELSE 0 END,
        CASE state WHEN 'uncertain' THEN hold_picos ELSE 0 END,
        CASE state WHEN 'settled' THEN input_tokens + output_tokens ELSE 0 END,
        CASE state WHEN 'settled' THEN cost_picos ELSE 0 END)
UNION ALL SELECT 'I4 a job does not hold what its calls do', j.id::text
    FROM jobs j LEFT JOIN of_job o ON o.job_id = j.id
    WHERE (j.held_picos, j.uncertain_picos, j.cost_picos, j.calls, j.input_tokens, j.output_tokens)
        IS DISTINCT FROM (coalesce(o.held, 0), coalesce(o.uncertain, 0), coalesce(o.cost, 0),
            coalesce(o.made, 0), coalesce(o.input_tokens, 0), coalesce(o.output_tokens, 0))
UNION ALL SELECT 'I5 a cost is not its tokens at its rates', id::text FROM of_call WHERE state = 'settled'
    AND cost_picos <> (input_tokens - cached_tokens) * input_picos + cached_tokens * cached_picos
        + output_tokens * output_picos
UNION ALL SELECT 'I5 what was read is not what was reported', id::text FROM of_call WHERE state = 'settled'
    AND (input_tokens, output_tokens) IS DISTINCT FROM
        ((usage->>'prompt_tokens')::bigint, (usage->>'completion_tokens')::bigint)
UNION ALL SELECT 'I5 a call that is not settled has a cost', id::text FROM of_call
    WHERE state <> 'settled' AND cost_picos <> 0
"""
_WINDOWS = """
    SELECT id, budget_id, starts_at, resets_at, settled_tokens, settled_picos, held_tokens, held_picos,
        uncertain_tokens, uncertain_picos FROM windows
"""
_CALLS = """
    SELECT id, state, max_tokens, hold_tokens, hold_picos, cost_picos, input_picos, cached_picos, output_picos
    FROM calls
"""
_JOBS = "SELECT id, state, fence, dispatch_no, worker_id, cancel_requested FROM jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is committed: promises that are broken, and the rows by id."""

    breaches: Sequence[tuple[str, str]]
    windows: dict[uuid.UUID, dict[str, Any]]
    calls: dict[uuid.UUID, dict[str, Any]]
    jobs: dict[uuid.UUID, dict[str, Any]]


class Onlooker:
    """Reads on one connection of its own; a new one after it was cut off."""

    def __init__(self, database_url: str) -> None:
        self._url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def look(self) -> Seen:
        """Read everything, as of one commit."""
        connection = self._connected()
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            breaches = [(row["promise"], row["id"]) for row in self._rows(_BREACHES)]
            return Seen(
                breaches=breaches,
                windows=self._by_id(_WINDOWS),
                calls=self._by_id(_CALLS),
                jobs=self._by_id(_JOBS),
            )

    def execute(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run one statement, committed at once, and give its rows."""
        cursor = self._connected().execute(statement, values or None)
        return [] if cursor.description is None else cursor.fetchall()

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        return self._connected().execute(statement, prepare=True).fetchall()

    def _by_id(self, statement: str) -> dict[uuid.UUID, dict[str, Any]]:
        return {row["id"]: row for row in self._rows(statement)}

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None:
            self._connection = psycopg.connect(self._url, row_factory=dict_row, autocommit=True)
            self._connection.execute("SET timezone = 'UTC'")
        return self._connection
