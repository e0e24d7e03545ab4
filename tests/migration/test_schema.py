from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from patchmill.job.state import State, is_legal
from patchmill.store.engine import open_engine
from patchmill.store.schema import Standing, downgrade, is_current, standing, upgrade
from patchmill.store.tables import metadata

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
FUNCTIONS = """
    SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'public'
"""


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = open_engine(empty_database_url, pool_size=2)
    yield engine
    engine.dispose()


def counted(engine: Engine, statement: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(statement)) or 0


def test_up_down_and_up_again_leaves_nothing_behind_and_ends_current(empty: Engine) -> None:
    upgrade(empty)
    assert is_current(empty)
    downgrade(empty, "base")
    assert (counted(empty, TABLES), counted(empty, FUNCTIONS)) == (0, 0)
    assert not is_current(empty)

    upgrade(empty)

    assert is_current(empty)


@pytest.mark.parametrize(
    ("revision", "stands"),
    [(None, Standing.OLDER), ("0001", Standing.OLDER), ("9999", Standing.NEWER), ("1a2b3c", Standing.OLDER)],
)
def test_a_schema_is_older_or_newer_by_its_number(
    engine: Engine, revision: str | None, stands: Standing
) -> None:
    assert standing(engine) is Standing.CURRENT
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if revision is not None:
            connection.execute(text("INSERT INTO alembic_version VALUES (:at)"), {"at": revision})

    assert standing(engine) is stands


def test_the_functions_of_the_store_are_there_once_each(engine: Engine) -> None:
    names = FUNCTIONS.replace("count(*)", "p.proname") + " AND p.proname NOT LIKE 'refuse%' ORDER BY 1"
    with engine.connect() as connection:
        assert connection.scalars(text(names)).all() == [
            *("admit_alone", "count_runs", "end_call", "end_job", "follow_ends", "hold_call", "new_id"),
            *("price_mark", "run_counts", "tell_first_token", "wake_waiters", "why_not_held"),
        ]


def test_autogenerate_finds_nothing_to_change(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})

        assert compare_metadata(context, metadata) == []


def make_job(engine: Engine, state: State) -> str:
    more = {
        State.SUCCEEDED: ("outcome, finished_at,", "'verified', now(),"),
        State.FAILED: ("error, finished_at,", "'{}', now(),"),
        State.CANCELLED: ("finished_at,", "now(),"),
        State.RUNNING: ("worker_id,", "gen_random_uuid(),"),
    }
    columns, values = more.get(state, ("", ""))
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'p') ON CONFLICT DO NOTHING")
        )
        connection.execute(
            text(
                "INSERT INTO sources (project_id, sha256, content)"
                " SELECT id, 'x', 'x' FROM projects ON CONFLICT DO NOTHING"
            )
        )
        job_id: str = connection.scalars(
            text(
                f"INSERT INTO jobs ({columns} id, project_id, state, kind, priority, run_at, path, language,"
                " sha256, bytes, request, origin, labels, timings)"
                f" SELECT {values} gen_random_uuid(), id, '{state}', 'fix', 'bulk', now(), 'a.py', 'python',"
                " 'x', 1, '{}', '{}', '{}', '{}' FROM projects RETURNING id"
            )
        ).one()
    return job_id


CONSISTENT = {
    State.SUCCEEDED: "outcome = 'verified', finished_at = now(), worker_id = NULL, error = NULL",
    State.FAILED: "outcome = NULL, finished_at = now(), worker_id = NULL, error = '{}'",
    State.CANCELLED: "outcome = NULL, finished_at = now(), worker_id = NULL, error = NULL",
    State.RUNNING: "outcome = NULL, finished_at = NULL, worker_id = gen_random_uuid(), error = NULL",
    State.QUEUED: "outcome = NULL, finished_at = NULL, worker_id = NULL, error = NULL",
    State.DISPATCHED: "outcome = NULL, finished_at = NULL, worker_id = NULL, error = NULL",
}


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_the_database_lets_a_job_move_exactly_along_the_arrows(
    engine: Engine, source: State, target: State
) -> None:
    job_id = make_job(engine, source)
    statement = text(f"UPDATE jobs SET state = '{target}', {CONSISTENT[target]} WHERE id = :id")

    if source is target or is_legal(source, target):
        with engine.begin() as connection:
            assert connection.execute(statement, {"id": job_id}).rowcount == 1
    else:
        with pytest.raises(IntegrityError, match="no arrow from"), engine.begin() as connection:
            connection.execute(statement, {"id": job_id})


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger_entries SET picos = 0", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries"],
)
def test_the_ledger_refuses_every_change(engine: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement", ["UPDATE prices SET source = ''", "DELETE FROM prices", "TRUNCATE prices"]
)
def test_the_price_list_refuses_every_change(engine: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(statement))


def test_names_of_ended_budgets_make_way_on_the_way_down(engine: Engine) -> None:
    add = (
        'INSERT INTO budgets (id, name, scope, "window", time_zone, limit_tokens, at_limit, ended_at)'
        " VALUES (gen_random_uuid(), 'core', 'installation', 'day', 'UTC', 1, 'wait', {})"
    )
    with engine.begin() as connection:
        for ended_at in ("now()", "now()", "NULL"):
            connection.execute(text(add.format(ended_at)))

    downgrade(engine, "0005")

    names = "SELECT count(DISTINCT name), count(*) FILTER (WHERE name = 'core') FROM budgets"
    with engine.connect() as connection:
        assert tuple(connection.execute(text(names)).one()) == (3, 1)


def test_what_is_pruned_is_in_the_way_of_no_downgrade(engine: Engine) -> None:
    make_job(engine, State.SUCCEEDED)
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET pruned_at = now(), erased_at = now()"))
        connection.execute(text("UPDATE projects SET retention_days = 30"))
        connection.execute(  # by a worker whose row is gone
            text("INSERT INTO attempts (job_id, fence, worker_id) SELECT id, 1, gen_random_uuid() FROM jobs")
        )

    downgrade(engine, "0009")

    assert counted(engine, "SELECT count(*) FROM attempts JOIN jobs ON jobs.id = job_id") == 1
    upgrade(engine)
    assert is_current(engine)
