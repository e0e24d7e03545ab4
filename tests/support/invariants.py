"""What must hold in the tables after any history, with the stand-in's own ledger as the oracle."""

from collections import Counter
from typing import Any

from sqlalchemy import Engine, text

OPEN = "('queued', 'dispatched', 'running')"


def rows(engine: Engine, statement: str) -> list[Any]:
    """Run one query."""
    with engine.connect() as connection:
        return list(connection.execute(text(statement)))


def check(engine: Engine, truth: dict[str, Any]) -> None:
    """Check every invariant; all jobs must have ended."""
    assert rows(engine, f"SELECT id, state, wait_reason FROM jobs WHERE state IN {OPEN}") == []
    assert rows(engine, "SELECT id FROM calls WHERE state = 'sent'") == []
    check_ledger(engine)
    _check_suggestions(engine)
    _check_truth(engine, truth)


def check_ledger(engine: Engine) -> None:
    """Check that windows and jobs hold what ledger and calls add up to, and that nothing ran over."""
    wrong_counters = """
        SELECT w.id FROM windows w LEFT JOIN call_windows v ON v.window_id = w.id
        LEFT JOIN ledger_entries e ON e.call_id = v.call_id AND e.debit <> 'overrun' GROUP BY w.id
        HAVING w.settled_picos <> coalesce(sum(e.picos) FILTER (WHERE e.credit = 'settled'), 0)
            OR w.settled_tokens <> coalesce(sum(e.tokens) FILTER (WHERE e.credit = 'settled'), 0)
            OR w.held_picos <> coalesce(
                sum(CASE 'held' WHEN e.credit THEN e.picos WHEN e.debit THEN -e.picos END), 0)
            OR w.uncertain_picos <> coalesce(
                sum(CASE 'uncertain' WHEN e.credit THEN e.picos WHEN e.debit THEN -e.picos END), 0)
    """
    wrong_jobs = """
        SELECT j.id FROM jobs j LEFT JOIN calls c ON c.job_id = j.id GROUP BY j.id
        HAVING j.cost_picos <> coalesce(sum(c.cost_picos), 0) OR j.held_picos <> 0
            OR j.uncertain_picos <> coalesce(sum(c.hold_picos) FILTER (WHERE c.state = 'uncertain'), 0)
            OR j.output_tokens <> coalesce(sum(c.output_tokens), 0)
    """
    assert rows(engine, wrong_counters) == []
    assert rows(engine, wrong_jobs) == []
    assert rows(engine, "SELECT call_id FROM ledger_entries WHERE phase = 'overrun'") == []


def _check_suggestions(engine: Engine) -> None:
    twice = """
        SELECT job_id FROM suggestions GROUP BY job_id, start_line, original, replacement HAVING count(*) > 1
    """
    ended_twice = """
        SELECT job_id FROM events WHERE data->>'to' = 'succeeded' GROUP BY job_id HAVING count(*) > 1
    """
    bought_again = """
        SELECT job_id FROM calls WHERE reply IS NOT NULL GROUP BY job_id, turn HAVING count(*) > 1
    """
    assert rows(engine, twice) == []
    assert rows(engine, ended_twice) == []
    assert rows(engine, bought_again) == []


def _check_truth(engine: Engine, truth: dict[str, Any]) -> None:
    """What the gateway billed is settled to the token, or listed as uncertain."""
    calls = rows(
        engine,
        "SELECT state, gateway_request_id, input_tokens, cached_tokens, output_tokens, cost_picos FROM calls",
    )
    uncertain = sum(call.state == "uncertain" for call in calls)
    settled = {call.gateway_request_id: call for call in calls if call.state == "settled"}
    billed = {row["request_id"]: row for row in truth["rows"] if row["outcome"] == "billed"}

    assert truth["requests"] <= len(calls)
    assert set(settled) <= set(billed)
    assert len(billed) - len(settled) <= uncertain
    for request_id, call in settled.items():
        row = billed[request_id]
        assert (call.input_tokens, call.cached_tokens, call.output_tokens, call.cost_picos) == (
            row["input_tokens"],
            row["cached_tokens"],
            row["output_tokens"],
            row["cost_picos"],
        )
    assert (
        max(Counter(call.gateway_request_id for call in calls if call.gateway_request_id).values(), default=1)
        == 1
    )
