"""How long 100,000 calls take to sum up, grouped in several ways, on this machine.

`python -m benchmarks.usage` fills a database with calls of 60 days and 60,000 jobs, with prompts and
answers of usual length, and prints how long each sum takes; `--explain` prints how Postgres finds its way,
too. The calls of a period are a range of the primary key; a sum reads them and their jobs once.
"""

import math
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, text

from patchmill.dev.child import Tether
from patchmill.dev.services import embedded
from patchmill.store import schema
from patchmill.store.access import ensure_project
from patchmill.store.engine import be_patient, open_engine
from patchmill.store.usage import Question, moment, rows_of, total, usage

JOBS = 60_000
CALLS = 100_000
DAYS = 60
TIMES = 7
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=DAYS)
GROUPINGS = (
    (),
    ("day",),
    ("day", "model"),
    ("hour",),
    ("project", "key", "kind"),
    ("label.team",),
    ("rule",),
    ("day", "model", "rule"),
)
_FILL = (
    """
    CREATE FUNCTION pg_temp.id_of(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING
            substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 'hex')::uuid $$
    """,
    "INSERT INTO workers (id, name) VALUES (gen_random_uuid(), 'benchmark')",
    "INSERT INTO sources (project_id, sha256, content) VALUES (:project, '\\x00', '')",
    """
    INSERT INTO jobs (id, project_id, kind, state, outcome, priority, path, language, sha256, bytes,
        request, origin, labels, timings, run_at, finished_at, created_at)
    SELECT pg_temp.id_of(made), :project, CASE WHEN number % 5 = 0 THEN 'annotate' ELSE 'fix' END,
        'succeeded', 'verified', 'bulk', 'src/app.py', 'python', '\\x00', 800,
        jsonb_build_object('options', repeat('x', 400)), jsonb_build_object('repository', 'acme/app'),
        jsonb_build_object('team', 'team ' || number % 7), jsonb_build_object('queued_ms', 4),
        made, made, made
    FROM (SELECT number, CAST(:since AS timestamptz) + number * CAST(:step AS interval) AS made
        FROM generate_series(0, :jobs - 1) AS number) AS all_of_them
    """,
    "INSERT INTO attempts (job_id, fence, worker_id) SELECT jobs.id, 1, workers.id FROM jobs, workers",
    """
    INSERT INTO findings (job_id, index, fingerprint, tool, rule, message, severity,
        start_line, end_line, fixes)
    SELECT jobs.id, index, md5(index::text), 'ruff', 'B' || (hashtext(jobs.id::text || index) & 31),
        'message', 'warning', 1, 1, '[]'
    FROM jobs, generate_series(0, 2) AS index WHERE kind = 'fix'
    """,
    """
    INSERT INTO calls (id, job_id, number, fence, model, state, turn, messages, max_tokens,
        hold_tokens, hold_picos, input_picos, cached_picos, output_picos, reply, usage,
        input_tokens, cached_tokens, output_tokens, cost_picos, sent_at, deadline_at)
    SELECT pg_temp.id_of(made + number * interval '1 second'), id, number, 1,
        CASE WHEN number = 2 THEN 'deepseek-v4-pro' ELSE 'deepseek-v4-flash' END,
        CASE WHEN nth % 100 = 0 THEN 'uncertain' WHEN nth % 50 = 0 THEN 'void' ELSE 'settled' END,
        md5(nth::text), jsonb_build_array(jsonb_build_object('content', repeat(md5(nth::text), 40))), 1024,
        5000, 900000000, 140000, 3000, 280000, repeat(md5(nth::text), 12),
        jsonb_build_object('prompt_tokens', 812, 'completion_tokens', 95),
        812 + nth % 700, 640, 95, 53000000 + nth, made + number * interval '1 second', made
    FROM (SELECT jobs.id, jobs.created_at AS made, number, row_number() OVER (ORDER BY jobs.id, number) AS nth
        FROM jobs, generate_series(1, 2) AS number) AS all_of_them
    WHERE nth <= :calls
    """,
    "ANALYZE",
)


def main() -> None:
    """Fill, measure, print."""
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres runs as another user when this runs as root
        with Tether() as tether, embedded(folder, held_by=tether, durable=True) as services:
            engine = open_engine(services.database_url, pool_size=1)
            try:
                schema.upgrade(engine)
                fill(engine)
                Console().print(measured(engine))
            finally:
                engine.dispose()


def fill(engine: Engine) -> None:
    """Store jobs, findings and calls, as even as time goes."""
    with engine.begin() as connection:
        be_patient(connection, math.inf)
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL transaction_timeout = 0"))
        values = {
            "project": ensure_project(connection, "default"),
            "since": SINCE,
            "step": timedelta(days=DAYS) / JOBS,
            "jobs": JOBS,
            "calls": CALLS,
        }
        for statement in _FILL:
            connection.execute(text(statement), values)


def measured(engine: Engine) -> Table:
    """Sum in every way, several times; give the medians."""
    table = Table(title=f"{CALLS:,} calls of {DAYS} days")
    for column in ("grouped by", "groups", "fastest ms", "median ms"):
        table.add_column(column, justify="left" if column == "grouped by" else "right")
    with engine.begin() as connection:
        project_id = ensure_project(connection, "default")
    for groups in GROUPINGS:
        question = Question(
            since=SINCE, until=UNTIL, time_zone="Europe/Berlin", groups=groups, project_id=project_id
        )
        times = []
        for _ in range(TIMES):
            start = time.perf_counter()
            with engine.begin() as connection:
                moment(connection)
                found = usage(connection, question)
            times.append((time.perf_counter() - start) * 1000)
        with engine.begin() as connection:
            moment(connection)
            assert sum(row.sums.cost_picos for row in found) == total(connection, question).cost_picos
            if "--explain" in sys.argv:
                explain(connection, question)
        table.add_row(
            ", ".join(groups) or "nothing",
            f"{len(found):,}",
            f"{min(times):.0f}",
            f"{statistics.median(times):.0f}",
        )
    return table


def explain(connection: Connection, question: Question) -> None:
    """Print how Postgres answers."""
    compiled = rows_of(question).compile(connection)
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {compiled}", compiled.params)
    sys.stdout.write(f"\n{question.groups}\n" + "\n".join(line for (line,) in plan) + "\n")


if __name__ == "__main__":
    main()
