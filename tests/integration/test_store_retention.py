"""What is older than its project keeps it goes, what is younger stays, and no sum of money changes."""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, event, func, insert, select, text, tuple_, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from patchmill.errors import Conflict, NotFound
from patchmill.settings import MAX_RETENTION_DAYS
from patchmill.store import erasure, retention, retries
from patchmill.store import jobs as stored_jobs
from patchmill.store import runs as stored_runs
from patchmill.store.drift import drift
from patchmill.store.engine import allow_long, open_engine, passes
from patchmill.store.ids import first_id, new_id
from patchmill.store.jobs import JobFilter
from patchmill.store.tables import (
    audit,
    calls,
    deliveries,
    events,
    jobs,
    projects,
    runs,
    sources,
    webhooks,
    workers,
)
from patchmill.store.usage import GROUPS, Question, UsageRow, usage
from tests.support.past import Past, money, random_past, rows_of, secrets_of, store_past
from tests.support.usage_history import History, PastCall, PastJob
from worker.sweepers.retention import RESTS_S, Sweeper

NOW = datetime.now(UTC)
DAYS = 90


def stored(engine: Engine, past: Past) -> Past:
    with engine.begin() as connection:
        store_past(connection, past)
    return past


def keep(engine: Engine, past: Past, project: int, days: int | None) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(projects)
            .where(projects.c.id == past.history.project_ids[project])
            .values(retention_days=days)
        )


def one_job(**more: Any) -> Past:
    then = NOW - timedelta(days=100)
    fields: dict[str, Any] = {"calls": [PastCall(at=then)], "ended_at": then, **more}
    return Past(history=History(jobs=[PastJob(**fields)]), runs={})


def one_run(*ages: int, **more: Any) -> Past:
    made = [
        PastJob(
            calls=[PastCall(at=NOW - timedelta(days=age), **more)],
            ended_at=NOW - timedelta(days=age),
            file=str(age).encode(),
        )
        for age in ages
    ]
    return Past(history=History(jobs=made), runs={new_id(): made})


def prune(engine: Engine, *, days: int = DAYS, now: datetime = NOW) -> int:
    sweeper, pruned = Sweeper(engine, days=days, now=lambda: now, rng=random.Random(0)), 0
    while batch := sweeper.sweep():
        pruned += batch
    return pruned


def ages(engine: Engine, days: int = DAYS) -> list[retention.Age]:
    with engine.connect() as connection:
        return retention.ages(connection, days=days, now=NOW)


def listed(engine: Engine, project_id: uuid.UUID | None = None) -> set[uuid.UUID]:
    with engine.connect() as connection:
        rows = stored_jobs.find_many(connection, project_id, JobFilter(), before=None, limit=1_000)
    return {row.id for row in rows}


def all_usage(engine: Engine) -> dict[tuple[str, ...], list[UsageRow]]:
    names = [*GROUPS, "label.team"]
    groups = [(), *((name,) for name in names), *combinations(names, 2)]
    with engine.connect() as connection:
        allow_long(connection)  # on a busy machine so many sums take seconds
        return {
            each: usage(
                connection,
                Question(
                    since=NOW - timedelta(days=300),
                    until=NOW,
                    groups=each,
                    time_zone="Europe/Berlin",
                ),
            )
            for each in groups
        }


def differs(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(drift(connection))


def holds(engine: Engine, past: Past, before: tuple[Any, ...]) -> None:
    stay = past.stay(ages(engine))
    gone = {job.id for job in past.history.jobs} - stay
    assert gone
    assert listed(engine) == stay
    assert (money(engine), all_usage(engine)) == before[:2]
    assert differs(engine) == []
    assert rows_of(engine, stay) == before[2]
    assert secrets_of(engine, gone) == []
    with engine.connect() as connection:
        there = set(connection.scalars(select(runs.c.id)))
        assert there == {each for each, members in past.runs.items() if members[0].id in stay}
        dropped = connection.scalars(
            select(func.count()).select_from(sources).where(sources.c.content.is_(None))
        ).one()
        needed = {
            (past.history.project_ids[job.project], job.file) for job in past.history.jobs if job.id in stay
        }
        content = {
            (row.project_id, row.sha256)
            for row in connection.execute(select(sources).where(sources.c.content.is_not(None)))
        }
        used = {(past.history.project_ids[job.project], job.file) for job in past.history.jobs}
        assert content & used == needed
        assert dropped > 0
    assert prune(engine) == 0


def everything(engine: Engine, past: Past) -> tuple[Any, ...]:
    return money(engine), all_usage(engine), rows_of(engine, past.stay(ages(engine)))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_older_goes_what_is_younger_stays_and_every_sum_is_the_same(
    engine: Engine, seed: int
) -> None:
    past = stored(engine, random_past(seed, NOW))
    keep(engine, past, 0, [30, 120, 0, None][seed])
    before = everything(engine, past)

    prune(engine)

    holds(engine, past, before)


@contextmanager
def dying(url: str, seed: int, killer: Engine) -> Iterator[Engine]:
    """Give an engine whose sessions Postgres ends at statements that chance chooses."""
    rng, engine = random.Random(seed), open_engine(url, pool_size=2)

    @event.listens_for(engine, "before_cursor_execute")
    def _maybe_die(_connection: object, cursor: Any, *_: object) -> None:
        if rng.random() < 0.04:
            with killer.begin() as other:
                pid = cursor.connection.info.backend_pid
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    yield engine
    engine.dispose()


@pytest.mark.parametrize("seed", range(3))
def test_sweepers_that_die_anywhere_and_work_two_at_once_leave_the_same(
    engine: Engine, database_url: str, seed: int
) -> None:
    past = stored(engine, random_past(100 + seed, NOW))
    before = everything(engine, past)
    deaths: list[SQLAlchemyError] = []
    wrong: list[BaseException] = []

    def work(number: int) -> None:
        with dying(database_url, 10 * seed + number, engine) as mortal:
            quiet = 0
            while quiet < 3:
                sweeper = Sweeper(mortal, days=DAYS, now=lambda: NOW, rng=random.Random(number))
                try:
                    quiet = 0 if sweeper.sweep() else quiet + 1
                except DBAPIError as error:
                    (deaths if passes(error) else wrong).append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    prune(engine)

    assert wrong == []
    assert deaths
    holds(engine, past, before)


def test_a_job_that_made_no_call_leaves_nothing_and_one_that_did_leaves_a_stone(engine: Engine) -> None:
    bare = stored(engine, one_job(calls=[], file=b"bare"))
    called = stored(engine, one_job(file=b"called", rules=["B006", "F401"], labels={"team": "core"}))

    prune(engine)

    left = rows_of(engine, {bare.history.jobs[0].id})
    assert {name: rows for name, rows in left.items() if rows} == {}
    stone = rows_of(engine, {called.history.jobs[0].id})
    assert {name: len(rows) for name, rows in stone.items()} == {
        "jobs": 1,
        "findings": 2,
        "attempts": 1,
        "calls": 1,
        "suggestions": 0,
        "checks": 0,
        "events": 0,
    }
    with engine.connect() as connection:
        job = connection.execute(select(jobs)).one()
        assert (job.path, job.request, job.origin, job.labels) == ("", {}, {}, {"team": "core"})
        assert job.erased_at == job.pruned_at is not None
        of_job = {
            b"bare": bare.history.project_ids[0],
            b"called": called.history.project_ids[0],
        }
        files = select(sources.c.sha256, sources.c.content).where(
            tuple_(sources.c.sha256, sources.c.project_id).in_(of_job.items())
        )
        assert [tuple(row) for row in connection.execute(files)] == [(b"called", None)]


def test_a_stone_is_there_for_nobody(engine: Engine) -> None:
    past = stored(engine, one_job())
    project_id, job_id = past.history.project_ids[0], past.history.jobs[0].id
    prune(engine)

    doors: list[Callable[[Connection], object]] = [
        lambda connection: retries.retry(connection, project_id, job_id, actor="me"),
        lambda connection: erasure.erase(connection, project_id, job_id, actor="me"),
    ]
    for door in doors:
        with pytest.raises(NotFound), engine.begin() as connection:
            door(connection)
    with engine.begin() as connection:
        assert stored_jobs.find(connection, project_id, job_id) is None
        assert stored_jobs.cancel(connection, project_id, job_id) is None
    assert listed(engine, project_id) == set()


def test_a_job_with_an_uncertain_call_stays_with_its_run_until_that_is_decided(engine: Engine) -> None:
    past = stored(engine, one_run(100, 101, ending="uncertain"))

    assert prune(engine) == 0

    with engine.begin() as connection:
        connection.execute(update(calls).values(state="void"))
    assert prune(engine) > 0
    assert listed(engine) == set()
    with engine.connect() as connection:
        assert connection.scalars(select(func.count()).select_from(runs)).one() == 0
    assert secrets_of(engine, {job.id for job in past.history.jobs}) == []


def test_a_run_is_kept_whole_until_its_last_job_is_old(engine: Engine) -> None:
    past = stored(engine, one_run(200, 100, 80))
    [run_id] = past.runs
    assert prune(engine) == 0

    prune(engine, now=NOW + timedelta(days=11))

    with engine.connect() as connection:
        assert stored_runs.find(connection, past.history.project_ids[0], run_id) is None
        assert connection.scalars(select(func.count()).select_from(events)).one() == 0


def test_a_job_is_not_asked_for_again_while_its_run_is_being_pruned(engine: Engine) -> None:
    past = stored(engine, one_run(100, 101))
    with engine.begin() as connection:
        connection.execute(update(jobs).values(outcome="partial"))
        assert retention.hide_runs(connection, ages(engine), limit=1) == 1

    with pytest.raises(Conflict, match="being pruned"), engine.begin() as connection:
        retries.retry(connection, past.history.project_ids[0], past.history.jobs[0].id, actor="me")

    prune(engine)
    assert listed(engine) == set()


def test_a_job_that_is_asked_for_again_meanwhile_is_left_alone(engine: Engine) -> None:
    past = stored(engine, one_job())
    with engine.begin() as connection:
        connection.execute(update(jobs).values(outcome="partial"))
    with engine.begin() as asking:
        retries.retry(asking, past.history.project_ids[0], past.history.jobs[0].id, actor="me")
        assert prune(engine) == 0
    assert prune(engine) == 0

    assert listed(engine) == {past.history.jobs[0].id}


def test_an_earlier_run_that_is_kept_keeps_the_one_that_superseded_it(engine: Engine) -> None:
    older = stored(engine, one_run(100, ending="uncertain"))
    newer = stored(engine, one_run(99))
    [older_id], [newer_id] = older.runs, newer.runs
    with engine.begin() as connection:
        connection.execute(update(runs).where(runs.c.id == older_id).values(superseded_by=newer_id))
    assert prune(engine) == 0

    with engine.begin() as connection:
        connection.execute(update(calls).values(state="void"))
    prune(engine)

    with engine.connect() as connection:
        assert connection.scalars(select(func.count()).select_from(runs)).one() == 0


def test_a_file_that_somebody_submits_at_that_moment_keeps_its_job_for_the_next_batch(engine: Engine) -> None:
    past = stored(engine, one_job())
    with engine.begin() as submitting:
        submitting.execute(select(sources.c.sha256).with_for_update())
        assert prune(engine) == 0

    assert prune(engine) == 1
    assert listed(engine) == set()
    assert secrets_of(engine, {past.history.jobs[0].id}) == []


def test_nothing_is_pruned_where_all_is_kept_for_ever(engine: Engine) -> None:
    past = stored(engine, random_past(7, NOW))
    keep(engine, past, 0, 0)
    assert prune(engine, days=0) == 0

    keep(engine, past, 1, 1)
    prune(engine, days=0)

    first = {job.id for job in past.history.jobs if job.project == 0}
    assert first <= listed(engine)
    assert listed(engine) == past.stay(ages(engine, days=0))


def test_deliveries_audit_and_workers_are_bounded_too(engine: Engine) -> None:
    past = stored(engine, one_job(ended_at=NOW))
    webhook_id = new_id()

    def delivery(age: int, state: str) -> dict[str, Any]:
        made_at = NOW - timedelta(days=age)
        made = {"id": uuid.UUID(int=first_id(made_at).int + age), "created_at": made_at, "state": state}
        due = {"next_attempt_at": NOW if state == "pending" else None, "message_id": new_id(), "type": "t"}
        return {**made, **due, "webhook_id": webhook_id, "data": {}, "attempts": []}

    with engine.begin() as connection:
        connection.execute(delete(workers))
        connection.execute(
            insert(webhooks).values(
                id=webhook_id, project_id=past.history.project_ids[0], url="https://x.example", events=[]
            )
        )
        old = [delivery(100, "delivered"), delivery(101, "failed"), delivery(102, "pending")]
        connection.execute(insert(deliveries), [*old, delivery(80, "delivered")])
        heard = {"old": 91, "new": 89}
        connection.execute(
            insert(workers),
            [
                {"id": new_id(), "name": name, "heartbeat_at": NOW - timedelta(days=age)}
                for name, age in heard.items()
            ],
        )
        done = {"actor": "me", "subject": "it", "details": {}}
        connection.execute(
            insert(audit),
            [{**done, "action": str(age), "at": NOW - timedelta(days=age)} for age in (800, 731, 729, 1)],
        )

    prune(engine)

    with engine.connect() as connection:
        states = connection.scalars(select(deliveries.c.state).order_by(deliveries.c.id)).all()
        assert states == ["pending", "delivered"]
        assert connection.scalars(select(workers.c.name)).all() == ["new"]
        kept = connection.scalars(select(audit.c.action).where(audit.c.actor == "me").order_by(audit.c.id))
        assert kept.all() == ["729", "1"]


def test_a_sweeper_that_found_nothing_rests_a_minute_and_asks_nothing_meanwhile(engine: Engine) -> None:
    asked: list[str] = []
    times = iter([NOW, NOW + timedelta(seconds=RESTS_S - 1), NOW + timedelta(seconds=RESTS_S)])
    sweeper = Sweeper(engine, days=DAYS, now=lambda: next(times))

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sweeper.sweep()
    first = len(asked)
    sweeper.sweep()
    assert len(asked) == first > 0
    sweeper.sweep()
    assert len(asked) == 2 * first


def test_standing_says_what_is_oldest_and_what_is_due(engine: Engine) -> None:
    past = stored(engine, one_job())
    with engine.connect() as connection:
        found = retention.standing(connection, days=DAYS, now=NOW)
        assert (found.oldest, found.due) == (past.history.jobs[0].ended_at, 1)
        assert retention.standing(connection, days=0, now=NOW).due == 0

    prune(engine)

    with engine.connect() as connection:
        found = retention.standing(connection, days=DAYS, now=NOW)
    assert (found.oldest, found.due) == (None, 0)


FILL = """
    INSERT INTO jobs (id, project_id, state, outcome, kind, priority, run_at, path, language, sha256, bytes,
                      request, origin, labels, timings, finished_at, pruned_at)
    SELECT gen_random_uuid(), p.id, 'succeeded', 'verified', 'fix', 'bulk', now(), 'a.py', 'python', 's', 1,
           '{}', '{}', '{}', '{}', now() - n * interval '10 minutes',
           CASE WHEN n > 15000 THEN now() END
    FROM projects p, generate_series(1, 20000) n
"""
FILL_CALLS = (
    "INSERT INTO attempts (job_id, fence, worker_id) SELECT id, 7, gen_random_uuid() FROM jobs",
    """
    INSERT INTO calls (id, job_id, number, fence, model, state, turn, messages, max_tokens, hold_tokens,
                       hold_picos, input_picos, cached_picos, output_picos, deadline_at)
    SELECT gen_random_uuid(), id, 7, 7, 'm', 'settled', 't', '[]', 1, 1, 1, 1, 1, 1, now() FROM jobs
    """,
)


def test_looks_and_batches_read_by_index_alone(engine: Engine) -> None:
    project_id = stored(engine, one_job(ended_at=NOW)).history.project_ids[0]
    with engine.begin() as connection:
        allow_long(connection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # no look at foreign keys
        for statement in (FILL, *FILL_CALLS):
            connection.execute(text(statement))
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    plans: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if "lateral" in statement.lower() or "ORDER BY jobs.id DESC" in statement:
            cursor.execute("EXPLAIN " + statement, parameters)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    with engine.begin() as connection:
        connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        assert retention.prune_jobs(connection, ages(engine), limit=50) == 50
        retention.hide_runs(connection, ages(engine), limit=5)
    listed(engine, project_id)

    assert len(plans) == 3
    assert [plan for plan in plans if "Seq Scan on jobs" in plan or "Seq Scan on calls" in plan] == []
    assert "ix_jobs_ended" in plans[0]
    assert "ix_jobs_list" in plans[2]


def test_settings_and_projects_take_the_same_numbers() -> None:
    assert retention.MAX_DAYS == MAX_RETENTION_DAYS
