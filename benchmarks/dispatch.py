"""What dispatch, claim and list take, with few and with many finished jobs in the tables.

`python -m benchmarks.dispatch` fills two databases of a durable Postgres of its own, one with 1,000
finished jobs and one with 1,000,000, each with an event, an attempt and a call, and both with 20,000
queued jobs of one project beside a few of others. It measures them by turns, so that what else the
machine does strikes both, prints the lower quartile of each step, since another process at work makes
steps slower and never faster, and how much more it is with many, and exits 1 where that is more than 1.2
times.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from patchmill.dev.child import Tether
from patchmill.dev.services import embedded
from patchmill.job.record import Outcome
from patchmill.job.state import State
from patchmill.store import claims, dispatch, jobs, schema, workers
from patchmill.store.access import ensure_project
from patchmill.store.engine import be_patient, one_by_one, open_engine
from patchmill.store.ids import new_id
from patchmill.store.jobs import JobFilter

FEW, MANY = 1_000, 1_000_000
QUEUED = 20_000
ROUNDS = 400
TURN = 20  # rounds in one database before it is the other's turn
WINDOW = 34  # of 25 slots
BAR = 1.2
PIECE = 50_000  # rows in one transaction
DIGITS = 2

_ID = (
    "encode(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send({at}) FROM 3) FROM 1 FOR 6),"
    " 'hex')::uuid"
)
_REQUEST = (
    '{"what": [], "scope": null, "context": [], "checkers": {}, "instruction": null,'
    ' "options": {"priority": "bulk"}}'
)
ADD_JOBS = f"""
WITH kept AS (
    INSERT INTO sources (project_id, sha256, content)
    SELECT CAST(:project AS uuid), decode(md5(number::text), 'hex'), 'x = 1'
    FROM generate_series(CAST(:first AS bigint), :last) number ON CONFLICT DO NOTHING
), made AS (
    INSERT INTO jobs (id, project_id, kind, state, outcome, priority, fence, run_at, created_at, finished_at,
        path, language, sha256, bytes, request, origin, labels, timings)
    SELECT {_ID.format(at="1700000000000 + number")}, CAST(:project AS uuid), 'fix', :state, :outcome,
        'bulk', :fence, now() - interval '1 second', now() - interval '1 second',
        CASE WHEN :state = 'queued' THEN NULL ELSE now() END, 'a.py', 'python',
        decode(md5(number::text), 'hex'), 5, CAST(:request AS jsonb), '{{}}', '{{}}', '{{}}'
    FROM generate_series(CAST(:first AS bigint), :last) number
    RETURNING id, project_id
), told AS (
    INSERT INTO events (project_id, job_id, seq, type, data)
    SELECT project_id, id, 1, 'job.state', '{{"from": null, "to": "queued"}}' FROM made
), tried AS (
    INSERT INTO attempts (job_id, fence, worker_id, ended_at)
    SELECT id, 1, CAST(:worker AS uuid), now() FROM made WHERE :fence = 1
    RETURNING job_id
)
INSERT INTO calls (id, job_id, number, fence, model, state, turn, messages, max_tokens, hold_tokens,
    hold_picos, input_picos, cached_picos, output_picos, deadline_at)
SELECT {_ID.format(at="1700000000000")}, job_id, 1, 1, 'm', 'settled', 't', '[]', 1, 1, 1, 1, 1, 1,
    now()
FROM tried
"""  # noqa: S608 - constants


class Filled:
    """A database with finished jobs of many projects, and a backlog of one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.worker = new_id()
        self.finished = 0
        self.queued = 10 * MANY  # the number of the last one, beyond those that are finished
        with engine.begin() as connection:
            workers.register(connection, self.worker, "bench:1")
            self.projects = [ensure_project(connection, f"project {number}") for number in range(20)]

    def finish(self, up_to: int) -> None:
        """Add finished jobs until there are so many, in equal parts of every project."""
        while self.finished < up_to:
            last = min(self.finished + PIECE, up_to)
            each = (last - self.finished) // len(self.projects)
            for number, project_id in enumerate(self.projects):
                first = self.finished + number * each + 1
                self._add(project_id, first, first + each - 1, state=State.SUCCEEDED)
            self.finished = last
        self._settle()

    def queue(self, project_id: uuid.UUID, number: int) -> None:
        """Queue so many more jobs of a project."""
        self._add(project_id, self.queued + 1, self.queued + number, state=State.QUEUED)
        self.queued += number

    def _add(self, project_id: uuid.UUID, first: int, last: int, *, state: State) -> None:
        ended = state is State.SUCCEEDED
        given = {
            "project": project_id,
            "first": first,
            "last": last,
            "state": state,
            "outcome": Outcome.NO_CHANGE if ended else None,
            "fence": int(ended),
            "worker": self.worker,
            "request": _REQUEST,
        }
        with self.engine.begin() as connection:
            be_patient(connection, math.inf)
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL transaction_timeout = 0"))
            connection.execute(
                text("SET LOCAL session_replication_role = replica")
            )  # no look at foreign keys
            connection.execute(text(ADD_JOBS), given)

    def _settle(self) -> None:
        """Do what autovacuum does in time, so that it does not do it in the midst of a measurement."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            be_patient(connection, math.inf)
            for limit in ("statement_timeout", "transaction_timeout"):
                connection.execute(text(f"SET {limit} = 0"))
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
            for limit in ("statement_timeout", "transaction_timeout"):
                connection.execute(text(f"RESET {limit}"))


Times = dict[str, list[float]]


@contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Keep the milliseconds that a step takes."""
    begun = time.perf_counter()
    yield
    times.setdefault(name, []).append((time.perf_counter() - begun) * 1000)


def measure(filled: Filled, rounds: int, times: Times) -> None:
    """Dispatch, claim and end jobs one after another beside a full window, and list them in between."""
    engine = filled.engine
    running: list[uuid.UUID] = []

    def dispatched() -> list[tuple[uuid.UUID, int, str]]:
        with engine.begin() as connection:
            return dispatch.dispatch_due(connection, window=WINDOW, limit=200)

    def claimed(job_id: uuid.UUID, number: int) -> None:
        with one_by_one(engine) as connection:
            assert claims.claim_new(connection, job_id, number, filled.worker) is not None

    def listed() -> None:
        with engine.begin() as connection:
            assert jobs.find_many(connection, filled.projects[0], JobFilter(), before=None, limit=51)

    for job_id, number, _ in dispatched():
        claimed(job_id, number)
        running.append(job_id)
    for each in range(rounds):
        with engine.begin() as connection:
            claims.finish(connection, running.pop(0), 1, State.SUCCEEDED, outcome=Outcome.NO_CHANGE)
        if each % 10 == 0:
            filled.queue(filled.projects[1 + each // 10 % 19], 1)
        with timed(times, "dispatch"):
            sent = dispatched()
        for job_id, number, _ in sent:
            with timed(times, "claim"):
                claimed(job_id, number)
            running.append(job_id)
        with timed(times, "list"):
            listed()
    with engine.begin() as connection:
        for job_id in running:
            claims.finish(connection, job_id, 1, State.SUCCEEDED, outcome=Outcome.NO_CHANGE)


def show(few: Mapping[str, float], many: Mapping[str, float], numbers: tuple[int, int]) -> bool:
    """Print the times, and say whether each is within the bar."""
    table = Table(title=f"milliseconds (lower quartile), beside {QUEUED:,} queued jobs of one project")
    for column in ("step", *(f"{number:,} finished" for number in numbers), "ratio", f"at most {BAR}"):
        table.add_column(column, justify="left" if column == "step" else "right")
    fits = True
    for name, before in few.items():
        ratio = many[name] / before
        fits &= ratio <= BAR
        cells = (f"{before:.{DIGITS}f}", f"{many[name]:.{DIGITS}f}", f"{ratio:.{DIGITS}f}")
        table.add_row(name, *cells, "yes" if ratio <= BAR else "no")
    Console().print(table)
    return fits


def quartiles(times: Times) -> dict[str, float]:
    """Give the lower quartile of each step."""
    return {name: statistics.quantiles(each, n=4)[0] for name, each in times.items()}


def main() -> int:
    """Measure with few and with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finished", type=int, default=MANY, help="how many finished jobs are many")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each step is measured")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Tether() as tether, embedded(folder, held_by=tether, durable=True) as services:
            few, many = (database(services.database_url, which) for which in ("few", "many"))
            for filled, number in ((few, FEW), (many, asked.finished)):
                print(f"making {number:,} finished jobs", file=sys.stderr)
                filled.queue(filled.projects[0], QUEUED)
                filled.finish(number)
            times: tuple[Times, Times] = ({}, {})
            for each in range(0, asked.rounds + TURN, TURN):
                for filled, kept in zip((few, many), times, strict=True):
                    measure(filled, TURN, kept if each else {})  # the first warms caches and plans
            for filled in (few, many):
                filled.engine.dispose()
    before, after = (quartiles(kept) for kept in times)
    return 0 if show(before, after, (FEW, asked.finished)) else 1


def database(url: str, name: str) -> Filled:
    """Make a database beside the one that there is."""
    beside = open_engine(url, pool_size=1)
    with beside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = open_engine(beside.url.set(database=name).render_as_string(hide_password=False), pool_size=2)
    beside.dispose()
    schema.upgrade(engine)
    return Filled(engine)


if __name__ == "__main__":
    sys.exit(main())
