-- Tells that the answer to a call has begun to come, in one statement; nothing is told of a call that has ended.
--
-- Whoever ends the call locks the job first, as this does, so it is never told after the end.
CREATE FUNCTION tell_first_token(p_job uuid, p_call uuid, p_told jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM jobs WHERE id = p_job FOR NO KEY UPDATE;
    -- A statement of its own, so that it sees what was written by who held the lock before.
    PERFORM 1 FROM calls WHERE id = p_call AND job_id = p_job AND state = 'sent';
    IF FOUND THEN
        WITH noted AS (
            UPDATE jobs SET event_seq = event_seq + 1 WHERE id = p_job RETURNING project_id, run_id, event_seq
        )
        INSERT INTO events (project_id, job_id, run_id, seq, type, data)
        SELECT project_id, p_job, run_id, event_seq, 'job.call', p_told FROM noted;
    END IF;
END $$
