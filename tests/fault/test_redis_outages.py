"""Redis is emptied, killed and frozen under load: submissions are accepted throughout, and work goes on."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import redis
from sqlalchemy import Engine

from tests.support import faults, invariants
from tests.support.faults import Told
from tests.support.load import Load, declining
from tests.support.own_services import OwnValkey, own_valkey
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(240)),
]

PER_S = faults.of_scale(5, 6)
CALM_S = faults.of_scale(3, 10)
FLUSHES = faults.of_scale(3, 10)
FLUSH_EVERY_S = (0.5, 1.0) if not faults.LONG else (2.0, 5.0)
KILLS = faults.of_scale(1, 3)
FROZEN_S = faults.of_scale(3, 60)
SPAN_S = 3.0  # over which throughput is counted
BACK_WITHIN_S = 60.0
TTL_S = 1.5

Break = Callable[[OwnValkey, random.Random], None]


@pytest.fixture
def own() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


def empty(server: OwnValkey, rng: random.Random) -> None:
    with redis.Redis.from_url(server.url) as client:
        for _ in range(FLUSHES):
            client.flushall()
            faults.wait_while(rng.uniform(*FLUSH_EVERY_S))


def kill(server: OwnValkey, rng: random.Random) -> None:
    for _ in range(KILLS):
        server.kill()
        faults.wait_while(rng.uniform(1.0, 3.0))
        server.start()


def freeze(server: OwnValkey, _rng: random.Random) -> None:
    server.freeze()
    faults.wait_while(FROZEN_S)
    server.thaw()


BROKEN: dict[str, tuple[Break, str]] = {
    "Redis is emptied, under load": (empty, f"{FLUSHES} times FLUSHALL"),
    "Redis is killed and comes back empty, under load": (kill, f"{KILLS} kills"),
    "Redis is frozen, under load": (freeze, f"once for {FROZEN_S} s"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What was broken how often, and when: from when on, until when, and when throughput was back."""

    name: str
    often: str
    broken_at: float
    mended_at: float
    back_at: float


def is_back(engine: Engine, load: Load, usual_per_s: float) -> bool:
    """Whether jobs end as they usually do, or at least as they are submitted."""
    now = time.time()
    submitted_per_s = len(load.since(now - SPAN_S)) / SPAN_S
    ended_per_s = faults.ended_between(engine, now - SPAN_S, now) / SPAN_S
    return submitted_per_s > 0 and ended_per_s >= 0.9 * min(usual_per_s, submitted_per_s)


def test_submissions_are_accepted_and_work_goes_on_whatever_becomes_of_redis(
    stack: Stack, engine: Engine, own: OwnValkey
) -> None:
    rng = faults.chance("redis")
    stack.redis_url = own.url
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "30"  # a busy machine ends no call
    stack.behave(latency_ms=300, script=declining())
    stack.start_api()
    workers = [stack.start("worker") for _ in range(2)]
    seen = []
    with Load(stack, per_s=PER_S) as load:
        until(
            lambda: len(load.accepted) > 2 * PER_S > invariants.open_jobs(engine),
            "the workers at work",
            faults.timeout_s(120),
        )
        began = time.time()
        faults.wait_while(CALM_S)
        usual_per_s = faults.ended_between(engine, began, time.time()) / CALM_S
        for name, (break_it, often) in BROKEN.items():
            broken_at = time.time()
            break_it(own, rng)
            mended_at = time.time()
            until(lambda: is_back(engine, load, usual_per_s), "throughput is back", faults.timeout_s(120))
            seen.append(
                Outage(name=name, often=often, broken_at=broken_at, mended_at=mended_at, back_at=time.time())
            )
        invariants.check_under_way(engine, lease_ttl_s=TTL_S, accepted=load.accepted)
    until(lambda: invariants.open_jobs(engine) == 0, "all ended", faults.timeout_s(120))

    assert set(load.statuses) == {202}
    assert [worker.poll() for worker in workers] == [None, None]
    invariants.check(engine, stack.truth(), load.accepted)
    assert invariants.rows(engine, "SELECT DISTINCT state FROM jobs") == [("succeeded",)]
    for outage in seen:
        assert faults.in_time(outage.back_at - outage.mended_at, BACK_WITHIN_S)
        _tell(engine, load, outage, usual_per_s)


def _tell(engine: Engine, load: Load, outage: Outage, usual_per_s: float) -> None:
    meanwhile = [each for each in load.since(outage.broken_at) if each.at <= outage.back_at]
    slowest_s = max(each.took_s for each in meanwhile)
    lasted_s = outage.mended_at - outage.broken_at
    ended_per_s = faults.ended_between(engine, outage.broken_at, outage.mended_at) / lasted_s
    faults.tell(
        Told(
            broke=outage.name,
            often=outage.often,
            jobs=len(meanwhile),
            bar=f"0 lost; each submission answered with 202; 90 % of throughput within {BACK_WITHIN_S:.0f} s",
            measured=f"0 lost; all answered with 202, the slowest in {slowest_s:.2f} s; "
            f"{ended_per_s:.1f} jobs/s meanwhile, {usual_per_s:.1f} before; "
            f"back after {outage.back_at - outage.mended_at:.1f} s",
        )
    )
