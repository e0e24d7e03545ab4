"""The network between a worker and its services falls silent: nothing is passed, and nothing is closed.

Only who stops to wait learns of that. After the cut, what was connected before it stays silent for ever.
"""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from tests.support import faults, invariants
from tests.support.database_proxy import connect
from tests.support.faults import Told
from tests.support.jobs import all_succeeded, submit, succeeded
from tests.support.silent_proxy import SilentProxy, silent_proxy
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(300)),
]

NOTICED_S = 60.0  # at most, until it is noticed, and until work goes on
TTL_S = 1.5  # of a lease of the stack
CUT_S = faults.of_scale(0, 120)  # at least
ANSWER_MS = 400
JOBS = faults.of_scale(24, 400)
MORE = 8
THREADS = 3  # the lease's, the clock's, and one that runs a job
SLOTS = {"PATCHMILL_GATEWAY_CONCURRENCY": "4"}


@pytest.fixture
def before_postgres(stack: Stack) -> Iterator[SilentProxy]:
    with silent_proxy(lambda: connect(make_url(stack.database_url))) as proxy:
        yield proxy


@pytest.fixture
def before_redis(stack: Stack) -> Iterator[SilentProxy]:
    where = urlsplit(stack.redis_url)
    with silent_proxy(lambda: socket.create_connection((where.hostname, where.port))) as proxy:
        yield proxy


def came_after(truth: dict[str, Any], at: datetime) -> int:
    """Count the requests that the stand-in has answered and that reached it after an instant."""
    return sum(datetime.fromisoformat(row["at"]) > at for row in truth["rows"])


def test_a_worker_that_postgres_is_silent_to_sends_nothing_without_a_lease_and_goes_on_by_itself(
    stack: Stack, engine: Engine, before_postgres: SilentProxy
) -> None:
    behind = make_url(stack.database_url).set(host="127.0.0.1", port=before_postgres.port, query={})
    settings = SLOTS | {"PATCHMILL_DATABASE_URL": behind.render_as_string(hide_password=False)}
    stack.behave(latency_ms=ANSWER_MS)
    stack.start_api()
    submit(stack, JOBS)
    cut_off = stack.start("worker", **settings)
    log = stack.data_dir / "worker-1.log"
    until(lambda: succeeded(engine) >= 4, "the first jobs done")

    before_postgres.fall_silent()
    silent_from = datetime.now(UTC)
    until(lambda: log.read_text().count("given up") >= THREADS, "the silence noticed", NOTICED_S)
    noticed_s = (datetime.now(UTC) - silent_from).total_seconds()
    faults.wait_while(CUT_S - noticed_s)
    assert came_after(stack.truth(), silent_from + timedelta(seconds=TTL_S)) == 0
    before_postgres.speak()
    again = succeeded(engine)
    spoken_since = time.monotonic()
    until(lambda: succeeded(engine) > again, "a job done after the silence", NOTICED_S)
    resumed_s = time.monotonic() - spoken_since

    until(lambda: all_succeeded(engine, JOBS), "all jobs succeeded", faults.timeout_s(90))
    invariants.check(engine, stack.truth())
    assert cut_off.poll() is None
    faults.tell(
        Told(
            broke="the network between a worker and Postgres passes nothing and closes nothing",
            often=f"once, for {max(CUT_S, noticed_s):.0f} s",
            jobs=JOBS,
            bar=f"no request without a lease; noticed within {NOTICED_S:g} s; goes on by itself",
            measured=f"0 requests after the lease; noticed after {noticed_s:.1f} s; "
            f"a job ended {resumed_s:.1f} s after the cut",
        )
    )


def test_a_worker_that_redis_is_silent_to_works_on_and_comes_back_to_it(
    stack: Stack, engine: Engine, before_redis: SilentProxy
) -> None:
    stack.behave(latency_ms=ANSWER_MS)
    stack.start_api()
    cut_off = stack.start("worker", PATCHMILL_REDIS_URL=f"redis://127.0.0.1:{before_redis.port}/0", **SLOTS)
    submit(stack, JOBS)
    until(lambda: succeeded(engine) >= 4, "the first jobs done")

    before_redis.fall_silent()
    silent_since = time.monotonic()
    until(lambda: "redis is away; this process runs" in stack.logs(), "the silence noticed", NOTICED_S)
    noticed_s = time.monotonic() - silent_since
    until(lambda: all_succeeded(engine, JOBS), "all jobs done without Redis", faults.timeout_s(90))
    faults.wait_while(CUT_S - (time.monotonic() - silent_since))
    cut_s = time.monotonic() - silent_since
    before_redis.speak()
    spoken_since = time.monotonic()
    until(lambda: "redis is back; jobs are sent" in stack.logs(), "Redis in use again", NOTICED_S)
    submit(stack, MORE, first=JOBS)  # which nobody runs but who takes messages
    until(lambda: all_succeeded(engine, JOBS + MORE), "the jobs that were sent through Redis", NOTICED_S)
    resumed_s = time.monotonic() - spoken_since

    invariants.check(engine, stack.truth())
    assert cut_off.poll() is None
    faults.tell(
        Told(
            broke="the network between a worker and Redis passes nothing and closes nothing",
            often=f"once, for {cut_s:.0f} s",
            jobs=JOBS + MORE,
            bar=f"work goes on; noticed within {NOTICED_S:g} s; messages are taken again by itself",
            measured=f"{JOBS} jobs ended meanwhile; noticed after {noticed_s:.1f} s; "
            f"jobs sent through Redis ended {resumed_s:.1f} s after the cut",
        )
    )
