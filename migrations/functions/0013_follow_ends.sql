-- Tells others that jobs have ended, in the transaction that ends them: webhooks are put out, and runs count.
--
-- Locks: the rows of their runs, by id, after everything else.
CREATE FUNCTION follow_ends(p_jobs uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    run_ids uuid[];
BEGIN
    INSERT INTO deliveries (id, webhook_id, message_id, type, data, attempts, next_attempt_at)
    SELECT new_id(), w.id, new_id(), j.type, jsonb_build_object(
        'id', j.name, 'run', 'run_' || replace(j.run_id::text, '-', ''), 'kind', j.kind, 'state', j.state,
        'outcome', j.outcome, 'origin', j.origin, 'url', '/v1/jobs/' || j.name
    ), '[]', now()
    FROM (
        SELECT id, project_id, run_id, kind, state, outcome, origin, 'job.' || state AS type,
            'job_' || replace(id::text, '-', '') AS name
        FROM jobs WHERE id = ANY (p_jobs)
    ) j JOIN webhooks w ON w.project_id = j.project_id
    WHERE j.type = ANY (w.events) AND w.enabled AND w.deleted_at IS NULL
    ORDER BY j.id;

    SELECT array_agg(DISTINCT run_id) INTO run_ids FROM jobs WHERE id = ANY (p_jobs) AND run_id IS NOT NULL;
    IF run_ids IS NOT NULL THEN
        PERFORM count_runs(run_ids);
    END IF;
END $$
