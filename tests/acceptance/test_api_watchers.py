"""Five hundred streams of one API process: what is committed comes to all, and one reader reads for them."""

import threading
import time
import uuid
from collections.abc import Iterable

import pytest
from sqlalchemy import Engine

from api.waiting import POLL_S
from patchmill.store.access import ensure_project
from tests.support.counting_proxy import Counted, counting
from tests.support.event_writing import tell
from tests.support.stack import Stack, until
from tests.support.watching import Watched, Watchers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WATCHERS = 500
LATEST_S = 30.0  # on a machine that does much else; `make bench-watchers` holds it to half a second
LOOK_S = 2.0
OF_A_LOOK = 8  # statements at most, with those that begin and end it
OF_OTHERS = 20  # in a second: the courier's
COMMITS = 4


def keys(stack: Stack, engine: Engine) -> dict[uuid.UUID, str]:
    given = {}
    for name in ("one", "two"):
        key = stack.key_of(name)
        with engine.begin() as connection:
            given[ensure_project(connection, name)] = key
    return given


def round_trips(counted: Counted) -> tuple[int, float]:
    """Count how often the API asks Postgres in a while in which nothing happens; gives its length, too."""
    before, began = len(counted.trips), time.monotonic()
    threading.Event().wait(LOOK_S)
    return len(counted.trips) - before, time.monotonic() - began


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
    with counting(stack.database_url) as (stack.database_url, counted):
        stack.start_api()
        with Watchers(stack.api_url, watched.streams) as watchers:
            asked, span_s = round_trips(counted)
            committed = {str(each): commit(engine, watched.jobs, str(each)) for each in range(COMMITS)}
            until(lambda: all_came(watchers, committed), "the news on every stream")
        stack.stop()

    for mark, moment in committed.items():
        assert max(watchers.came(mark)) - moment < LATEST_S
    for heard in watchers.heard:
        assert heard.ids == sorted(set(heard.ids)), "an event came twice, or before one that it follows"
    looks = span_s / POLL_S + 2
    assert 0 < asked <= looks * OF_A_LOOK + span_s * OF_OTHERS < WATCHERS


def all_came(watchers: Watchers, marks: Iterable[str]) -> bool:
    return all(len(watchers.came(mark)) == WATCHERS for mark in marks)
