"""The checker that every fault test ends with finds what is planted, and nothing where nothing is."""

import json
import re

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.windows import WindowKind
from patchmill.store.access import ensure_project
from patchmill.store.budgets import add_budget
from patchmill.store.ids import to_edge
from tests.support import invariants
from tests.support.claimed import admitted, claimed, submitted

TTL_S = 1.5
NOTHING = {"requests": 0, "rows": []}
_CALL_AGAIN = """
    CREATE TEMP TABLE again AS SELECT * FROM calls;
    UPDATE again SET id = gen_random_uuid(), number = 2, sent_at = now() + interval '1 second', {changes};
    INSERT INTO calls SELECT * FROM again;
    INSERT INTO ledger_entries (call_id, phase, debit, credit, tokens, picos, at)
        SELECT id, 'hold', 'available', 'held', hold_tokens, hold_picos, sent_at FROM again;
"""
_ARROW = """
    INSERT INTO events (project_id, job_id, seq, type, data)
    SELECT project_id, job_id, 99, 'job.state',
        jsonb_build_object('from', '{source}', 'to', '{to}', 'attempt', 1)
    FROM events WHERE job_id IS NOT NULL LIMIT 1
"""
_SUGGESTION = """
    INSERT INTO suggestions (id, job_id, ordinal, path, start_line, end_line, original, replacement, title,
        explanation, status, source, safety, requires, committable, findings)
    SELECT gen_random_uuid(), id, {ordinal}, 'a.py', 1, 1, 'a', 'b', '', '', 'verified', 'model', 'safe',
        '{{}}', true, '{{}}' FROM jobs;
"""
_WEBHOOK = """
    INSERT INTO webhooks (id, project_id, url, events, created_at)
    SELECT gen_random_uuid(), project_id, 'https://example.org', '{job.cancelled}', now() - interval '1 hour'
    FROM jobs LIMIT 1;
"""
_RUN = """
    INSERT INTO runs (id, project_id, kind, state, outcome, finished_at, findings, skipped, origin, labels)
    SELECT gen_random_uuid(), id, 'fix', {state}, 1, '[]', '{{}}', '{{}}' FROM projects;
    INSERT INTO events (project_id, run_id, seq, type, data)
    SELECT project_id, id, 1, 'run.progress', '{told}' FROM runs;
"""
_ENDED = "'finished', 'verified', now()"
_NO_JOBS = {"total": 0, "queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
PLANTED = {
    "a window does not hold what its calls' transfers add up to": "UPDATE windows SET held_picos = 1",
    "a job does not cost what its calls do": "UPDATE jobs SET cost_picos = 1",
    "the transfers of a call are not those of its state": "UPDATE calls SET state = 'void'",
    "a call has no hold": "DELETE FROM ledger_entries",
    "more was used than held, and nothing says why": """
        INSERT INTO ledger_entries (call_id, phase, debit, credit, tokens, picos)
        SELECT id, 'overrun', 'overrun', 'settled', 0, 0 FROM calls
    """,
    "two calls of a job were in flight at once": _CALL_AGAIN.format(changes="turn = 'another'"),
    "an answer was there and was bought again": "UPDATE calls SET reply = '', ended_at = now();"
    + _CALL_AGAIN.format(changes="turn = turn"),
    "an event tells of an arrow that there is not": _ARROW.format(source="running", to="dispatched"),
    "an arrow does not begin where the one before it ended": _ARROW.format(source="queued", to="dispatched"),
    "a job is not where its last arrow ended": _ARROW.format(source="running", to="queued"),
    "a claim was won twice": _ARROW.format(source="dispatched", to="running"),
    "the events of a job are not numbered without a gap": "UPDATE jobs SET event_seq = event_seq + 1",
    "an attempt is open though its job does not run in it": "UPDATE jobs SET fence = fence + 1",
    "a suggestion is there twice": _SUGGESTION.format(ordinal=1) + _SUGGESTION.format(ordinal=2),
    "a job succeeded more often than it was asked to": _ARROW.format(source="running", to="succeeded")
    + ";"
    + _ARROW.format(source="running", to="succeeded").replace("99", "100"),
    "a webhook is not told once of each end of a job": _WEBHOOK
    + _ARROW.format(source="running", to="cancelled"),
    "a run is open though its jobs have all ended, or the other way round": _RUN.format(
        state="'queued', NULL, NULL", told="{}"
    ),
    "what an ended run told last is not what became of its jobs": _RUN.format(
        state=_ENDED, told=json.dumps({"jobs": _NO_JOBS | {"succeeded": 1}, "findings": {"verified": 0}})
    ),
    "the events of a run are not numbered without a gap": _RUN.format(
        state=_ENDED, told=json.dumps({"jobs": _NO_JOBS, "findings": {"verified": 0}})
    )
    + "UPDATE runs SET event_seq = 2",
    "a job runs without a lease that lives": """
        UPDATE workers SET heartbeat_at = now() - interval '1 hour';
        UPDATE calls SET deadline_at = now() - interval '1 hour';
    """,
    "a job is dispatched and nobody claims it": """
        UPDATE jobs SET state = 'dispatched', worker_id = NULL, dispatched_at = now() - interval '1 hour'
    """,
    "a job waits without a reason": """
        UPDATE jobs SET state = 'queued', worker_id = NULL, run_at = now() + interval '1 hour'
    """,
}


def a_call_on_the_wire(engine: Engine) -> str:
    """Give the id of a job with a call that is sent, under a budget."""
    with engine.begin() as connection:
        ensure_project(connection, "default")
        add_budget(
            connection,
            name="all",
            scope="installation",
            project_id=None,
            key_id=None,
            window=WindowKind.TOTAL,
            time_zone="UTC",
            limit_picos=10**12,
            limit_tokens=None,
            at_limit="wait",
        )
    claim = claimed(engine)
    admitted(engine, claim)
    return to_edge("job", claim.job_id)


def test_nothing_is_found_where_nothing_is_wrong(engine: Engine) -> None:
    job = a_call_on_the_wire(engine)

    invariants.check_under_way(engine, lease_ttl_s=TTL_S, accepted=[job])


@pytest.mark.parametrize("sentence", PLANTED)
def test_what_is_planted_is_found(engine: Engine, sentence: str) -> None:
    a_call_on_the_wire(engine)
    with engine.begin() as connection:
        connection.execute(
            text("SET LOCAL session_replication_role = replica")
        )  # so that no trigger refuses it
        connection.execute(text(PLANTED[sentence].replace(":", r"\:")))

    with pytest.raises(AssertionError, match=re.escape(sentence)):
        invariants.check_under_way(engine, lease_ttl_s=TTL_S)


def test_every_sentence_has_something_planted() -> None:
    hands = invariants._in_nobodys_hands(TTL_S)  # made for the lease time, so there is no constant of it

    assert set(PLANTED) == {*invariants.ALWAYS, *hands}


def test_what_has_not_ended_is_found_at_the_end(engine: Engine) -> None:
    a_call_on_the_wire(engine)

    with pytest.raises(AssertionError, match=r"(?s)a job has not ended.*a call has not ended"):
        invariants.check(engine, NOTHING)


def test_a_job_that_was_accepted_and_is_not_there_is_found(engine: Engine) -> None:
    submitted(engine)
    lost = "job_0197c5f0a3b17372a0b43863aa2e8f6e"

    with pytest.raises(AssertionError, match=f"{lost} was accepted and is not there"):
        invariants.check_under_way(engine, lease_ttl_s=TTL_S, accepted=[lost])


def test_a_request_that_is_no_call_of_ours_is_found(engine: Engine) -> None:
    row = {"request_id": "req_1", "at": "2026-11-26T00:00:00Z", "messages_sha256": "0" * 64, "model": "m"}

    with pytest.raises(AssertionError, match="request req_1 is no call of ours"):
        invariants.check(engine, {"requests": 1, "rows": [row]})
