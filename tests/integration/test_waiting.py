import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from api import waiting
from api.database import Database
from api.waiting import Broadcaster, Follower
from patchmill.errors import Unavailable
from patchmill.store import events
from patchmill.store.events import EventRow
from tests.support.event_writing import cancel, new_job, new_project, new_run, tell
from tests.support.services import cut_off

DEADLINE_S = 60.0
SILENCE_S = 0.6  # a few looks of the reader


def run(test: Callable[[Broadcaster], Awaitable[Any]], engine: Engine) -> Any:
    async def with_broadcaster() -> Any:
        broadcaster = Broadcaster(Database(engine))
        try:
            return await test(broadcaster)
        finally:
            broadcaster.release()

    return asyncio.run(with_broadcaster())


async def take(follower: Follower, number: int) -> list[EventRow]:
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(follower) for _ in range(number)]


async def silent(follower: Follower) -> bool:
    try:
        async with asyncio.timeout(SILENCE_S):
            await anext(follower)
    except TimeoutError:
        return True
    return False


async def whole(broadcaster: Broadcaster, engine: Engine, run_id: uuid.UUID, number: int) -> list[EventRow]:
    """Follow a run from its beginning, as a stream does, until so many events have come."""
    async with asyncio.timeout(DEADLINE_S), broadcaster.follow(run=run_id) as follower:
        with engine.connect() as connection:
            given = events.of_run(connection, run_id, up_to=follower.settled)
        while len(given) < number:
            row = await anext(follower)
            if not given or row.id > given[-1].id:
                given.append(row)
        return given


def names(rows: list[EventRow]) -> list[Any]:
    return [row.data.get("check", row.data.get("to")) for row in rows]


def write(engine: Engine, job_id: uuid.UUID, *checks: str) -> None:
    with engine.begin() as connection:
        tell(connection, job_id, *checks)


def test_a_follower_is_given_what_happens_to_its_job_and_nothing_else(engine: Engine) -> None:
    project = new_project(engine)
    job, other = new_job(engine, project), new_job(engine, project)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(job=job) as follower:
            write(engine, other, "parses")
            write(engine, job, "applies", "parses")
            cancel(engine, project, job)
            return await take(follower, 3)

    given = run(test, engine)

    assert names(given) == ["applies", "parses", "cancelled"]
    assert [row.seq for row in given] == [2, 3, 4]
    assert given[-1].ended() == job
    assert given[0].ended() is None


def test_followers_of_a_project_and_of_everything_are_given_all_of_it(engine: Engine) -> None:
    mine, others = new_project(engine), new_project(engine)

    async def test(broadcaster: Broadcaster) -> tuple[list[EventRow], list[EventRow]]:
        async with broadcaster.follow(project=mine) as of_project, broadcaster.follow() as of_all:
            jobs = [new_job(engine, project) for project in (mine, others, mine)]
            assert len(jobs) == 3
            return await take(of_project, 2), await take(of_all, 3)

    of_project, of_all = run(test, engine)

    assert {row.project_id for row in of_project} == {mine}
    assert [row.project_id for row in of_all] == [mine, others, mine]


def test_whoever_waits_for_a_job_or_a_run_is_told_of_its_end(engine: Engine) -> None:
    project = new_project(engine)
    run_id, jobs = new_run(engine, project, 2)

    async def test(broadcaster: Broadcaster) -> None:
        async with (
            broadcaster.watch(jobs[0]) as first,
            broadcaster.watch(jobs[1]) as second,
            broadcaster.watch(run_id) as whole,
        ):
            cancel(engine, project, jobs[0])
            async with asyncio.timeout(DEADLINE_S):
                await first.wait()
            assert not second.is_set()
            assert not whole.is_set()
            cancel(engine, project, jobs[1])
            async with asyncio.timeout(DEADLINE_S):
                await second.wait()
                await whole.wait()

    run(test, engine)


def test_what_happened_before_is_not_news(engine: Engine) -> None:
    project = new_project(engine)
    job = new_job(engine, project)
    cancel(engine, project, job)

    async def test(broadcaster: Broadcaster) -> tuple[bool, bool]:
        async with broadcaster.follow(job=job) as follower, broadcaster.watch(job) as ended:
            return await silent(follower), ended.is_set()

    assert run(test, engine) == (True, False)


def test_an_event_is_given_however_old_it_is_when_it_becomes_visible(engine: Engine) -> None:
    job = new_job(engine, new_project(engine))

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(job=job) as follower:
            with engine.begin() as connection:
                tell(connection, job, "applies")
                connection.execute(text("UPDATE events SET at = now() - interval '1 hour' WHERE seq = 2"))
            return await take(follower, 1)

    assert names(run(test, engine)) == ["applies"]


def test_a_job_follower_is_given_an_event_that_was_overtaken_by_a_later_id(engine: Engine) -> None:
    project = new_project(engine)
    slow, fast = new_job(engine, project), new_job(engine, project)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(job=slow) as of_slow, broadcaster.follow(job=fast) as of_fast:
            with engine.begin() as connection:
                tell(connection, slow, "applies")
                write(engine, fast, "parses")
                overtaking = await take(of_fast, 1)
                assert await silent(of_slow)
            return overtaking + await take(of_slow, 1)

    overtaking, overtaken = run(test, engine)

    assert overtaken.id < overtaking.id


@pytest.mark.parametrize("younger_holds_the_lower_id", [False, True])
def test_a_run_follower_is_given_nothing_that_may_still_be_preceded(
    engine: Engine, *, younger_holds_the_lower_id: bool
) -> None:
    project = new_project(engine)
    run_id, (low, high) = new_run(engine, project, 2)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(run=run_id) as follower:
            with engine.connect() as first, engine.connect() as second:
                # Each has a transaction id, in this order, before either takes the id of an event.
                for connection in (second, first) if younger_holds_the_lower_id else (first, second):
                    connection.execute(text("SELECT pg_current_xact_id()"))
                tell(first, low, "applies")
                tell(second, high, "parses")
                second.commit()
                assert await silent(follower)
                first.commit()
            return await take(follower, 2)

    given = run(test, engine)

    assert names(given) == ["applies", "parses"]
    assert given[0].id < given[1].id


def test_a_transaction_that_tells_nothing_holds_no_run_follower_back(engine: Engine) -> None:
    project = new_project(engine)
    run_id, (job,) = new_run(engine, project, 1)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        with engine.connect() as foreign:
            foreign.execute(text("SELECT pg_current_xact_id()"))  # it writes elsewhere, and takes its time
            async with broadcaster.follow(run=run_id) as follower:
                write(engine, job, "applies")
                return await take(follower, 1)

    assert names(run(test, engine)) == ["applies"]


def test_what_was_on_its_way_when_the_reader_began_is_news_however_long_ago_that_began(
    engine: Engine,
) -> None:
    project = new_project(engine)
    run_id, (slow, fast) = new_run(engine, project, 2)

    async def test(broadcaster: Broadcaster) -> tuple[list[EventRow], list[EventRow]]:
        with engine.connect() as lasting:
            tell(lasting, slow, "applies")
            write(engine, fast, "parses")
            with engine.begin() as connection:  # as it is an hour later
                connection.execute(text("UPDATE events SET at = at - interval '1 hour'"))
            async with broadcaster.follow(job=slow) as of_job:
                following = asyncio.create_task(whole(broadcaster, engine, run_id, 5))
                assert await silent(of_job)
                lasting.commit()
                return await take(of_job, 1), await following

    of_job, of_run = run(test, engine)

    assert names(of_job) == ["applies"]
    with engine.connect() as connection:
        assert of_run == events.of_run(connection, run_id)


@pytest.mark.parametrize("look", ["snapshot", "newest", "writing"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_becomes_visible_while_the_reader_begins_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, look: str, moment: str
) -> None:
    project = new_project(engine)
    run_id, (job,) = new_run(engine, project, 1)
    looked = getattr(events, look)
    told: list[bool] = []

    def disturbed(connection: Connection) -> Any:
        if told:
            return looked(connection)
        told.append(True)
        if moment == "before":
            write(engine, job, "applies", "parses")
        seen = looked(connection)
        if moment == "after":
            write(engine, job, "applies", "parses")
        return seen

    monkeypatch.setattr(events, look, disturbed)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(run=run_id):
            write(engine, job, "reproduced")
            return await whole(broadcaster, engine, run_id, 5)

    assert names(run(test, engine)) == ["queued", "queued", "applies", "parses", "reproduced"]


def test_what_nothing_can_precede_comes_to_a_run_follower_without_another_pause(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_S", 4.0)
    project = new_project(engine)
    run_id, (job,) = new_run(engine, project, 1)

    async def test(broadcaster: Broadcaster) -> float:
        async with broadcaster.follow(job=job) as of_job, broadcaster.follow(run=run_id) as of_run:
            write(engine, job, "applies")
            await take(of_job, 1)
            began = time.monotonic()
            await take(of_run, 1)
            return time.monotonic() - began

    assert run(test, engine) < waiting.POLL_S / 2


def test_a_run_follower_goes_on_where_its_history_ends(engine: Engine) -> None:
    project = new_project(engine)
    run_id, jobs = new_run(engine, project, 3)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow() as someone:
            for number in range(20):
                write(engine, jobs[number % 3], f"check{number}")
            await take(someone, 20)
            async with broadcaster.follow(run=run_id) as late:
                with engine.connect() as connection:
                    history = events.of_run(connection, run_id, up_to=late.settled)
                write(engine, jobs[0], "last")
                return history + await take(late, 25 - len(history))

    given = run(test, engine)

    with engine.connect() as connection:
        assert given == events.of_run(connection, run_id)


def test_of_a_slow_follower_the_stream_ends_without_a_gap(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_BEHIND", 10)
    job = new_job(engine, new_project(engine))

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with broadcaster.follow(job=job) as slow, broadcaster.follow(job=job) as quick:
            write(engine, job, *map(str, range(8)))
            given = await take(quick, 8)
            write(engine, job, *map(str, range(8, 16)))
            given += await take(quick, 8)
            assert names(given) == [str(number) for number in range(16)]
            async with asyncio.timeout(DEADLINE_S):
                return [row async for row in slow]

    assert names(run(test, engine)) == [str(number) for number in range(10)]


def test_more_news_than_one_look_reads_is_given_whole(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BATCH", 7)
    project = new_project(engine)
    run_id, jobs = new_run(engine, project, 2)

    async def test(broadcaster: Broadcaster) -> tuple[list[EventRow], list[EventRow]]:
        async with broadcaster.follow(run=run_id) as of_run, broadcaster.follow(job=jobs[1]) as of_job:
            with engine.begin() as early:
                tell(early, jobs[0], *(f"early{number}" for number in range(20)))
                write(engine, jobs[1], *(f"late{number}" for number in range(20)))
                given = await take(of_job, 20)
                looks = counted_looks(engine)
                began = time.monotonic()
                assert await silent(of_run)
                assert len(looks) <= (time.monotonic() - began) / waiting.POLL_S + 1
            return given, await take(of_run, 40)

    of_job, of_run = run(test, engine)

    assert names(of_job) == [f"late{number}" for number in range(20)]
    assert [row.id for row in of_run] == sorted(row.id for row in of_run)
    with engine.connect() as connection:
        assert of_run == events.of_run(connection, run_id)[3:]


def counted_looks(engine: Engine) -> list[float]:
    """Note when the reader looks, from now on."""
    looks: list[float] = []

    def count(*arguments: Any) -> None:
        if "pg_current_snapshot" in arguments[2]:
            looks.append(time.monotonic())

    event.listen(engine, "before_cursor_execute", count)
    return looks


def test_many_watchers_cost_one_query_a_look(engine: Engine) -> None:
    project = new_project(engine)
    jobs = [new_job(engine, project) for _ in range(5)]

    async def test(broadcaster: Broadcaster) -> None:
        async with AsyncExitStack() as stack:
            followers = [
                await stack.enter_async_context(broadcaster.follow(job=jobs[number % 5]))
                for number in range(400)
            ]
            ends = [await stack.enter_async_context(broadcaster.watch(jobs[0])) for _ in range(100)]
            assert broadcaster.watchers() == 500
            cancel(engine, project, jobs[0])
            async with asyncio.timeout(DEADLINE_S):
                for ended in ends:
                    await ended.wait()
            for follower in followers[::5]:
                await take(follower, 1)
            assert all([await silent(follower) for follower in followers[1:3]])
        assert broadcaster.watchers() == 0
        async with asyncio.timeout(DEADLINE_S):  # nobody watches, nobody looks
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "reader"))

    looks = counted_looks(engine)
    began = time.monotonic()
    run(test, engine)

    assert 3 <= len(looks) <= (time.monotonic() - began) / waiting.POLL_S + 1


def test_an_outage_of_postgres_only_delays(
    database_url: str, postgres_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_WITHOUT_DATABASE_S", 0.1)
    project = new_project(engine)
    run_id, (job, last) = new_run(engine, project, 2)

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        async with (
            broadcaster.follow(job=job) as follower,
            broadcaster.follow(run=run_id) as of_run,
            broadcaster.watch(run_id) as ended,
        ):
            with cut_off(postgres_url, database_url):
                assert await silent(follower)
            write(engine, job, "applies")
            cancel(engine, project, job)
            cancel(engine, project, last)
            given = await take(follower, 2)
            await take(of_run, 6)
            async with asyncio.timeout(DEADLINE_S):
                await ended.wait()
            return given

    assert names(run(test, engine)) == ["applies", "cancelled"]


def test_those_who_come_while_postgres_is_away_are_told_so(
    database_url: str, postgres_url: str, engine: Engine
) -> None:
    job = new_job(engine, new_project(engine))

    async def test(broadcaster: Broadcaster) -> list[EventRow]:
        with cut_off(postgres_url, database_url), pytest.raises(Unavailable):
            async with broadcaster.follow(job=job):
                pass
        assert broadcaster.watchers() == 0
        async with broadcaster.follow(job=job) as follower:
            write(engine, job, "applies")
            return await take(follower, 1)

    assert names(run(test, engine)) == ["applies"]


def test_all_are_let_go_when_the_process_stops(engine: Engine) -> None:
    job = new_job(engine, new_project(engine))

    async def test(broadcaster: Broadcaster) -> None:
        async with broadcaster.follow(job=job) as follower, broadcaster.watch(job) as ended:
            broadcaster.release()
            async with asyncio.timeout(DEADLINE_S):
                assert [row async for row in follower] == []
            assert ended.is_set()
        async with broadcaster.follow(job=job) as late, broadcaster.watch(job) as too_late:
            assert [row async for row in late] == []
            assert too_late.is_set()

    run(test, engine)
