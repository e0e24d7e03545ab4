"""Everything that locks jobs, calls, budgets and windows, all at once: nobody waits in a circle."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import Engine, select, text

from patchmill.budget.ledger import Fit, Room, fit, shortfall
from patchmill.budget.reconciliation import Use
from patchmill.budget.windows import WindowKind
from patchmill.errors import CancelRequested, Conflict, LostClaim, NotFound
from patchmill.job.record import Outcome
from patchmill.job.retry import NoRoom, Wait, without_room
from patchmill.job.state import State
from patchmill.store import (
    budget_waiters,
    budgets,
    claims,
    decisions,
    drift,
    erasure,
    ledger,
    retries,
    runs,
)
from patchmill.store import jobs as stored_jobs
from patchmill.store.budget_alerts import note_exhausted
from patchmill.store.claims import Claim
from patchmill.store.engine import one_by_one, open_engine
from patchmill.store.ids import from_edge
from patchmill.store.tables import calls, jobs
from tests.integration.test_store_ledger import ANSWERED, REJECTED, UNKNOWN
from tests.integration.test_store_run_caps import run_of
from tests.support import invariants
from tests.support.claimed import HOLD, PLAN, RATES, claimed, dispatched, worker
from tests.support.stack import until
from worker.sweepers import budget_alerts

HANDS = 6
JOBS = 60
TURNS = 40  # of each hand, and more until everything has happened
LONGEST_S = 90.0
EVERYTHING = {
    *("refused", "waits for a window", "decided", "changed", "cancelled", "retried", "erased", "rebuilt"),
    *("ended", "freed_room", "woke_waiters"),
}
ROOM_FOR = 4
SHARE_GIVEN_BACK = 0.5
NAMES = ("everyone's", "the project's")
PASSES = (LostClaim, CancelRequested, Conflict, NotFound)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Sent = tuple[Claim, ledger.AdmittedCall]


class Crowd:
    """A database with jobs of two runs, and everything that may happen to them."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.random = random.Random(seed)
        self.worker_id = worker(engine)
        self.did: Counter[str] = Counter()
        members = [claimed(engine) for _ in range(JOBS)]
        self.project_id = members[0].project_id
        for first in (0, JOBS // 3):
            cap = 2 * ROOM_FOR * HOLD.picos if first else None
            run_of(engine, members[first : first + JOBS // 3], cap)
        for claim in members:
            self._give_back(claim, Wait(after_s=0.0, reason=None, costs_attempt=False))
        with engine.begin() as connection:
            self.job_ids = list(connection.scalars(select(jobs.c.id).order_by(jobs.c.id)))
            self.run_ids = [row.id for row in connection.execute(text("SELECT id FROM runs"))]
        for name in NAMES:
            self.make_budget(name)

    def claim(self) -> Claim | None:
        """Take a job that is due."""
        for job_id, number, _ in dispatched(self.engine, limit=1):
            with self.engine.begin() as connection:
                return claims.claim(connection, job_id, number, self.worker_id)
        return None

    def begin(self) -> Sent | None:
        """Send a call of a job that is due, or let it wait, as a worker does."""
        claim = self.claim()
        if claim is None:
            return None
        try:
            with one_by_one(self.engine) as connection:
                return claim, ledger.admit(connection, claim.job_id, claim.fence, PLAN, _decide)
        except ledger.Refused as refused:
            self.did["refused"] += 1
            self._wait(claim, refused.decision)
        except PASSES:
            self._stop(claim)
        return None

    def end(self, sent: Sent) -> None:
        """Get some answer, and end the job or give it back."""
        claim, call = sent
        ending = self.random.choice((ANSWERED, ANSWERED, REJECTED, UNKNOWN))
        with one_by_one(self.engine) as connection:
            ended = ledger.end_call(connection, claim.job_id, call.call_id, ending, call.terms)
        self.did[ended.value] += 1
        with suppress(*PASSES):
            if self.random.random() < SHARE_GIVEN_BACK:
                self._give_back(claim, Wait(after_s=0.0, reason=None, costs_attempt=False))
            else:
                with self.engine.begin() as connection:
                    claims.finish(
                        connection, claim.job_id, claim.fence, State.SUCCEEDED, outcome=Outcome.PARTIAL
                    )
            return
        self._stop(claim)

    def _wait(self, claim: Claim, decision: object) -> None:
        assert isinstance(decision, Wait)
        with suppress(*PASSES):
            self._give_back(claim, decision)
            return
        self._stop(claim)

    def _give_back(self, claim: Claim, wait: Wait) -> None:
        blocked = wait.blocked
        budget_id = None if blocked is None or blocked.budget is None else from_edge("bud", blocked.budget)
        with self.engine.begin() as connection:
            claims.release(
                connection, claim.job_id, claim.fence, reason=wait.reason, after_s=wait.after_s, refund=True
            )
            if blocked is not None and blocked.used_up and budget_id is not None:
                hold = {"tokens": blocked.tokens, "picos": blocked.picos}
                self.did["waits for a window"] += 1
                budget_waiters.look_again(connection, claim.job_id, budget_id, **hold)

    def _stop(self, claim: Claim) -> None:
        with suppress(LostClaim), self.engine.begin() as connection:
            ledger.suspend_open_call(connection, claim.job_id, "stopped")
            claims.finish(connection, claim.job_id, claim.fence, State.CANCELLED)

    def decide(self) -> None:
        """Let an operator decide an uncertain call."""
        with self.engine.begin() as connection:
            uncertain = connection.scalars(select(calls.c.id).where(calls.c.state == "uncertain")).all()
        if not uncertain:
            return
        used = Use(calls=1, input_tokens=10, output_tokens=5, picos=HOLD.picos // 3)
        decision = decisions.Decision(
            billed=self.random.choice((None, used)), ground=decisions.OPERATOR, reason="a look"
        )
        with suppress(*PASSES), self.engine.begin() as connection:
            decisions.decide(connection, self.random.choice(uncertain), decision, actor="host")
            self.did["decided"] += 1

    def make_budget(self, name: str) -> None:
        """Make a budget, under a name that one may have had that was ended."""
        own = name == NAMES[1]
        with suppress(Conflict), self.engine.begin() as connection:
            budgets.add_budget(
                connection,
                name=name,
                scope="project" if own else "installation",
                project_id=self.project_id if own else None,
                key_id=None,
                window=WindowKind.MONTH if own else WindowKind.DAY,
                time_zone="UTC",
                limit_picos=ROOM_FOR * HOLD.picos,
                limit_tokens=None,
                at_limit="wait",
                alert_percent=[1, 50, 100],
            )

    def change_budget(self) -> None:
        """Raise or lower a limit, take one away, or end a budget and make it again."""
        with self.engine.begin() as connection:
            listed = budgets.every_budget(connection)
        if not listed:
            return
        chosen = self.random.choice(listed)
        with self.engine.begin() as connection:
            row = budgets.project_budget(connection, self.project_id, chosen.id, locked=True)
            if row is None:
                return
            if self.random.random() < 0.2:
                budgets.end_budget(connection, row)
            else:
                room = self.random.choice((1, ROOM_FOR, 20 * ROOM_FOR))
                tokens, picos = room * HOLD.tokens, room * HOLD.picos
                limits = self.random.choice(((tokens, None), (None, picos), (tokens, picos)))
                changes = dict(zip(("limit_tokens", "limit_picos"), limits, strict=True))
                budgets.change_budget(connection, row, changes)
            budget_waiters.wake(connection, row)
            self.did["changed"] += 1
        for name in NAMES:
            self.make_budget(name)

    def cancel(self) -> None:
        """Cancel a job, or now and then a run."""
        with suppress(*PASSES), self.engine.begin() as connection:
            if self.random.random() < 0.1:
                runs.cancel(connection, self.project_id, self.random.choice(self.run_ids))
            else:
                stored_jobs.cancel(connection, self.project_id, self.random.choice(self.job_ids))
            self.did["cancelled"] += 1

    def retry(self) -> None:
        """Ask for a job again."""
        with suppress(*PASSES), self.engine.begin() as connection:
            retries.retry(connection, self.project_id, self.random.choice(self.job_ids), actor="host")
            self.did["retried"] += 1

    def erase(self) -> None:
        """Erase the code of one of a few jobs, since those cannot be asked for again."""
        job_id = self.random.choice(self.job_ids[::4])
        with suppress(*PASSES), self.engine.begin() as connection:
            erasure.erase(connection, self.project_id, job_id, actor="host")
            self.did["erased"] += 1

    def look_after(self) -> None:
        """Tell of shares that were passed, and add the ledger up."""
        self.did["alerts"] += budget_alerts.sweep(self.engine)
        with self.engine.begin() as connection:
            for budget in budgets.every_budget(connection):
                note_exhausted(connection, budget.id, None)
        with self.engine.begin() as connection:
            assert [each for each in drift.drift(connection) if each.kind == "win"] == []

    def settle_down(self) -> None:
        """End all budgets: whoever waits for one goes on at once, and no job is left behind."""
        with self.engine.begin() as connection:
            ended = budgets.every_budget(connection)
            for budget in ended:
                budgets.end_budget(connection, budget)
                budget_waiters.wake(connection, budget)
            connection.execute(text("UPDATE runs SET max_cost_picos = NULL"))
        until(self._work_is_done, "the last job", 60)

    def _work_is_done(self) -> bool:
        if (sent := self.begin()) is not None:
            self.end(sent)
        return invariants.rows(self.engine, f"SELECT id FROM jobs WHERE state IN {invariants.OPEN}") == []

    def repair(self) -> None:
        """Rebuild a counter that somebody has set wrong, while it is counted with."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET input_tokens = input_tokens + 1 WHERE id = ANY (:ids)"),
                {"ids": sorted(self.random.sample(self.job_ids, 1))},
            )
        with self.engine.begin() as connection:
            self.did["rebuilt"] += len(drift.rebuild(connection, actor="host"))


def _decide(rooms: Sequence[Room]) -> ledger.Admission:
    for room in rooms:
        blocked = fit(HOLD, room)
        if blocked is not Fit.FITS:
            no_room = NoRoom(
                budget=room.budget,
                name=room.name,
                only_held=blocked is Fit.WAIT,
                over=False,
                waits=True,
                resets_in_s=room.resets_in_s or 86_400.0,
                resets_at=None,
                shortfall=shortfall(HOLD, room),
                tokens=HOLD.tokens,
                picos=HOLD.picos,
            )
            raise ledger.Refused(without_room(no_room))
    return ledger.Admission(max_tokens=100, hold=HOLD, rates=RATES)


def deadlocks(engine: Engine) -> int:
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return connection.scalar(text(counted)) or 0


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_waits_in_a_circle_and_all_adds_up(engine: Engine, database_url: str, seed: int) -> None:
    before = deadlocks(engine)
    many = open_engine(database_url, pool_size=HANDS + 8)
    crowd = Crowd(many, seed)
    over = threading.Event()
    others = (
        *(crowd.decide, crowd.change_budget, crowd.cancel, crowd.retry),
        *(crowd.erase, crowd.look_after, crowd.repair),
    )

    def go_on(act: Callable[[], None]) -> None:
        while not over.is_set():
            act()

    def work() -> None:
        last = None
        turns, until_s = 0, time.monotonic() + LONGEST_S
        while turns < TURNS or (not crowd.did.keys() >= EVERYTHING and time.monotonic() < until_s):
            turns += 1
            sent = crowd.begin()  # each call goes on while the next is held
            if last is not None:
                crowd.end(last)
            last = sent
        if last is not None:
            crowd.end(last)

    with ThreadPoolExecutor(HANDS + len(others)) as threads:
        meanwhile = [threads.submit(go_on, act) for act in others]
        hands = [threads.submit(work) for _ in range(HANDS)]
        try:
            for hand in hands:
                hand.result()
        finally:
            over.set()
        for each in meanwhile:
            each.result()

    crowd.settle_down()
    many.dispose()
    assert deadlocks(engine) == before
    assert crowd.did.keys() >= EVERYTHING
    with engine.begin() as connection:
        assert drift.drift(connection) == []
    invariants.check_ledger(engine)
