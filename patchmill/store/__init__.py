"""The only place that speaks SQL: tables, and the queries of each part of a job's life."""
