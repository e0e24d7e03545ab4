"""What must hold in the tables after any history, with the stand-in's own ledger as the oracle.

`check` is for when everything has ended, `check_under_way` for any moment before that. Each invariant is a
sentence with the query that finds what breaks it; all of them are asked before any breach is told.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, text

from patchmill.job.state import ARROWS
from patchmill.store.engine import one_by_one
from patchmill.store.ids import from_edge
from tests.support.ledger_audit import audit

OPEN = "('queued', 'dispatched', 'running')"
LEASES = 4  # after so many lease times somebody must have taken over, on a busy machine too
_ARROWS = ", ".join(f"('{source}', '{target}')" for source, target in ARROWS)
_TELLS = "array['job.succeeded', 'job.failed', 'job.cancelled']"

ENDED = {
    "a job has not ended": f"SELECT id, state, wait_reason FROM jobs WHERE state IN {OPEN}",
    "a call has not ended": "SELECT id, job_id FROM calls WHERE state = 'sent'",
}
LEDGER = {
    "a window does not hold what its calls' transfers add up to": """
        SELECT w.id FROM windows w LEFT JOIN call_windows v ON v.window_id = w.id
        LEFT JOIN ledger_entries e ON e.call_id = v.call_id AND e.debit <> 'overrun' GROUP BY w.id
        HAVING w.settled_picos <> coalesce(sum(e.picos) FILTER (WHERE e.credit = 'settled'), 0)
            OR w.settled_tokens <> coalesce(sum(e.tokens) FILTER (WHERE e.credit = 'settled'), 0)
            OR w.held_picos <> coalesce(
                sum(CASE 'held' WHEN e.credit THEN e.picos WHEN e.debit THEN -e.picos END), 0)
            OR w.uncertain_picos <> coalesce(
                sum(CASE 'uncertain' WHEN e.credit THEN e.picos WHEN e.debit THEN -e.picos END), 0)
    """,
    "a job does not cost what its calls do": """
        SELECT j.id FROM jobs j LEFT JOIN calls c ON c.job_id = j.id GROUP BY j.id
        HAVING j.cost_picos <> coalesce(sum(c.cost_picos), 0)
            OR j.held_picos <> coalesce(sum(c.hold_picos) FILTER (WHERE c.state = 'sent'), 0)
            OR j.uncertain_picos <> coalesce(sum(c.hold_picos) FILTER (WHERE c.state = 'uncertain'), 0)
            OR j.output_tokens <> coalesce(sum(c.output_tokens), 0)
    """,
    "the transfers of a call are not those of its state": """
        WITH moved AS (
            SELECT call_id, account, sum(picos) AS picos, sum(tokens) AS tokens FROM (
                SELECT call_id, credit AS account, picos, tokens FROM ledger_entries
                UNION ALL SELECT call_id, debit, -picos, -tokens FROM ledger_entries
            ) sides GROUP BY call_id, account
        )
        SELECT c.id, c.state, m.account, m.picos, m.tokens FROM calls c JOIN moved m ON m.call_id = c.id,
            LATERAL (SELECT CASE c.state WHEN 'sent' THEN 'held' ELSE c.state END AS account) at
        WHERE (m.account IN ('held', 'uncertain') AND (
                m.picos <> CASE WHEN m.account = at.account THEN c.hold_picos ELSE 0 END
                OR m.tokens <> CASE WHEN m.account = at.account THEN c.hold_tokens ELSE 0 END))
            OR (m.account = 'settled' AND m.picos <> c.cost_picos)
    """,
    "a call has no hold": """
        SELECT c.id FROM calls c LEFT JOIN ledger_entries e ON e.call_id = c.id AND e.phase = 'hold'
        WHERE e.call_id IS NULL
    """,
    "more was used than held, and nothing says why": """
        SELECT e.call_id FROM ledger_entries e JOIN calls c ON c.id = e.call_id
        WHERE e.phase = 'overrun' AND NOT c.anomalies && ARRAY['output_over_max', 'input_over_bound']
    """,
}
CALLS = {
    "two calls of a job were in flight at once": """
        WITH flights AS (
            SELECT c.id, c.job_id, c.number, min(e.at) FILTER (WHERE e.phase = 'hold') AS sent_at,
                coalesce(min(e.at) FILTER (WHERE e.phase <> 'hold'), 'infinity') AS ended_at
            FROM calls c JOIN ledger_entries e ON e.call_id = c.id GROUP BY c.id
        )
        SELECT earlier.job_id, earlier.id, later.id FROM flights earlier JOIN flights later USING (job_id)
        WHERE earlier.number < later.number AND later.sent_at < earlier.ended_at
    """,
    "an answer was there and was bought again": """
        SELECT earlier.job_id FROM calls earlier JOIN calls later USING (job_id, turn)
        JOIN jobs j ON j.id = earlier.job_id
        WHERE earlier.number < later.number AND earlier.reply IS NOT NULL AND earlier.ended_at < later.sent_at
            AND (earlier.number <= j.calls_before) = (later.number <= j.calls_before)
    """,
}
LIFE = {
    "an event tells of an arrow that there is not": f"""
        SELECT job_id, seq, data FROM events WHERE type = 'job.state' AND data->>'from' IS NOT NULL
            AND (data->>'from', data->>'to') NOT IN ({_ARROWS})
    """,
    "an arrow does not begin where the one before it ended": """
        SELECT job_id, seq, data FROM (
            SELECT job_id, seq, data, lag(data->>'to') OVER (PARTITION BY job_id ORDER BY seq) AS before
            FROM events WHERE type = 'job.state'
        ) arrows WHERE data->>'from' IS DISTINCT FROM before
    """,
    "a job is not where its last arrow ended": """
        SELECT j.id, j.state, e.data FROM jobs j JOIN LATERAL (
            SELECT data FROM events WHERE job_id = j.id AND type = 'job.state' ORDER BY seq DESC LIMIT 1
        ) e ON true WHERE j.state <> e.data->>'to'
    """,
    "a claim was won twice": """
        SELECT job_id, data->>'attempt' FROM events WHERE type = 'job.state' AND data->>'to' = 'running'
        GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "the events of a job are not numbered without a gap": """
        SELECT j.id FROM jobs j JOIN events e ON e.job_id = j.id WHERE j.pruned_at IS NULL GROUP BY j.id
        HAVING j.event_seq <> count(*) OR j.event_seq <> max(e.seq)
    """,
    "an attempt is open though its job does not run in it": """
        SELECT a.job_id, a.fence FROM attempts a JOIN jobs j ON j.id = a.job_id
        WHERE (a.ended_at IS NULL) <> (j.state = 'running' AND j.fence = a.fence)
    """,
}
RESULTS = {
    "a suggestion is there twice": """
        SELECT job_id FROM suggestions GROUP BY job_id, start_line, original, replacement HAVING count(*) > 1
    """,
    "a job succeeded more often than it was asked to": """
        SELECT job_id FROM events WHERE type = 'job.state' GROUP BY job_id
        HAVING count(*) FILTER (WHERE data->>'to' = 'succeeded')
            > 1 + count(*) FILTER (WHERE data->>'from' IN ('succeeded', 'failed', 'cancelled'))
    """,
    "a webhook is not told once of each end of a job": f"""
        WITH ends AS (
            SELECT w.id AS webhook_id, 'job_' || replace(e.job_id::text, '-', '') AS job, count(*) AS number
            FROM events e JOIN webhooks w ON w.project_id = e.project_id
            WHERE e.type = 'job.state' AND 'job.' || (e.data->>'to') = ANY (w.events)
                AND 'job.' || (e.data->>'to') = ANY ({_TELLS})
                AND e.at > w.created_at AND w.enabled AND w.deleted_at IS NULL
            GROUP BY 1, 2
        ), told AS (
            SELECT d.webhook_id, d.data->>'id' AS job, count(*) AS number
            FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id AND w.enabled AND w.deleted_at IS NULL
            WHERE d.type = ANY ({_TELLS}) AND NOT d.by_hand GROUP BY 1, 2
        )
        SELECT job, ends.number, told.number FROM ends FULL JOIN told USING (webhook_id, job)
        WHERE ends.number IS DISTINCT FROM told.number
    """,
}
RUNS = {
    "a run is open though its jobs have all ended, or the other way round": f"""
        SELECT r.id, r.state FROM runs r WHERE (r.finished_at IS NULL) <> EXISTS (
            SELECT FROM jobs j WHERE j.run_id = r.id AND j.state IN {OPEN})
    """,
    "what an ended run told last is not what became of its jobs": """
        SELECT r.id, told.data, became.jobs, became.verified FROM runs r, LATERAL (
            SELECT data FROM events WHERE run_id = r.id AND type = 'run.progress' ORDER BY seq DESC LIMIT 1
        ) told, LATERAL (
            SELECT jsonb_build_object('total', count(*), 'queued', 0, 'running', 0,
                'succeeded', count(*) FILTER (WHERE state = 'succeeded'),
                'failed', count(*) FILTER (WHERE state = 'failed'),
                'cancelled', count(*) FILTER (WHERE state = 'cancelled')) AS jobs,
                (SELECT count(*) FROM findings f JOIN jobs j ON j.id = f.job_id
                    WHERE j.run_id = r.id AND f.status = 'verified') AS verified
            FROM jobs WHERE run_id = r.id
        ) became
        WHERE r.finished_at IS NOT NULL AND r.pruned_at IS NULL AND (told.data->'jobs' <> became.jobs
            OR told.data->'findings'->'verified' <> to_jsonb(became.verified))
    """,
    "the events of a run are not numbered without a gap": """
        SELECT r.id FROM runs r LEFT JOIN events e ON e.run_id = r.id AND e.job_id IS NULL
        WHERE r.pruned_at IS NULL GROUP BY r.id
        HAVING r.event_seq <> count(e.seq) OR r.event_seq <> coalesce(max(e.seq), 0)
    """,
}
ALWAYS = LEDGER | CALLS | LIFE | RESULTS | RUNS


def rows(engine: Engine, statement: str) -> list[Any]:
    """Run one query, which no pause of a busy test makes a long transaction."""
    with one_by_one(engine) as connection:
        return list(connection.execute(text(statement)))


def open_jobs(engine: Engine) -> int:
    """Count the jobs that have not ended."""
    return int(rows(engine, f"SELECT count(*) FROM jobs WHERE state IN {OPEN}")[0][0])


def check(engine: Engine, truth: dict[str, Any], accepted: Collection[str] = ()) -> None:
    """Check every invariant; all jobs must have ended, and those that were `accepted` be among them."""
    broken = _broken(engine, {**ENDED, **ALWAYS})
    broken += _lost(engine, accepted)
    broken += audit(engine, truth).differences
    _expect_none(broken)


def check_under_way(engine: Engine, *, lease_ttl_s: float, accepted: Collection[str] = ()) -> None:
    """Check what holds at any moment: also that every job is due, or in the hands of somebody who lives.

    What was given up counts once nobody has taken it over for several lease times.
    """
    broken = _broken(engine, {**ALWAYS, **_in_nobodys_hands(lease_ttl_s)})
    broken += _lost(engine, accepted)
    _expect_none(broken)


def check_ledger(engine: Engine) -> None:
    """Check that windows and jobs hold what ledger and calls add up to, and that nothing ran over."""
    _expect_none(_broken(engine, LEDGER))


def check_windows_and_events(engine: Engine) -> None:
    """Check that no window is over its cap, and that each job's events are numbered without a gap."""
    over = """
        SELECT w.id FROM windows w JOIN budgets b ON b.id = w.budget_id
        WHERE w.settled_picos + w.held_picos + w.uncertain_picos > b.limit_picos
            OR w.settled_tokens + w.held_tokens + w.uncertain_tokens > b.limit_tokens
    """
    _expect_none(_broken(engine, {"a window is over its cap": over, **LIFE}))


def _expect_none(broken: Sequence[str]) -> None:
    assert broken == [], "\n".join(broken)  # pytest itself shows no values here


def _in_nobodys_hands(lease_ttl_s: float) -> Mapping[str, str]:
    long_ago = f"now() - interval '{LEASES * lease_ttl_s} seconds'"
    return {
        "a job runs without a lease that lives": f"""
            SELECT j.id, w.heartbeat_at FROM jobs j LEFT JOIN workers w ON w.id = j.worker_id
            WHERE j.state = 'running' AND (w.id IS NULL OR w.heartbeat_at < {long_ago})
                AND NOT EXISTS (
                    SELECT FROM calls c
                    WHERE c.job_id = j.id AND c.state = 'sent' AND c.deadline_at > {long_ago}
                )
        """,
        "a job is dispatched and nobody claims it": f"""
            SELECT id, dispatched_at FROM jobs WHERE state = 'dispatched' AND dispatched_at < {long_ago}
        """,
        "a job waits without a reason": """
            SELECT id, run_at FROM jobs
            WHERE state = 'queued' AND wait_reason IS NULL AND run_at > now() + interval '1 second'
        """,
    }


def _broken(engine: Engine, invariants: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for sentence, statement in invariants.items():
        found += _in_words(sentence, rows(engine, statement))
    return found


def _in_words(sentence: str, breaches: Iterable[Any]) -> list[str]:
    return [f"{sentence}: {tuple(row)}" for row in breaches]


def _lost(engine: Engine, accepted: Collection[str]) -> list[str]:
    there = {id_ for (id_,) in rows(engine, "SELECT id FROM jobs")}
    return [f"{job} was accepted and is not there" for job in accepted if from_edge("job", job) not in there]
