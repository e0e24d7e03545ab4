"""Five hundred streams of one API process: what is committed comes to all, and one reader reads for them."""

import threading
import time
import uuid
from collections.abc import Iterable

import pytest
from sqlalchemy import Engine

from patchmill.store.access import ensure_project
from tests.support.cutting_proxy import Cut, cutting
from tests.support.event_writing import tell
from tests.support.stack import Stack, until
from tests.support.watching import Watched, Watchers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WATCHERS = 500
LATEST_S = 10.0  # on a machine that does much else; `make bench-watchers` holds it to half a second
LOOK_S = 2.0
COMMITS = 4


def keys(stack: Stack, engine: Engine) -> dict[uuid.UUID, str]:
    given = {}
    for name in ("one", "two"):
        key = stack.key_of(name)
        with engine.begin() as connection:
            given[ensure_project(connection, name)] = key
    return given


def statements(through: Cut) -> int:
    """Count what the API asks Postgres for in a while in which nothing happens."""
    before = through.statements
    threading.Event().wait(LOOK_S)
    return through.statements - before


def commit(engine: Engine, jobs: list[uuid.UUID], mark: str) -> float:
    with engine.begin() as connection:
        for job in jobs:
            tell(connection, job, mark)
    return time.monotonic()


def test_what_is_committed_comes_to_five_hundred_watchers_and_one_reads_for_all(
    stack: Stack, engine: Engine
) -> None:
    watched = Watched.half_jobs_half_runs(engine, keys(stack, engine), WATCHERS)
    assert len(watched.streams) == WATCHERS
    counted = Cut(text=b"no statement has this", arrives=True)
    with cutting(stack.database_url, counted) as stack.database_url:
        stack.start_api()
        with Watchers(stack.api_url, watched.streams[:1]):
            for_one = statements(counted)

        with Watchers(stack.api_url, watched.streams) as watchers:
            for_all = statements(counted)
            committed = {str(each): commit(engine, watched.jobs, str(each)) for each in range(COMMITS)}
            until(lambda: all_came(watchers, committed), "the news on every stream")
        stack.stop()

    for mark, moment in committed.items():
        assert max(watchers.came(mark)) - moment < LATEST_S
    for heard in watchers.heard:
        assert heard.ids == sorted(set(heard.ids)), "an event came twice, or before one that it follows"
    assert 0 < for_all <= 2 * for_one + 20, (for_one, for_all)


def all_came(watchers: Watchers, marks: Iterable[str]) -> bool:
    return all(len(watchers.came(mark)) == WATCHERS for mark in marks)
