"""A database with budgets, prices, jobs and workers, what happens to them, and a model that is told of it."""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import redis
from sqlalchemy import Engine, insert

from patchmill.budget.prices import Rates
from patchmill.budget.windows import WindowKind, bounds
from patchmill.job.ladder import Policy
from patchmill.job.record import KindName, Task
from patchmill.store import dispatch, runs, workers
from patchmill.store import jobs as stored_jobs
from patchmill.store.access import add_key, ensure_project
from patchmill.store.budgets import add_budget
from patchmill.store.engine import open_engine
from patchmill.store.ids import new_id
from patchmill.store.runs import RunSubmission
from patchmill.store.submission import Submission, submit
from patchmill.store.tables import metadata, prices
from tests.support.breaker import Breaker
from tests.support.claimed import take
from tests.support.ledger_hands import Hand
from tests.support.ledger_look import Onlooker, Seen
from tests.support.ledger_model import Budget, Job, Model, PriceList
from worker.price_lists import PriceLists
from worker.process import InHand, Process
from worker.sweepers.lost_jobs import Sweeper

MODEL = "deepseek-v4-flash"
QUEUE = "ledger-machine"
FIRST_RATES = Rates(input_picos=140_000, cached_picos=3_000, output_picos=280_000)
LEASE_S = 60.0


@dataclass(slots=True)
class Clock:
    """The time that workers go by, which may be wrong."""

    at: datetime

    def now(self) -> datetime:
        """Give its time."""
        return self.at


@dataclass(slots=True)
class Ground:
    """What there is before any worker calls; `begin` makes it empty again."""

    database_url: str
    redis: "redis.Redis"
    restart_postgres: Callable[[], None]
    engine: Engine = field(init=False)
    onlooker: Onlooker = field(init=False)
    breaker: Breaker = field(init=False)
    model: Model = field(init=False)
    clock: Clock = field(init=False)
    price_list: PriceList = field(init=False)
    known_prices: PriceLists = field(init=False)
    seen: Seen = field(init=False)
    projects: list[uuid.UUID] = field(init=False)
    key_id: uuid.UUID = field(init=False)
    hands: list[Hand] = field(init=False)
    workers: list[uuid.UUID] = field(init=False)
    dead: set[uuid.UUID] = field(init=False)
    messages: list[tuple[uuid.UUID, int]] = field(init=False)
    sent_keys: dict[str, tuple[Submission, uuid.UUID]] = field(init=False)

    def __post_init__(self) -> None:
        self.engine = open_engine(self.database_url, pool_size=2)
        self.onlooker = Onlooker(self.database_url)
        self.breaker = Breaker(self.engine, self.onlooker, self._restart)

    def begin(self) -> None:
        """Begin a new history: two projects, a key of the first, one price, two workers."""
        emptied = "; ".join(f"DELETE FROM {table.name}" for table in metadata.sorted_tables)
        # Else nothing may be taken from the ledger.
        self.onlooker.execute(
            f"SET session_replication_role = replica; {emptied}; RESET session_replication_role"
        )
        self.redis.delete(QUEUE)
        self.known_prices = PriceLists(self.engine)
        self.model, self.price_list = Model(), PriceList()
        self.clock = Clock(datetime.now(UTC))
        self.hands, self.workers, self.dead = [], [], set()
        self.messages, self.sent_keys = [], {}
        with self.engine.begin() as connection:
            self.projects = [ensure_project(connection, name) for name in ("one", "two")]
            self.key_id = add_key(
                connection,
                project_id=self.projects[0],
                name="key",
                public_id="public",
                secret_hash=b"",
                scopes=(),
                expires_at=None,
            )
        self.announce(FIRST_RATES, -86_400.0)
        for _ in range(2):
            self.hire()
        self.look()

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()
        self.onlooker.close()

    def look(self) -> None:
        """See what is committed."""
        self.seen = self.onlooker.look()

    def hire(self) -> None:
        """Start a worker."""
        worker_id = new_id()
        with self.engine.begin() as connection:
            workers.register(connection, worker_id, "machine")
        self.workers.append(worker_id)

    def announce(self, rates: Rates, in_s: float) -> None:
        """Add a price that holds from so many seconds after the workers' time on."""
        since = self.clock.at + timedelta(seconds=in_s, microseconds=len(self.price_list.rows))
        with self.engine.begin() as connection:
            connection.execute(
                insert(prices).values(
                    model=MODEL,
                    input_picos=rates.input_picos,
                    cached_picos=rates.cached_picos,
                    output_picos=rates.output_picos,
                    valid_from=since,
                    source="machine",
                )
            )
        self.price_list.rows.append((since, rates))

    def limit(self, scope: str, window: WindowKind, zone: str, limits: tuple[int | None, int | None]) -> None:
        """Add a budget over the installation, the second project, or the key of the first."""
        project_id = self.projects[1] if scope == "project" else None
        key_id = self.key_id if scope == "key" else None
        waits = len(self.model.budgets) % 2 == 0
        with self.engine.begin() as connection:
            budget_id = add_budget(
                connection,
                name=f"budget {len(self.model.budgets)}",
                scope=scope,
                project_id=project_id,
                key_id=key_id,
                window=window,
                time_zone=zone,
                limit_picos=limits[0],
                limit_tokens=limits[1],
                at_limit="wait" if waits else "fail",
            )
        self.model.budgets[budget_id] = Budget(
            id=budget_id,
            project_id=project_id,
            key_id=key_id,
            window=window,
            time_zone=zone,
            limit_picos=limits[0],
            limit_tokens=limits[1],
            waits=waits,
        )

    def change_limit(self, budget: Budget, limits: tuple[int | None, int | None]) -> None:
        """Set other limits, which may be lower than what is spent."""
        self.onlooker.execute(
            "UPDATE budgets SET limit_picos = %s, limit_tokens = %s WHERE id = %s", *limits, budget.id
        )
        budget.limit_picos, budget.limit_tokens = limits

    def end_budget(self, budget: Budget) -> None:
        """Let a budget bear on nothing any more."""
        self.onlooker.execute("UPDATE budgets SET ended_at = now() WHERE id = %s", budget.id)
        budget.live = False

    def roll_over(self, budget: Budget) -> None:
        """Let the time of one window pass: what a budget's windows hold becomes that much older."""
        mine = [each for each in self.model.windows.values() if each.budget_id == budget.id]
        for window in sorted(mine, key=lambda each: each.starts_at):
            before = window.starts_at - timedelta(microseconds=1)
            span = bounds(budget.window, budget.time_zone, before)
            self.onlooker.execute(
                "UPDATE windows SET starts_at = %s, resets_at = %s WHERE id = %s",
                span.starts_at,
                span.resets_at,
                window.id,
            )
            window.starts_at = span.starts_at

    def submit(self, project: int, *, with_key: bool, cap_picos: int | None, key: str | None) -> None:
        """Submit a job; one with an Idempotency-Key that came before is the same job."""
        given = Submission(
            project_id=self.projects[project],
            key_id=self.key_id if with_key and project == 0 else None,
            task=_task(len(self.model.jobs)),
            origin={},
            labels={},
            max_cost_picos=cap_picos,
            idempotency_key=key,
            body_hash=None if key is None else key.encode(),
        )
        known = None
        if key is not None:
            given, known = self.sent_keys.get(f"{project} {key}", (given, None))
        with self.engine.begin() as connection:
            submitted = submit(connection, given)
        assert submitted.replayed == (known is not None), "I8"
        if known is not None:
            assert submitted.job_id == known, "I8 one key, two jobs"
            return
        if key is not None:
            self.sent_keys[f"{project} {key}"] = (given, submitted.job_id)
        self._add_job(submitted.job_id, given, None)

    def submit_run(self, count: int, cap_picos: int) -> None:
        """Submit a run of the second project, with a cap of its own."""
        members = [
            Submission(
                project_id=self.projects[1],
                key_id=None,
                task=_task(len(self.model.jobs) + number),
                origin={},
                labels={},
            )
            for number in range(count)
        ]
        entering = RunSubmission(
            project_id=self.projects[1],
            key_id=None,
            kind="fix",
            jobs=members,
            findings=count,
            skipped=[],
            diff=None,
            origin={},
            labels={},
            max_cost_picos=cap_picos,
        )
        with self.engine.begin() as connection:
            run_id = runs.submit(connection, entering).run_id
        self.model.runs[run_id] = cap_picos
        rows = self.onlooker.execute("SELECT id FROM jobs WHERE run_id = %s", run_id)
        for row, given in zip(rows, members, strict=True):
            self._add_job(row["id"], given, run_id)

    def _add_job(self, job_id: uuid.UUID, given: Submission, run_id: uuid.UUID | None) -> None:
        self.model.jobs[job_id] = Job(
            id=job_id,
            project_id=given.project_id,
            key_id=given.key_id,
            run_id=run_id,
            cap_picos=given.max_cost_picos,
        )

    def dispatch(self) -> None:
        """Mark what is due dispatched, and tell of it through Redis."""
        with self.engine.begin() as connection:
            due = dispatch.dispatch_due(connection, window=12, limit=4)
        for job_id, number, _ in due:
            self.messages.append((job_id, number))
            self.redis.lpush(QUEUE, f"{job_id} {number}")

    def make_all_due(self) -> None:
        """Let every wait pass, and take back what was dispatched and never claimed."""
        self.onlooker.execute("UPDATE jobs SET run_at = now() WHERE state = 'queued'")
        self.onlooker.execute(
            "UPDATE jobs SET dispatched_at = now() - interval '1 h' WHERE state = 'dispatched'"
        )
        with self.engine.begin() as connection:
            dispatch.take_back_stale(connection, older_than_s=LEASE_S, limit=100)

    def deliver(self, message: tuple[uuid.UUID, int] | None) -> None:
        """Let a worker take a message: the oldest of those in Redis, or one that came before."""
        if message is None:
            raw = cast("bytes | None", self.redis.rpop(QUEUE))
            if raw is None:
                return
            job, number = raw.decode().split()
            message = (uuid.UUID(job), int(number))
        worker_id = self.workers[len(self.messages) % len(self.workers)]
        [before] = self.onlooker.execute("SELECT state, dispatch_no FROM jobs WHERE id = %s", message[0])
        claim = take(self.engine, *message, worker_id)
        expected = before["state"] == "dispatched" and before["dispatch_no"] == message[1]
        assert (claim is not None) == expected, "a message was taken for what it is not"
        if claim is not None:
            self.hands.append(Hand(claim=claim, worker_id=worker_id))

    def cancel(self, job: Job) -> None:
        """Ask to stop a job."""
        with self.engine.begin() as connection:
            stored_jobs.cancel(connection, job.project_id, job.id)

    def lose(self, worker_id: uuid.UUID, *, frozen: bool) -> None:
        """Lose a worker; a frozen one may wake when everybody thinks that it is dead."""
        self.workers.remove(worker_id)
        self.dead.add(worker_id)
        if not frozen:
            self.hands = [hand for hand in self.hands if hand.worker_id != worker_id]
        with self.engine.begin() as connection:
            workers.stop(connection, worker_id)
        self.hire()

    def skew(self, minutes: int) -> None:
        """Set the clock of the workers wrong, or right again."""
        self.clock.at = datetime.now(UTC) + timedelta(minutes=minutes)

    def sweep(self) -> None:
        """Let the deadlines of calls pass whose worker is lost, and take the jobs of lost workers back."""
        lost = [row for row in self.seen.jobs.values() if row["worker_id"] in self.dead]
        ids = [row["id"] for row in lost]
        self.onlooker.execute(_LET_DEADLINES_PASS, ids)
        lease = SimpleNamespace(steady=lambda: True, worker_id=new_id())
        parts = {
            "engine": self.engine,
            "lease": lease,
            "running": InHand(),
            "policy": Policy(model="flash", escalation_model=None, fallback_model=None),
            "rng": random.Random(1),
        }
        swept = Sweeper(cast("Process", SimpleNamespace(**parts)), lease_ttl_s=LEASE_S).sweep()
        assert swept == len(lost), "a lost job was left, or another one taken"
        for call in self.model.calls.values():
            if call.job_id in ids and call.state == "sent":
                call.state = "uncertain"

    def wipe_redis(self) -> None:
        """Empty Redis."""
        self.redis.flushdb()

    def _restart(self) -> None:
        self.onlooker.close()
        self.restart_postgres()


def _task(number: int) -> Task:
    source = f"NUMBER = {number}\n"
    return Task(
        kind=KindName.FIX,
        path=f"{number}.py",
        language="python",
        source=source,
        findings=(),
        instruction="mend",
    )


_LET_DEADLINES_PASS = """
    UPDATE calls SET deadline_at = now() - interval '1 day' WHERE job_id = ANY(%s) AND state = 'sent'
"""
