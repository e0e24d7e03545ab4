-- Says what keeps a call from being held, and keeps that as it is until the transaction ends.
--
-- "lost" or "cancelled": the job may send nothing. "new_prices": the list is not the one that the hold was made
-- with. "no_window", with the budgets that have none yet for `now`. Else "no_room", with every room that the call
-- must fit in; if they have room again by now, the hold may be asked for again.
--
-- Locks: the job, admissions of its run (only where the run has a cap), the windows by id.
CREATE FUNCTION why_not_held(p_job uuid, p_fence integer, p_asked jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    job record;
    run_cap bigint;
    run_room jsonb := '[]';
    window_ids uuid[];
    missing jsonb;
    most CONSTANT bigint := 9223372036854775807; -- what a counter can hold, where nothing else is the limit
BEGIN
    SELECT project_id, key_id, run_id, cancel_requested, max_cost_picos, cost_picos, held_picos, uncertain_picos
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

    SELECT max_cost_picos INTO run_cap FROM runs WHERE id = job.run_id;
    IF run_cap IS NOT NULL THEN
        PERFORM admit_alone(job.run_id);
        SELECT jsonb_build_array(jsonb_build_object(
            'run', job.run_id, 'cap_picos', run_cap, 'settled_picos', sum(cost_picos),
            'held_picos', sum(held_picos), 'uncertain_picos', sum(uncertain_picos)
        )) INTO run_room FROM jobs WHERE run_id = job.run_id;
    END IF;

    SELECT array_agg(l.id) INTO window_ids FROM (
        SELECT w.id
        FROM budgets b JOIN windows w ON w.budget_id = b.id AND w.starts_at = (
            SELECT x.starts_at FROM windows x WHERE x.budget_id = b.id AND x.starts_at <= now()
            ORDER BY x.starts_at DESC LIMIT 1
        ) AND (w.resets_at IS NULL OR w.resets_at > now())
        WHERE b.ended_at IS NULL
            AND (b.scope = 'installation' OR b.project_id = job.project_id OR b.key_id = job.key_id)
        ORDER BY w.id FOR NO KEY UPDATE OF w
    ) l;
    SELECT jsonb_agg(jsonb_build_object(
        'budget', b.id, 'window', b."window", 'time_zone', b.time_zone,
        'cap_picos', b.limit_picos, 'cap_tokens', b.limit_tokens
    )) INTO missing FROM budgets b WHERE b.ended_at IS NULL
        AND (b.scope = 'installation' OR b.project_id = job.project_id OR b.key_id = job.key_id)
        AND NOT EXISTS (SELECT 1 FROM windows w WHERE w.id = ANY (window_ids) AND w.budget_id = b.id);
    IF missing IS NOT NULL THEN
        RETURN jsonb_build_object('answer', 'no_window', 'now', now(), 'missing', missing);
    END IF;
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
END $$
