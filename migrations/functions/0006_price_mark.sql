-- Marks a model's price list as it stands: whoever decides by a list that it read earlier sees whether it changed.
CREATE FUNCTION price_mark(p_model text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(hash_record_extended(p, 0)), 0)::text FROM prices p WHERE p.model = p_model
$$
