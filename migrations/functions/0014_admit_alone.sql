-- Lets only one call of a run be admitted at a time, until its transaction ends.
--
-- Not by a lock of the run's row, which comes after the windows in the order of locks.
CREATE FUNCTION admit_alone(p_run uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(7501166, hashtext(replace(p_run::text, '-', '')))
$$
