-- Makes jobs due that wait for a budget, in the order of their submission; gives how many.
--
-- Those of the project, or all where one of the windows is the installation's, of those that would look again
-- until then. Whom somebody else holds is left out, so nothing is waited for, whatever the caller has locked.
CREATE FUNCTION wake_waiters(
    p_project uuid, p_windows uuid[], p_until timestamptz, p_limit integer
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    woken integer;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND wait_reason = 'budget' AND run_at > now()) THEN
        RETURN 0;
    END IF;
    UPDATE jobs SET run_at = now() WHERE id IN (
        SELECT w.id FROM jobs w
        WHERE w.state = 'queued' AND w.wait_reason = 'budget' AND w.run_at > now() AND w.run_at <= p_until
            AND (w.project_id = p_project OR EXISTS (
                SELECT 1 FROM windows JOIN budgets ON budgets.id = windows.budget_id
                WHERE windows.id = ANY (p_windows) AND budgets.scope = 'installation'))
        ORDER BY w.id LIMIT p_limit FOR NO KEY UPDATE OF w SKIP LOCKED
    );
    GET DIAGNOSTICS woken = ROW_COUNT;
    RETURN woken;
END $$
