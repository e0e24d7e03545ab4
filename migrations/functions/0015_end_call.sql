-- Settles, voids or suspends a call's hold, together with what is known of its answer, in one statement.
--
-- The caller says what the call came to (`p_state`) and by which transfers; they are written as leaving the hold
-- from where it is, and must add up to it. A call that was settled or voided before stays as it is, and so does an
-- uncertain one of which still nothing is known: {"ended": false}. Else {"ended": true}, with `freed` when a
-- budget's window or a run's cap was given room back, and how many jobs that waited for it are `woken`: the first
-- `p_wake` of them in the order of their submission. Those look for room that was held again within `p_poll`
-- anyway, and wake the next; room that was uncertain lets all go on who wait for a new window, too.
--
-- Locks: the job, and with it its calls, which nobody changes without it; the windows by id; waiting jobs that
-- nobody else holds, never waited for. The windows come last, since all others wait for them until the commit.
CREATE OR REPLACE FUNCTION end_call(
    p_job uuid, p_call uuid, p_state text, p_phases text[], p_tokens bigint[], p_picos bigint[],
    p_values jsonb, p_told jsonb, p_wake integer, p_poll interval, p_overrun text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    job record;
    call record;
    source text;
    post_tokens bigint := 0;
    post_picos bigint := 0;
    free_tokens bigint := 0;
    free_picos bigint := 0;
    over_tokens bigint := 0;
    over_picos bigint := 0;
    kept integer := 0; -- 1 if the whole hold becomes uncertain
    woken integer := 0;
    freed boolean;
    its_window uuid;
BEGIN
    IF p_state IS NULL OR p_state NOT IN ('settled', 'void', 'uncertain') THEN
        RAISE EXCEPTION 'no call ends as %', p_state USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF current_setting('synchronous_commit') = 'off' THEN -- an answer that a crash forgets is bought again
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    SELECT project_id, run_id, erased_at INTO STRICT job FROM jobs WHERE id = p_job FOR NO KEY UPDATE;
    -- Found by its id alone: of the two indexes that could serve, the other finds all calls of the job.
    SELECT c.job_id, c.state, c.model, c.hold_tokens, c.hold_picos, ARRAY(
               SELECT window_id FROM call_windows WHERE call_id = p_call ORDER BY window_id
           ) AS windows, EXISTS (
               SELECT 1 FROM jobs w WHERE w.state = 'queued' AND w.wait_reason = 'budget' AND w.run_at > now()
           ) AS waited_for
    INTO STRICT call FROM calls c WHERE c.id = p_call;
    IF call.job_id <> p_job THEN
        RAISE EXCEPTION 'call % is not one of job %', p_call, p_job USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF call.state NOT IN ('sent', 'uncertain') OR (call.state = 'uncertain' AND p_state = 'uncertain') THEN
        RETURN '{"ended": false}';
    END IF;
    source := CASE call.state WHEN 'sent' THEN 'held' ELSE 'uncertain' END;

    FOR i IN 1..cardinality(p_phases) LOOP
        IF p_phases[i] = 'post' AND p_state = 'settled' THEN
            post_tokens := p_tokens[i];
            post_picos := p_picos[i];
        ELSIF p_phases[i] = 'release' AND p_state <> 'uncertain' THEN
            free_tokens := p_tokens[i];
            free_picos := p_picos[i];
        ELSIF p_phases[i] = 'overrun' AND p_state = 'settled' THEN
            over_tokens := p_tokens[i];
            over_picos := p_picos[i];
        ELSIF p_phases[i] = 'suspend' AND p_state = 'uncertain' AND p_tokens[i] = call.hold_tokens
            AND p_picos[i] = call.hold_picos THEN
            kept := 1;
        ELSE
            RAISE EXCEPTION 'a call that is % has no transfer % of % tokens and % picos',
                p_state, p_phases[i], p_tokens[i], p_picos[i] USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    IF kept = 0 AND (post_tokens + free_tokens, post_picos + free_picos)
        IS DISTINCT FROM (call.hold_tokens, call.hold_picos) THEN
        RAISE EXCEPTION 'the transfers of call % do not add up to its hold of % tokens and % picos',
            p_call, call.hold_tokens, call.hold_picos USING ERRCODE = 'check_violation';
    END IF;

    WITH moved AS (
        INSERT INTO ledger_entries (call_id, phase, debit, credit, tokens, picos)
        SELECT p_call, t.phase, CASE t.phase WHEN 'overrun' THEN 'overrun' ELSE source END,
            CASE t.phase WHEN 'release' THEN 'available' WHEN 'suspend' THEN 'uncertain' ELSE 'settled' END,
            t.tokens, t.picos
        FROM unnest(p_phases, p_tokens, p_picos) AS t(phase, tokens, picos)
    ), ended AS (
        UPDATE calls c
        SET state = p_state, ended_at = now(), cost_picos = post_picos + over_picos,
            messages = CASE WHEN job.erased_at IS NULL THEN c.messages ELSE '[]' END,
            reply = CASE WHEN job.erased_at IS NULL THEN coalesce(v.reply, c.reply) END,
            message = CASE WHEN job.erased_at IS NULL THEN coalesce(v.message, c.message) END,
            failure = coalesce(v.failure, c.failure),
            status = coalesce(v.status, c.status),
            finish_reason = coalesce(v.finish_reason, c.finish_reason),
            returned_model = coalesce(v.returned_model, c.returned_model),
            fingerprint = coalesce(v.fingerprint, c.fingerprint),
            anomalies = coalesce(v.anomalies, c.anomalies),
            gateway_request_id = coalesce(v.gateway_request_id, c.gateway_request_id),
            stand_in = coalesce(v.stand_in, c.stand_in),
            usage = coalesce(v.usage, c.usage),
            input_tokens = coalesce(v.input_tokens, c.input_tokens),
            cached_tokens = coalesce(v.cached_tokens, c.cached_tokens),
            output_tokens = coalesce(v.output_tokens, c.output_tokens),
            reasoning_tokens = coalesce(v.reasoning_tokens, c.reasoning_tokens),
            queue_ms = coalesce(v.queue_ms, c.queue_ms),
            first_token_ms = coalesce(v.first_token_ms, c.first_token_ms),
            total_ms = coalesce(v.total_ms, c.total_ms)
        FROM jsonb_to_record(p_values) AS v(
            reply text, message text, failure text, status integer, finish_reason text, returned_model text,
            fingerprint text, anomalies text[], gateway_request_id text, stand_in boolean, usage jsonb,
            input_tokens bigint, cached_tokens bigint, output_tokens bigint, reasoning_tokens bigint,
            queue_ms integer, first_token_ms integer, total_ms integer
        )
        WHERE c.id = p_call
    ), noted AS (
        UPDATE jobs
        SET event_seq = event_seq + 1,
            held_picos = held_picos - CASE source WHEN 'held' THEN call.hold_picos ELSE 0 END,
            uncertain_picos = uncertain_picos + kept * call.hold_picos
                - CASE source WHEN 'uncertain' THEN call.hold_picos ELSE 0 END,
            cost_picos = cost_picos + post_picos + over_picos,
            input_tokens = input_tokens + coalesce((p_values->>'input_tokens')::bigint, 0),
            cached_tokens = cached_tokens + coalesce((p_values->>'cached_tokens')::bigint, 0),
            output_tokens = output_tokens + coalesce((p_values->>'output_tokens')::bigint, 0)
        WHERE id = p_job RETURNING event_seq
    )
    INSERT INTO events (project_id, job_id, run_id, seq, type, data)
    SELECT job.project_id, p_job, job.run_id, event_seq, 'job.call', p_told FROM noted;

    IF 'overrun' = ANY (p_phases) THEN -- until an operator has looked: it breaks the bound that every hold rests on
        INSERT INTO circuits (name, state, why, message) VALUES (call.model, 'paused', 'overrun', p_overrun)
        ON CONFLICT (name) DO UPDATE
        SET state = 'paused', why = 'overrun', message = p_overrun, since = now(), until = NULL,
            probe_at = NULL, probes = 0
        WHERE circuits.why IS DISTINCT FROM 'overrun' AND circuits.why IS DISTINCT FROM 'operator';
    END IF;

    freed := 'release' = ANY (p_phases) AND (call.windows <> '{}' OR job.run_id IS NOT NULL);
    IF freed AND source = 'held' AND call.waited_for THEN
        woken := wake_waiters(job.project_id, call.windows, now() + p_poll, p_wake);
    END IF;
    FOREACH its_window IN ARRAY call.windows LOOP
        UPDATE windows
        SET settled_tokens = settled_tokens + post_tokens,
            settled_picos = settled_picos + post_picos,
            held_tokens = held_tokens - CASE source WHEN 'held' THEN call.hold_tokens ELSE 0 END,
            held_picos = held_picos - CASE source WHEN 'held' THEN call.hold_picos ELSE 0 END,
            uncertain_tokens = uncertain_tokens + kept * call.hold_tokens
                - CASE source WHEN 'uncertain' THEN call.hold_tokens ELSE 0 END,
            uncertain_picos = uncertain_picos + kept * call.hold_picos
                - CASE source WHEN 'uncertain' THEN call.hold_picos ELSE 0 END
        WHERE id = its_window;
    END LOOP;
    IF freed AND source = 'uncertain' THEN -- last: who begins to wait for a window at this moment locks it first
        woken := wake_waiters(job.project_id, call.windows, 'infinity', 5000);
    END IF;
    RETURN jsonb_build_object('ended', true, 'freed', freed, 'woken', woken);
END $$
