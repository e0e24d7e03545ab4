-- Ends a running job with all that comes with its end, in one statement: what it found with the evidence, what is
-- told of it, its attempt, who waits for the same work, webhooks, its run.
--
-- Nothing is decided here. `p_end` holds columns of the job (those that are null stay as they are, but for outcome
-- and error) and whether it `serves` jobs of the same work; `p_found` holds rows of `suggestions` and `checks`,
-- `fates` of findings, and the events that are `told` before the end's own. Nothing is written, and the answer is
-- not `ended`, when the job does not run under this fence any more (`lost`), when it was asked to stop and
-- `p_target` is another end (`cancelled`), and the other way round (`not_cancelled`).
--
-- Locks: the job; up to `p_wake` jobs that wait behind it and that nobody else holds, never waited for; its run.
CREATE FUNCTION end_job(
    p_job uuid, p_fence integer, p_target text, p_end jsonb, p_found jsonb, p_wake integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    job record;
    told jsonb := p_found->'told';
BEGIN
    SELECT project_id, run_id, event_seq, wait_reason, cancel_requested, work_key, served_from
    INTO job FROM jobs WHERE id = p_job AND fence = p_fence AND state = 'running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'lost';
    END IF;
    IF job.cancel_requested <> (p_target = 'cancelled') THEN
        RETURN CASE WHEN job.cancel_requested THEN 'cancelled' ELSE 'not_cancelled' END;
    END IF;

    -- A statement of its own, so that it sees who began to wait for this job before it was locked.
    WITH offered AS (
        INSERT INTO suggestions (
            id, job_id, ordinal, path, start_line, end_line, original, replacement, title, explanation,
            status, source, safety, requires, committable, findings
        )
        SELECT id, p_job, ordinal, path, start_line, end_line, original, replacement, title, explanation,
            status, source, safety, requires, committable, findings
        FROM jsonb_to_recordset(p_found->'suggestions') AS s(
            id uuid, ordinal integer, path text, start_line integer, end_line integer, original text,
            replacement text, title text, explanation text, status text, source text, safety text,
            requires uuid[], committable boolean, findings integer[]
        )
    ), proven AS (
        INSERT INTO checks (job_id, suggestion_id, call_id, "check", result, detail)
        SELECT p_job, suggestion_id, call_id, "check", result, detail
        FROM ROWS FROM (
            jsonb_to_recordset(p_found->'checks')
            AS (suggestion_id uuid, call_id uuid, "check" text, result text, detail text)
        ) WITH ORDINALITY AS c(suggestion_id, call_id, "check", result, detail, number)
        ORDER BY number
    ), judged AS (
        UPDATE findings f SET status = t.status, reason = t.reason
        FROM jsonb_to_recordset(p_found->'fates') AS t("index" integer, status text, reason text)
        WHERE f.job_id = p_job AND f."index" = t."index"
    ), closed AS (
        UPDATE attempts SET ended_at = now(), ending = p_target WHERE job_id = p_job AND fence = p_fence
    ), woken AS (
        UPDATE jobs SET run_at = now() WHERE id IN (
            SELECT w.id FROM jobs w
            WHERE w.project_id = job.project_id AND w.work_key = job.work_key AND job.served_from IS NULL
                AND w.state = 'queued' AND w.wait_reason = 'same_work' AND w.run_at > now()
            ORDER BY w.priority DESC, w.id LIMIT p_wake FOR NO KEY UPDATE OF w SKIP LOCKED
        )
    ), ended AS (
        UPDATE jobs j
        SET state = p_target, finished_at = now(), worker_id = NULL,
            event_seq = j.event_seq + jsonb_array_length(told) + 1,
            outcome = e.outcome, error = e.error,
            timings = coalesce(e.timings, j.timings),
            skipped_rungs = coalesce(e.skipped_rungs, j.skipped_rungs),
            losses = coalesce(e.losses, j.losses),
            work_key = CASE WHEN e.serves THEN j.work_key END
        FROM jsonb_to_record(p_end) AS e(
            outcome text, error jsonb, timings jsonb, skipped_rungs jsonb, losses integer, serves boolean
        )
        WHERE j.id = p_job
    )
    INSERT INTO events (project_id, job_id, run_id, seq, type, data)
    SELECT job.project_id, p_job, job.run_id, job.event_seq + number, event->>'type', event->'data'
    FROM jsonb_array_elements(told || jsonb_build_array(jsonb_build_object('type', 'job.state', 'data',
        jsonb_build_object(
            'from', 'running', 'to', p_target, 'attempt', p_fence, 'wait_reason', job.wait_reason, 'run_at', NULL
        )
    ))) WITH ORDINALITY AS each(event, number)
    ORDER BY number;

    PERFORM follow_ends(ARRAY[p_job]); -- last, since a run counts what its ended jobs have found
    RETURN 'ended';
END $$
