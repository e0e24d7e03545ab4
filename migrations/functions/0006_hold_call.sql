-- Holds the worst case of a call over every scope at once and marks the call sent, in one statement.
--
-- Nothing is decided here: it only compares sums with caps. Where the hold fits everywhere, the call, its
-- transfer, its event and all counters are written, and the answer is {"answer": "held", "number": n}. Else
-- nothing is, and the answer says what the caller has to know to decide: "no_room" with the rooms, each locked
-- until the transaction ends; "no_window" with the budgets that have none yet for `now`; "new_prices" when the
-- list is not the one that the hold was made with; "lost" or "cancelled" when the job may send nothing.
--
-- Locks: the job, admissions of its run (only where the run has a cap), the windows by id.
CREATE FUNCTION hold_call(
    p_job uuid, p_fence integer, p_call uuid, p_tokens bigint, p_picos bigint, p_asked jsonb, p_told jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    job record;
    of_run record;
    run_cap bigint;
    run_room jsonb := '[]';
    window_ids uuid[];
    caps_picos bigint[];
    caps_tokens bigint[];
    budgets_there integer;
    missing jsonb;
    fits boolean := true;
    most CONSTANT bigint := 9223372036854775807; -- what a counter can hold, where nothing else is the limit
BEGIN
    IF p_tokens IS NULL OR p_picos IS NULL OR p_tokens < 0 OR p_picos < 0 THEN
        RAISE EXCEPTION 'a hold is of no less than nothing: % tokens, % picos', p_tokens, p_picos
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN -- a hold that a crash forgets is money spent unseen
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    SELECT project_id, key_id, run_id, cancel_requested, calls, event_seq,
           max_cost_picos, cost_picos, held_picos, uncertain_picos
    INTO job FROM jobs WHERE id = p_job AND fence = p_fence AND state = 'running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '{"answer": "lost"}';
    END IF;
    IF job.cancel_requested THEN
        RETURN '{"answer": "cancelled"}';
    END IF;
    IF p_asked->>'price_mark' <> price_mark(p_asked->>'model') THEN
        RETURN '{"answer": "new_prices"}';
    END IF;
    IF coalesce(job.max_cost_picos, most) - job.cost_picos - job.held_picos - job.uncertain_picos < p_picos THEN
        fits := false;
    END IF;

    IF job.run_id IS NOT NULL THEN
        SELECT max_cost_picos INTO run_cap FROM runs WHERE id = job.run_id;
        IF run_cap IS NOT NULL THEN
            -- Not the run's row, which comes after the windows in the order of locks.
            PERFORM pg_advisory_xact_lock(7501166, hashtext(replace(job.run_id::text, '-', '')));
            SELECT sum(cost_picos) AS settled, sum(held_picos) AS held, sum(uncertain_picos) AS uncertain
            INTO of_run FROM jobs WHERE run_id = job.run_id;
            IF run_cap - of_run.settled - of_run.held - of_run.uncertain < p_picos THEN
                fits := false;
            END IF;
            run_room := jsonb_build_array(jsonb_build_object(
                'run', job.run_id, 'cap_picos', run_cap, 'settled_picos', of_run.settled,
                'held_picos', of_run.held, 'uncertain_picos', of_run.uncertain
            ));
        END IF;
    END IF;

    -- The counters are those of the locked rows, the caps those of when the statement began. Both are kept: what
    -- was compared is what is written.
    SELECT array_agg(l.id), array_agg(l.limit_picos), array_agg(l.limit_tokens),
           coalesce(bool_and(l.enough), true) AND fits, (
               SELECT count(*) FROM budgets b WHERE b.ended_at IS NULL AND (
                   b.scope = 'installation' OR b.project_id = job.project_id OR b.key_id = job.key_id)
           )
    INTO window_ids, caps_picos, caps_tokens, fits, budgets_there FROM (
        SELECT w.id, b.limit_picos, b.limit_tokens,
            coalesce(b.limit_picos, most) - w.settled_picos - w.held_picos - w.uncertain_picos >= p_picos AND
            coalesce(b.limit_tokens, most) - w.settled_tokens - w.held_tokens - w.uncertain_tokens >= p_tokens
            AS enough
        FROM budgets b JOIN windows w ON w.budget_id = b.id AND w.starts_at = (
            SELECT x.starts_at FROM windows x WHERE x.budget_id = b.id AND x.starts_at <= now()
            ORDER BY x.starts_at DESC LIMIT 1
        ) AND (w.resets_at IS NULL OR w.resets_at > now())
        WHERE b.ended_at IS NULL
            AND (b.scope = 'installation' OR b.project_id = job.project_id OR b.key_id = job.key_id)
        ORDER BY w.id FOR NO KEY UPDATE OF w
    ) l;
    IF budgets_there > coalesce(cardinality(window_ids), 0) THEN
        SELECT jsonb_agg(jsonb_build_object(
            'budget', b.id, 'window', b."window", 'time_zone', b.time_zone,
            'cap_picos', b.limit_picos, 'cap_tokens', b.limit_tokens
        )) INTO missing FROM budgets b WHERE b.ended_at IS NULL
            AND (b.scope = 'installation' OR b.project_id = job.project_id OR b.key_id = job.key_id)
            AND NOT EXISTS (SELECT 1 FROM windows w WHERE w.id = ANY (window_ids) AND w.budget_id = b.id);
        RETURN jsonb_build_object('answer', 'no_window', 'now', now(), 'missing', coalesce(missing, '[]'));
    END IF;
    IF NOT fits THEN
        RETURN jsonb_build_object('answer', 'no_room', 'rooms', (
            SELECT jsonb_build_array(jsonb_build_object(
                'cap_picos', coalesce(job.max_cost_picos, most), 'settled_picos', job.cost_picos,
                'held_picos', job.held_picos, 'uncertain_picos', job.uncertain_picos
            )) || run_room || coalesce(jsonb_agg(jsonb_build_object(
                'budget', b.id, 'waits', b.at_limit = 'wait', 'resets_at', w.resets_at,
                'resets_in_s', extract(epoch FROM w.resets_at - clock_timestamp())::double precision,
                'cap_picos', coalesce(b.limit_picos, most), 'settled_picos', w.settled_picos,
                'held_picos', w.held_picos, 'uncertain_picos', w.uncertain_picos,
                'cap_tokens', coalesce(b.limit_tokens, most), 'settled_tokens', w.settled_tokens,
                'held_tokens', w.held_tokens, 'uncertain_tokens', w.uncertain_tokens
            ) ORDER BY w.id), '[]')
            FROM windows w JOIN budgets b ON b.id = w.budget_id WHERE w.id = ANY (window_ids)
        ));
    END IF;

    WITH counted AS (
        UPDATE windows w
        SET held_picos = w.held_picos + p_picos, held_tokens = w.held_tokens + p_tokens,
            cap_picos = c.cap_picos, cap_tokens = c.cap_tokens
        FROM unnest(window_ids, caps_picos, caps_tokens) AS c(id, cap_picos, cap_tokens) WHERE w.id = c.id
    ), noted AS (
        UPDATE jobs SET calls = calls + 1, held_picos = held_picos + p_picos, event_seq = event_seq + 1
        WHERE id = p_job
    ), made AS (
        INSERT INTO calls (
            id, job_id, number, fence, state, hold_tokens, hold_picos,
            model, rung, prompt_version, turn, messages, max_tokens,
            price_id, input_picos, cached_picos, output_picos, deadline_at
        ) VALUES (
            p_call, p_job, job.calls + 1, p_fence, 'sent', p_tokens, p_picos,
            p_asked->>'model', p_asked->>'rung', p_asked->>'prompt_version', p_asked->>'turn',
            p_asked->'messages', (p_asked->>'max_tokens')::integer,
            (p_asked->>'price_id')::bigint, (p_asked->>'input_picos')::bigint,
            (p_asked->>'cached_picos')::bigint, (p_asked->>'output_picos')::bigint,
            now() + make_interval(secs => (p_asked->>'deadline_s')::double precision)
        )
    ), moved AS (
        INSERT INTO ledger_entries (call_id, phase, debit, credit, tokens, picos)
        VALUES (p_call, 'hold', 'available', 'held', p_tokens, p_picos)
    ), seen AS (
        INSERT INTO call_windows (call_id, window_id) SELECT p_call, unnest(window_ids)
    )
    INSERT INTO events (project_id, job_id, run_id, seq, type, data)
    VALUES (job.project_id, p_job, job.run_id, job.event_seq + 1, 'job.call', p_told);
    RETURN jsonb_build_object('answer', 'held', 'number', job.calls + 1);
END $$
