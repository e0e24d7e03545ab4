-- Holds the worst case of a call over every scope at once and marks the call sent, in one statement.
--
-- Nothing is decided here: it only compares sums with caps. Where the hold fits everywhere, the call, its
-- transfer, its event and all counters are written, and the answer is {"answer": "held", "number": n}. Else
-- nothing is, and the answer is that of `why_not_held`.
--
-- Whoever has locked the windows keeps all others of these budgets waiting until the commit, so they come last: a
-- look that locks nothing says that there is room, all else is written, and then the counters are compared and
-- changed. If the room went to somebody else meanwhile, all of it is undone, to the savepoint that a block with an
-- EXCEPTION is.
--
-- Locks: the job, admissions of its run (only where the run has a cap), the windows by id.
CREATE OR REPLACE FUNCTION hold_call(
    p_job uuid, p_fence integer, p_call uuid, p_tokens bigint, p_picos bigint, p_asked jsonb, p_told jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    seen record;
    job record;
    run_cap bigint;
    its_window uuid;
    most CONSTANT bigint := 9223372036854775807; -- what a counter can hold, where nothing else is the limit
BEGIN
    IF p_tokens IS NULL OR p_picos IS NULL OR p_tokens < 0 OR p_picos < 0 THEN
        RAISE EXCEPTION 'a hold is of no less than nothing: % tokens, % picos', p_tokens, p_picos
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN -- a hold that a crash forgets is money spent unseen
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    SELECT bool_and(w.id IS NOT NULL
               AND coalesce(b.limit_picos, most) - w.settled_picos - w.held_picos - w.uncertain_picos >= p_picos
               AND coalesce(b.limit_tokens, most) - w.settled_tokens - w.held_tokens - w.uncertain_tokens >= p_tokens
           ) AS fits, array_agg(w.id ORDER BY w.id) AS windows
    INTO seen
    FROM jobs j JOIN budgets b
        ON b.ended_at IS NULL AND (b.scope = 'installation' OR b.project_id = j.project_id OR b.key_id = j.key_id)
    LEFT JOIN LATERAL (
        SELECT * FROM windows x WHERE x.budget_id = b.id AND x.starts_at <= now() ORDER BY x.starts_at DESC LIMIT 1
    ) w ON w.resets_at IS NULL OR w.resets_at > now()
    WHERE j.id = p_job;
    IF NOT seen.fits OR p_asked->>'price_mark' <> price_mark(p_asked->>'model') THEN
        RETURN why_not_held(p_job, p_fence, p_asked);
    END IF;

    BEGIN
        -- Found by its id alone, as are windows and budgets below: while a table is small, an index of all that run
        -- or are in force looks as good as that, and is read from end to end.
        WITH counted AS (
            UPDATE jobs SET calls = calls + 1, held_picos = held_picos + p_picos, event_seq = event_seq + 1
            WHERE id = p_job AND fence = p_fence AND state IS NOT DISTINCT FROM 'running' AND NOT cancel_requested
                AND coalesce(max_cost_picos, most) - cost_picos - held_picos - uncertain_picos >= p_picos
            RETURNING project_id, run_id, calls, event_seq
        ), made AS (
            INSERT INTO calls (
                id, job_id, number, fence, state, hold_tokens, hold_picos,
                model, rung, prompt_version, turn, messages, max_tokens,
                price_id, input_picos, cached_picos, output_picos, deadline_at
            ) SELECT
                p_call, p_job, counted.calls, p_fence, 'sent', p_tokens, p_picos,
                p_asked->>'model', p_asked->>'rung', p_asked->>'prompt_version', p_asked->>'turn',
                p_asked->'messages', (p_asked->>'max_tokens')::integer,
                (p_asked->>'price_id')::bigint, (p_asked->>'input_picos')::bigint,
                (p_asked->>'cached_picos')::bigint, (p_asked->>'output_picos')::bigint,
                now() + make_interval(secs => (p_asked->>'deadline_s')::double precision)
            FROM counted
        ), moved AS (
            INSERT INTO ledger_entries (call_id, phase, debit, credit, tokens, picos)
            SELECT p_call, 'hold', 'available', 'held', p_tokens, p_picos FROM counted
        ), told AS (
            INSERT INTO events (project_id, job_id, run_id, seq, type, data)
            SELECT project_id, p_job, run_id, event_seq, 'job.call', p_told FROM counted
        )
        SELECT run_id, calls INTO job FROM counted;
        IF NOT FOUND THEN
            RETURN why_not_held(p_job, p_fence, p_asked);
        END IF;

        IF job.run_id IS NOT NULL THEN
            SELECT max_cost_picos INTO run_cap FROM runs WHERE id = job.run_id;
        END IF;
        IF run_cap IS NOT NULL THEN
            PERFORM admit_alone(job.run_id);
            IF (SELECT sum(cost_picos) + sum(held_picos) + sum(uncertain_picos) > run_cap
                FROM jobs WHERE run_id = job.run_id) THEN
                RAISE EXCEPTION 'the room is gone' USING ERRCODE = 'PM001';
            END IF;
        END IF;

        FOREACH its_window IN ARRAY coalesce(seen.windows, '{}') LOOP
            -- Whoever changes a limit holds the window for it: so the limit is read once the window is ours.
            PERFORM 1 FROM windows WHERE id = its_window FOR NO KEY UPDATE;
            WITH counted AS (
                UPDATE windows w
                SET held_picos = w.held_picos + p_picos, held_tokens = w.held_tokens + p_tokens,
                    cap_picos = b.limit_picos, cap_tokens = b.limit_tokens
                FROM budgets b
                WHERE w.id = its_window AND b.id = w.budget_id AND coalesce(b.ended_at, 'infinity') = 'infinity'
                    AND coalesce(b.limit_picos, most) - w.settled_picos - w.held_picos - w.uncertain_picos >= p_picos
                    AND coalesce(b.limit_tokens, most) - w.settled_tokens - w.held_tokens - w.uncertain_tokens >= p_tokens
                RETURNING w.id
            )
            INSERT INTO call_windows (call_id, window_id) SELECT p_call, id FROM counted;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the room is gone' USING ERRCODE = 'PM001';
            END IF;
        END LOOP;
        RETURN jsonb_build_object('answer', 'held', 'number', job.calls);
    EXCEPTION WHEN SQLSTATE 'PM001' THEN
        RETURN why_not_held(p_job, p_fence, p_asked);
    END;
END $$
