"""Who is dispatched, and when, over a real Postgres and a made-up executor that ends jobs at a fixed rate."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from patchmill.job.record import Outcome
from patchmill.job.state import State
from patchmill.job.turns import AGED_EACH, BULK_AGES_AFTER_S, SAME_FILE_AT_MOST
from patchmill.store import claims, dispatch
from patchmill.store.engine import open_engine
from patchmill.store.ids import new_id
from tests.support.claimed import worker
from tests.support.event_writing import new_project
from tests.support.services import fresh_database

START = datetime(2026, 11, 27, tzinfo=UTC)
ADD_JOBS = text("""
    WITH made AS (
        SELECT gen_random_uuid() AS random, number,
            decode(md5(:project || CASE WHEN :files > 0 THEN number % :files ELSE number END), 'hex') AS file
        FROM generate_series(1, :number) number
    ), kept AS (
        INSERT INTO sources (project_id, sha256, content)
        SELECT DISTINCT CAST(:project AS uuid), file, CAST('x = 1' AS bytea) FROM made ON CONFLICT DO NOTHING
    )
    INSERT INTO jobs (id, project_id, kind, priority, run_at, created_at, path, language, sha256, bytes,
        request, origin, labels, timings)
    SELECT encode(overlay(uuid_send(random) PLACING int8send(:first + number) FROM 1 FOR 8), 'hex')::uuid,
        CAST(:project AS uuid), 'fix', :priority, now() - make_interval(secs => :waited_s),
        now() - make_interval(secs => :waited_s), 'a.py', 'python', file, 5,
        '{"what": [], "scope": null, "context": [], "checkers": {}, "options": {"priority": "bulk"}}',
        '{}', '{}', '{}'
    FROM made ORDER BY number
    RETURNING id
""")


def queue(
    connection: Connection,
    project_id: uuid.UUID,
    number: int,
    *,
    priority: str = "bulk",
    files: int = 0,
    waited_s: float = 0,
    first: int = 0,
) -> None:
    """Queue many jobs of a project, in order from `first`, about so many files; 0 makes each its own."""
    given = {"project": str(project_id), "number": number, "priority": priority}
    connection.execute(ADD_JOBS, {**given, "files": files, "waited_s": waited_s, "first": first})


def share(connection: Connection, project_id: uuid.UUID, **fields: int) -> None:
    """Set a project's share."""
    columns = ", ".join(f"{name} = :{name}" for name in fields)
    connection.execute(text(f"UPDATE projects SET {columns} WHERE id = :id"), {**fields, "id": project_id})


@dataclass(kw_only=True)
class Executor:
    """Claims what is dispatched and ends it after so many seconds of a clock that it moves itself."""

    engine: Engine
    window: int
    seconds: Callable[[uuid.UUID], int] = lambda _: 1
    second: int = 0
    running: list[tuple[int, uuid.UUID, uuid.UUID]] = field(default_factory=list)
    served: Counter[uuid.UUID] = field(default_factory=Counter)  # seconds of a place, by project
    most: Counter[uuid.UUID] = field(default_factory=Counter)
    order: list[uuid.UUID] = field(default_factory=list)
    dispatched_at: dict[uuid.UUID, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._worker = worker(self.engine)

    def step(self) -> None:
        """End what is done, dispatch and claim what is next, and let a second pass."""
        with self.engine.begin() as connection:
            for until, job_id, _ in self.running:
                if until <= self.second:
                    claims.finish(connection, job_id, 1, State.SUCCEEDED, outcome=Outcome.NO_CHANGE)
            self.running = [each for each in self.running if each[0] > self.second]
            self._begin(connection)
        in_flight = Counter(project_id for _, _, project_id in self.running)
        self.served.update(in_flight)
        self.most |= in_flight
        self.second += 1

    def _begin(self, connection: Connection) -> None:
        now = START + timedelta(seconds=self.second)
        for job_id, number, _ in dispatch.dispatch_due(connection, window=self.window, limit=200, now=now):
            claim = claims.claim(connection, job_id, number, self._worker)
            assert claim is not None
            self.order.append(job_id)
            self.dispatched_at[job_id] = self.second
            self.running.append((self.second + self.seconds(claim.project_id), job_id, claim.project_id))


def jain(received: Sequence[float]) -> float:
    """Give Jain's index: 1 where all have received the same."""
    return sum(received) ** 2 / (len(received) * sum(each**2 for each in received))


@pytest.fixture(scope="module")
def module_engine(postgres_url: str, template_database: str) -> Iterator[Engine]:
    with fresh_database(postgres_url, template_database) as url:
        engine = open_engine(url, pool_size=4)
        yield engine
        engine.dispose()


def emptied(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE jobs SET state = 'cancelled', worker_id = NULL, finished_at = now()"
                " WHERE state IN ('queued', 'dispatched', 'running')"
            )
        )
        connection.execute(text("DELETE FROM turns"))
    return engine


PROJECT = st.tuples(st.integers(1, 3), st.integers(1, 5), st.one_of(st.none(), st.integers(1, 3)))


@settings(max_examples=12)
@given(st.lists(PROJECT, min_size=2, max_size=4), st.integers(3, 9))
def test_busy_projects_are_served_by_their_weight_whatever_their_jobs_and_limits(
    module_engine: Engine, projects: list[tuple[int, int, int | None]], window: int
) -> None:
    engine = emptied(module_engine)
    seconds, weights, limits = {}, {}, {}
    for weight, length, limit in projects:
        project_id = new_project(engine)
        seconds[project_id], weights[project_id], limits[project_id] = length, weight, limit
        with engine.begin() as connection:
            queue(connection, project_id, 40 * window // length)
            share(
                connection, project_id, weight=weight, **({} if limit is None else {"max_in_flight": limit})
            )
    executor = Executor(engine=engine, window=window, seconds=seconds.__getitem__)

    for _ in range(35):
        executor.step()

    assert all(executor.most[each] <= limit for each, limit in limits.items() if limit is not None)
    unlimited = [each for each, limit in limits.items() if limit is None]
    rounds = [executor.served[each] / weights[each] for each in unlimited]
    if rounds:
        assert max(rounds) - min(rounds) <= 3 * max(seconds.values())
        assert sum(executor.served.values()) == 35 * window
    assert all(executor.served[each] for each in seconds)


def test_equal_projects_with_jobs_of_all_lengths_receive_the_same(engine: Engine) -> None:
    projects = [new_project(engine) for _ in range(5)]
    lengths = dict(zip(projects, (1, 2, 3, 5, 8), strict=True))
    with engine.begin() as connection:
        for project_id in projects:
            queue(connection, project_id, 600 // lengths[project_id])
    executor = Executor(engine=engine, window=9, seconds=lengths.__getitem__)

    for _ in range(60):
        executor.step()

    assert jain([executor.served[each] for each in projects]) >= 0.99


def test_weight_two_is_served_twice_as_much(engine: Engine) -> None:
    heavy, light = new_project(engine), new_project(engine)
    with engine.begin() as connection:
        share(connection, heavy, weight=2)
        for project_id in (heavy, light):
            queue(connection, project_id, 500)
    executor = Executor(engine=engine, window=10)

    for _ in range(30):
        executor.step()

    assert 1.9 <= executor.served[heavy] / executor.served[light] <= 2.1


def times(engine: Engine, *, beside: int) -> list[int]:
    """Give the seconds to the end of jobs that come 10 a minute and take 2, beside so many of another."""
    small, large = new_project(engine), new_project(engine)
    with engine.begin() as connection:
        queue(connection, large, beside)
    executor = Executor(engine=engine, window=6, seconds={small: 2, large: 3}.__getitem__)
    came: dict[uuid.UUID, int] = {}
    for second in range(130):
        if second % 6 == 5 and second < 120:
            with engine.begin() as connection:
                queue(connection, small, 1, priority="interactive", first=second)
            came |= dict.fromkeys(_new(engine, small, came), second)
        executor.step()
    return sorted(executor.dispatched_at[job_id] - second + 2 for job_id, second in came.items())


def _new(engine: Engine, project_id: uuid.UUID, known: dict[uuid.UUID, int]) -> list[uuid.UUID]:
    with engine.connect() as connection:
        found = connection.scalars(text("SELECT id FROM jobs WHERE project_id = :id"), {"id": project_id})
        return [job_id for job_id in found if job_id not in known]


def test_a_few_jobs_beside_a_backlog_take_at_most_twice_the_time_that_they_take_alone(engine: Engine) -> None:
    alone = times(engine, beside=0)
    beside = times(engine, beside=20_000)

    assert (len(alone), len(beside)) == (20, 20)
    assert beside[18] <= 2 * alone[18], "the 95th of a hundred"
    # The others' jobs take 3 s, and nobody is interrupted: there is no more than that to wait for.
    assert beside[19] <= alone[19] + 3


def test_a_project_that_used_its_tokens_of_the_minute_waits_and_the_others_go_on(engine: Engine) -> None:
    frugal, other = new_project(engine), new_project(engine)
    with engine.begin() as connection:
        share(connection, frugal, tokens_per_minute=1_000)
        for project_id in (frugal, other):
            queue(connection, project_id, 20)
    executor = Executor(engine=engine, window=4)
    executor.step()
    assert executor.served == {frugal: 2, other: 2}
    _spend(engine, executor, frugal, tokens=1_000)

    executor.step()
    executor.step()

    assert executor.served == {frugal: 2, other: 10}
    with engine.begin() as connection:
        share(connection, frugal, tokens_per_minute=1_001)
    executor.step()
    assert executor.served[frugal] > 2


def _spend(engine: Engine, executor: Executor, project_id: uuid.UUID, *, tokens: int) -> None:
    """Write a call of a project's running job that was billed just now."""
    job_id = next(job for _, job, whose in executor.running if whose == project_id)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO calls (id, job_id, number, fence, model, state, turn, messages, max_tokens,"
                " hold_tokens, hold_picos, input_picos, cached_picos, output_picos, input_tokens,"
                " output_tokens, deadline_at) VALUES (:id, :job, 1, 1, 'm', 'settled', 't', '[]', 1, 9000, 1,"
                " 1, 1, 1, :tokens - 1, 1, now())"
            ),
            {"id": new_id(), "job": job_id, "tokens": tokens},
        )


def order_of(engine: Engine, executor: Executor, column: str) -> list[Any]:
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT id, {column} FROM jobs"))
        found = {row[0]: row[1] for row in rows}
    return [found[job_id] for job_id in executor.order]


def test_a_bulk_job_that_waited_for_long_is_not_held_up_by_interactive_ones(engine: Engine) -> None:
    project_id = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project_id, 40, priority="interactive", first=1_000)
        queue(connection, project_id, 5, waited_s=BULK_AGES_AFTER_S + 1)
        queue(connection, project_id, 5, first=500, waited_s=BULK_AGES_AFTER_S - 60)
    executor = Executor(engine=engine, window=3)

    for _ in range(10):
        executor.step()

    order = order_of(engine, executor, "priority")
    assert [number for number, each in enumerate(order, 1) if each == "bulk"] == [
        AGED_EACH * number for number in range(1, 6)
    ]


def test_jobs_about_one_file_follow_each_other_within_a_project(engine: Engine) -> None:
    project_id = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project_id, 60, files=3)
    executor = Executor(engine=engine, window=2)

    for _ in range(30):
        executor.step()

    files = order_of(engine, executor, "sha256")
    runs: list[int] = []
    for before, file in zip([None, *files], files, strict=False):
        if before == file:
            runs[-1] += 1
        else:
            runs.append(1)
    assert len(files) == 60
    assert max(runs) <= SAME_FILE_AT_MOST
    assert len(runs) <= 11
    assert len({bytes(file) for file in files[: 3 * SAME_FILE_AT_MOST]}) >= 2


def test_a_job_that_waited_and_is_due_again_is_before_those_that_came_after_it(engine: Engine) -> None:
    project_id = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project_id, 10)
        connection.execute(
            text(
                "UPDATE jobs SET wait_reason = 'retry' WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 2)"
            )
        )
    executor = Executor(engine=engine, window=3)

    executor.step()

    assert executor.order == sorted(executor.order)
    with engine.connect() as connection:
        first = connection.scalars(text("SELECT id FROM jobs ORDER BY id LIMIT 3")).all()
    assert executor.order == list(first)


def test_a_dispatch_that_is_taken_back_keeps_its_place(engine: Engine) -> None:
    project_id = new_project(engine)
    with engine.begin() as connection:
        queue(connection, project_id, 6)
    with engine.begin() as connection:
        sent = dispatch.dispatch_due(connection, window=2, limit=10)
        assert dispatch.take_back(connection, [job_id for job_id, _, _ in sent]) == 2
    with engine.begin() as connection:
        again = dispatch.dispatch_due(connection, window=2, limit=10)

    assert {job_id for job_id, _, _ in again} == {job_id for job_id, _, _ in sent}
    assert [number for _, number, _ in again] == [2, 2]


def test_whoever_dispatches_goes_on_where_the_last_one_stopped(engine: Engine) -> None:
    projects = [new_project(engine) for _ in range(3)]
    with engine.begin() as connection:
        for project_id in projects:
            queue(connection, project_id, 30)
    executors = [Executor(engine=engine, window=1) for _ in range(3)]
    turns: dict[uuid.UUID, int] = defaultdict(int)

    for second in range(30):
        each = executors[second % 3]
        each.second = second
        each.step()
        for _, _, project_id in each.running:
            turns[project_id] += 1
        each.second = second + 1
        _end(engine, each)

    assert sorted(turns.values()) == [10, 10, 10]


def _end(engine: Engine, executor: Executor) -> None:
    with engine.begin() as connection:
        for _, job_id, _ in executor.running:
            claims.finish(connection, job_id, 1, State.SUCCEEDED, outcome=Outcome.NO_CHANGE)
    executor.running = []


def test_a_dispatch_reads_the_heads_of_lines_and_not_all_that_is_queued(engine: Engine) -> None:
    projects = [new_project(engine) for _ in range(4)]
    with engine.begin() as connection:
        queue(connection, projects[0], 20_000, files=50)
        queue(connection, projects[1], 2_000)
        connection.execute(
            text(
                "UPDATE jobs SET wait_reason = 'budget', run_at = now() + interval '1 hour'"
                " WHERE project_id = :id"
            ),
            {"id": projects[1]},
        )
        queue(connection, projects[2], 10, priority="interactive")
        share(connection, projects[2], tokens_per_minute=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))

    rows_read = text(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname = 'jobs'"
    )
    with engine.begin() as connection:
        before = connection.scalar(rows_read) or 0  # by this connection a moment ago
        sent = dispatch.dispatch_due(connection, window=20, limit=200)
        read = connection.scalar(rows_read) - before

    assert len(sent) == 20
    assert 20 <= read <= 300
