"""Workers are killed at random under load, while the gateway fails too."""

import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.fault.test_webhook_outbox import LOOPBACK, subscribe
from tests.support import faults, invariants
from tests.support.faults import Told
from tests.support.load import Load, declining
from tests.support.nursery import Process
from tests.support.receiver import Receiver
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(faults.timeout_s(240))]

WORKERS = 2
KILLS = faults.of_scale(3, 15)
PER_S = faults.of_scale(6, 4)
TTL_S = 1.5
BAR_S = TTL_S + 10  # as 40 s are to a lease time of 30 s
SETTLES_S = 0.2  # Postgres ends what it was about when its client was killed
FAULTS = ["503", "truncate", "429_concurrency", "stream_error", "html_200"]
OF_THE_VICTIM = """
    SELECT j.id, j.fence, c.id AS call_id FROM jobs j
    LEFT JOIN calls c ON c.job_id = j.id AND c.state = 'sent'
    WHERE j.state = 'running'
        AND j.worker_id IN (SELECT id FROM workers WHERE split_part(name, ':', 2) = '{pid}')
"""
CLAIMED_AGAIN = """
    SELECT extract(epoch FROM min(at)) FROM events WHERE job_id = '{job}' AND type = 'job.state'
        AND data->>'to' = 'running' AND (data->>'attempt')::integer > {fence}
"""
LEFT_UNKNOWN = """
    SELECT c.id, split_part(w.name, ':', 2)::integer FROM calls c
    JOIN attempts a ON a.job_id = c.job_id AND a.fence = c.fence JOIN workers w ON w.id = a.worker_id
    WHERE c.message = 'the worker was lost while the call ran'
"""


class Kills:
    """Kills one worker of several at random, each time that all are up, and starts another in its place."""

    def __init__(self, stack: Stack, engine: Engine) -> None:
        self._stack = stack
        self._engine = engine
        self._rng = faults.chance("kills")
        self._workers = [self._hire() for _ in range(WORKERS)]
        self._due_at: float | None = None
        self.made = 0
        self.victims: set[int] = set()  # process ids
        self.on_the_wire = 0  # calls that were so at a kill
        self.unsent: list[tuple[object, int, float]] = []  # job, fence, and when its worker was killed

    def look(self) -> bool:
        """Kill if it is time to; say whether enough were killed."""
        now = time.monotonic()
        if self._due_at is None and all("worker ready" in log.read_text() for _, log in self._workers):
            self._due_at = now + self._rng.uniform(0.5, 3.0)
        if self._due_at is not None and now >= self._due_at:
            self._kill(self._rng.randrange(WORKERS))
            self._due_at = None
        return self.made == KILLS

    def _hire(self) -> tuple[Process, Path]:
        log = self._stack.data_dir / f"worker-{len(self._stack.processes)}.log"
        return self._stack.start("worker"), log

    def _kill(self, number: int) -> None:
        victim, _ = self._workers[number]
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        at = time.time()
        faults.wait_while(SETTLES_S)
        for job, fence, call in invariants.rows(self._engine, OF_THE_VICTIM.format(pid=victim.pid)):
            if call is None:
                self.unsent.append((job, fence, at))
            else:
                self.on_the_wire += 1
        self.made += 1
        self.victims.add(victim.pid)
        self._workers[number] = self._hire()

    def times_until_claimed_again(self) -> list[float]:
        """Give the seconds that each job whose call was not sent had to wait for another worker."""
        looked = [
            (invariants.rows(self._engine, CLAIMED_AGAIN.format(job=job, fence=fence))[0][0], at)
            for job, fence, at in self.unsent
        ]
        return [float(again) - at for again, at in looked if again is not None]


def test_kills_and_faults_at_random_lose_nothing_and_buy_nothing_twice(stack: Stack, engine: Engine) -> None:
    stack.settings["PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    stack.behave(
        latency_ms={"median_ms": 700, "p95_ms": 2_500},
        shares=[{"fault": fault, "share": 0.01} for fault in FAULTS],
        script=declining(),
    )
    with Receiver() as receiver:
        stack.start_api()
        subscribe(stack, receiver.url())
        kills = Kills(stack, engine)
        with Load(stack, per_s=PER_S) as load:
            until(kills.look, f"{KILLS} workers killed", faults.timeout_s(200))
        invariants.check_under_way(engine, lease_ttl_s=TTL_S, accepted=load.accepted)
        until(lambda: invariants.open_jobs(engine) == 0, "all ended", faults.timeout_s(120))

    assert set(load.statuses) == {202}
    invariants.check(engine, stack.truth(), load.accepted)
    codes = invariants.rows(engine, "SELECT DISTINCT error->>'code' FROM jobs WHERE state = 'failed'")
    assert {code for (code,) in codes} <= {"worker_lost"}
    ended = dict(map(tuple, invariants.rows(engine, "SELECT state, count(*) FROM jobs GROUP BY state")))
    assert ended["succeeded"] >= 0.9 * len(load.accepted)
    unknown = invariants.rows(engine, LEFT_UNKNOWN)
    assert {worker for _, worker in unknown} <= kills.victims
    again = faults.percentile(kills.times_until_claimed_again(), 0.99)
    assert faults.in_time(again, BAR_S)
    faults.tell(
        Told(
            broke="a worker is killed at random, under load",
            often=f"{kills.made} kills of one of {WORKERS} workers",
            jobs=len(load.accepted),
            bar=f"0 lost; what had sent nothing runs again within {BAR_S} s (lease {TTL_S} s, p99); "
            "no call is unknown that was not on the wire at a kill",
            measured=f"0 lost; {len(kills.unsent)} had sent nothing, p99 {again:.1f} s; "
            f"{len(unknown)} unknown of {kills.on_the_wire} on the wire",
        )
    )
