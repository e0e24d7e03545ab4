"""What must hold in the tables after any history, with the stand-in's own ledger as the oracle."""

from typing import Any

from sqlalchemy import Engine, text

from tests.support.ledger_audit import audit

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
    assert audit(engine, truth).differences == []


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
    unbounded = """
        SELECT e.call_id FROM ledger_entries e JOIN calls c ON c.id = e.call_id
        WHERE e.phase = 'overrun' AND NOT c.anomalies && ARRAY['output_over_max', 'input_over_bound']
    """
    assert rows(engine, wrong_counters) == []
    assert rows(engine, wrong_jobs) == []
    assert rows(engine, unbounded) == []


def check_windows_and_events(engine: Engine) -> None:
    """Check that no window is over its cap, and that each job's events are numbered without a gap."""
    over = """
        SELECT w.id FROM windows w JOIN budgets b ON b.id = w.budget_id
        WHERE w.settled_picos + w.held_picos + w.uncertain_picos > b.limit_picos
            OR w.settled_tokens + w.held_tokens + w.uncertain_tokens > b.limit_tokens
    """
    gaps = """
        SELECT j.id FROM jobs j JOIN events e ON e.job_id = j.id GROUP BY j.id
        HAVING j.event_seq <> count(*) OR j.event_seq <> max(e.seq)
    """
    assert rows(engine, over) == []
    assert rows(engine, gaps) == []


def _check_suggestions(engine: Engine) -> None:
    twice = """
        SELECT job_id FROM suggestions GROUP BY job_id, start_line, original, replacement HAVING count(*) > 1
    """
    ended_twice = """
        SELECT job_id FROM events WHERE data->>'to' = 'succeeded' GROUP BY job_id HAVING count(*) > 1
    """
    bought_again = """
        SELECT earlier.job_id FROM calls earlier JOIN calls later USING (job_id, turn)
        WHERE earlier.number < later.number AND earlier.reply IS NOT NULL AND earlier.ended_at < later.sent_at
    """
    assert rows(engine, twice) == []
    assert rows(engine, ended_twice) == []
    assert rows(engine, bought_again) == []
