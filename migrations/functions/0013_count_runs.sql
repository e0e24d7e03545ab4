-- Tells how far runs are now that jobs of theirs have ended, and ends those whose last job has.
--
-- Locks: the rows of the runs, by id. Whoever calls this locks nothing after it, so those who end jobs of one run
-- queue here for the rest of their short transactions, and each counts what the one before it wrote.
CREATE FUNCTION count_runs(p_runs uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM runs WHERE id = ANY (p_runs) ORDER BY id FOR NO KEY UPDATE;
    -- A statement of its own, so that it sees what was written by who held the locks before.
    WITH counted AS (
        SELECT r.id, r.project_id, r.kind, r.state, r.origin, r.event_seq, c.jobs, c.findings,
            c.all_ended AND r.state IN ('queued', 'running') AS ends,
            CASE WHEN r.cancel_requested THEN 'cancelled' ELSE 'finished' END AS target,
            CASE WHEN NOT r.cancel_requested THEN c.outcome END AS outcome,
            'run_' || replace(r.id::text, '-', '') AS name
        FROM runs r JOIN run_counts(p_runs) c ON c.run_id = r.id
    ), noted AS (
        UPDATE runs r
        SET event_seq = r.event_seq + CASE WHEN c.ends THEN 2 ELSE 1 END,
            state = CASE WHEN c.ends THEN c.target ELSE r.state END,
            outcome = CASE WHEN c.ends THEN c.outcome ELSE r.outcome END,
            finished_at = CASE WHEN c.ends THEN now() ELSE r.finished_at END
        FROM counted c WHERE r.id = c.id
    ), told AS (
        INSERT INTO events (project_id, run_id, seq, type, data)
        SELECT project_id, id, event_seq + 1, 'run.progress',
            jsonb_build_object('jobs', jobs, 'findings', findings) FROM counted
        UNION ALL
        SELECT project_id, id, event_seq + 2, 'run.state',
            jsonb_build_object('from', state, 'to', target) FROM counted WHERE ends
        ORDER BY 2, 3
    )
    INSERT INTO deliveries (id, webhook_id, message_id, type, data, attempts, next_attempt_at)
    SELECT new_id(), w.id, new_id(), 'run.finished', jsonb_build_object(
        'id', c.name, 'kind', c.kind, 'state', c.target, 'outcome', c.outcome, 'origin', c.origin,
        'url', '/v1/runs/' || c.name
    ), '[]', now()
    FROM counted c JOIN webhooks w ON w.project_id = c.project_id
    WHERE c.ends AND 'run.finished' = ANY (w.events) AND w.enabled AND w.deleted_at IS NULL;
END $$
