-- Counts the jobs and findings of runs, as documents and events show them, and says how each ends once all of
-- its jobs have. A job on its way to a worker is queued for everybody else; what an ended job left open is
-- unresolved.
CREATE FUNCTION run_counts(p_runs uuid[])
RETURNS TABLE (run_id uuid, jobs jsonb, findings jsonb, all_ended boolean, outcome text)
LANGUAGE sql STABLE AS $$
    WITH of_jobs AS (
        SELECT j.run_id, count(*) AS total,
            count(*) FILTER (WHERE j.state IN ('queued', 'dispatched')) AS queued,
            count(*) FILTER (WHERE j.state = 'running') AS running,
            count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE j.state = 'failed') AS failed,
            count(*) FILTER (WHERE j.state = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE j.outcome = 'verified') AS verified,
            count(*) FILTER (WHERE j.outcome = 'partial') AS partial,
            count(*) FILTER (WHERE j.outcome = 'unchecked') AS unchecked,
            count(*) FILTER (WHERE j.outcome = 'no_change') AS no_change
        FROM jobs j WHERE j.run_id = ANY (p_runs) GROUP BY j.run_id
    ), of_findings AS (
        SELECT j.run_id,
            count(*) FILTER (WHERE f.status = 'verified') AS verified,
            count(*) FILTER (WHERE f.status = 'unchecked') AS unchecked,
            count(*) FILTER (
                WHERE f.status = 'unresolved' OR (f.status = 'pending' AND j.finished_at IS NOT NULL)
            ) AS unresolved
        FROM jobs j JOIN findings f ON f.job_id = j.id WHERE j.run_id = ANY (p_runs) GROUP BY j.run_id
    )
    SELECT r.id,
        jsonb_build_object(
            'total', coalesce(j.total, 0), 'queued', coalesce(j.queued, 0), 'running', coalesce(j.running, 0),
            'succeeded', coalesce(j.succeeded, 0), 'failed', coalesce(j.failed, 0),
            'cancelled', coalesce(j.cancelled, 0)
        ),
        jsonb_build_object(
            'total', r.findings, 'verified', coalesce(f.verified, 0), 'unchecked', coalesce(f.unchecked, 0),
            'unresolved', coalesce(f.unresolved, 0), 'skipped', jsonb_array_length(r.skipped)
        ),
        coalesce(j.succeeded + j.failed + j.cancelled = j.total, true),
        CASE
            WHEN j.total IS NULL OR j.no_change = j.total THEN 'no_change'
            WHEN j.verified + j.no_change = j.total THEN 'verified'
            WHEN j.verified + j.partial > 0 THEN 'partial'
            WHEN j.unchecked > 0 THEN 'unchecked'
            ELSE 'failed'
        END
    FROM runs r LEFT JOIN of_jobs j ON j.run_id = r.id LEFT JOIN of_findings f ON f.run_id = r.id
    WHERE r.id = ANY (p_runs)
$$
