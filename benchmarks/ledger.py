"""What holding and settling a call costs, beside two bare commits in the same Postgres.

`python -m benchmarks.ledger` makes pairs of hold and settlement by the functions that workers use, on a
durable Postgres of its own: for the time of a pair with 8 clients, one pair after the other, and 20 a second
each at moments of their own, as the calls of workers come; with 32 clients for the rate, over the same two
budgets (the project's and the installation's), and over 100 projects with a budget each. Beside each the bare
line does two updates of one row, each with its commit: of the same row for all, or of one of 100. Clients are
threads, eight in a process; each has jobs in hand, and makes one call of them after the other. The best and
the median of the rounds are told.
"""

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, cycle
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, text

from patchmill.budget.ledger import Amount, Fit, Room, Spent, fit
from patchmill.budget.prices import Price, Rates
from patchmill.budget.windows import BEGINNING, WindowKind
from patchmill.dev.child import Tether
from patchmill.dev.services import embedded
from patchmill.job.record import Finding, KindName, Options, Task
from patchmill.store import access, claims, dispatch, ledger, workers
from patchmill.store.budgets import add_budget
from patchmill.store.drift import Drift, drift
from patchmill.store.engine import one_by_one, open_engine
from patchmill.store.ids import new_id
from patchmill.store.prices import add_prices_if_none, price_list_of
from patchmill.store.schema import upgrade
from patchmill.store.submission import Submission, submit

MODEL = "deepseek-v4-flash"
RATES = Rates(input_picos=140_000, cached_picos=28_000, output_picos=280_000)
HOLD = Amount(tokens=5_000, picos=4_000 * 140_000 + 1_000 * 280_000)
PLENTY = 10**18
PROMPT = ({"role": "system", "content": "rules " * 300}, {"role": "user", "content": "x = 1\n" * 200})
ENDING = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=900, cached_tokens=600, output_tokens=120),
    values={
        "reply": "answer " * 60,
        "finish_reason": "stop",
        "status": 200,
        "returned_model": MODEL,
        "gateway_request_id": "req-0123456789",
        "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1_020},
        "anomalies": [],
        "queue_ms": 1,
        "first_token_ms": 200,
        "total_ms": 900,
    },
)
THREADS = 8  # in a process
BUDGETS = 100
WARM_UP_S = 0.5  # statements are prepared, and windows made
PACE_S = 0.05

Pair = Callable[[Connection], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The times of pairs, in ms, and how many were made in a second by all clients."""

    times: Sequence[float]
    per_s: float

    @property
    def p50(self) -> float:
        """The median time."""
        return statistics.median(self.times)

    @property
    def p99(self) -> float:
        """The time that one in a hundred takes longer than."""
        return statistics.quantiles(self.times, n=100)[98]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a client does: pairs for jobs in hand, or updates of bare rows.

    One after the other, or with `pace_s` one in so many seconds on average, at random moments.
    """

    jobs: Sequence[tuple[uuid.UUID, int]] = ()
    bare_rows: Sequence[int] = ()
    pace_s: float = 0.0
    seconds: float


def paid_pairs(engine: Engine, jobs: Sequence[tuple[uuid.UUID, int]]) -> Pair:
    """Give what holds and settles a call of one job after the other."""
    with one_by_one(engine) as connection:
        prices = price_list_of(connection, MODEL)
    [price] = prices.rows
    admission = ledger.Admission(
        max_tokens=1_000, hold=HOLD, rates=price.rates, price_id=price.id, price_mark=prices.mark
    )

    def decide(rooms: Sequence[Room]) -> ledger.Admission:
        assert all(fit(HOLD, room) is Fit.FITS for room in rooms)
        return admission

    turns, numbers = cycle(jobs), count()

    def pair(connection: Connection) -> None:
        job_id, fence = next(turns)
        plan = ledger.CallPlan(
            model=MODEL,
            rung="first",
            prompt_version="v1",
            turn=f"{next(numbers)}",
            messages=PROMPT,
            deadline_s=120.0,
        )
        admitted = ledger.admit(connection, job_id, fence, plan, decide)
        ledger.end_call(connection, job_id, admitted.call_id, ENDING, admitted.terms)

    return pair


def bare_pairs(rows: Sequence[int]) -> Pair:
    """Give what updates one row after the other, twice each."""
    turns = cycle(rows)
    update = text("UPDATE bare SET value = value + 1 WHERE id = :row")

    def pair(connection: Connection) -> None:
        row = next(turns)
        for _ in range(2):
            connection.execute(update, {"row": row})

    return pair


def run_client(engine: Engine, load: Load, started: threading.Barrier) -> tuple[list[float], float]:
    """Make pairs until the time is over; gives their times in ms, and the seconds that it took."""
    pair = bare_pairs(load.bare_rows) if load.bare_rows else paid_pairs(engine, load.jobs)
    pause, times, rng = threading.Event(), [], random.Random()  # noqa: S311 - no secret
    with one_by_one(engine) as connection:
        until = time.monotonic() + WARM_UP_S
        while time.monotonic() < until:
            pair(connection)
        started.wait()
        began = time.monotonic()
        while (now := time.monotonic()) < began + load.seconds:
            pair(connection)
            times.append((time.monotonic() - now) * 1000)
            pause.wait(max(0.0, now + rng.uniform(0.0, 2 * load.pace_s) - time.monotonic()))
    return times, time.monotonic() - began


def run_process(url: str, loads: Sequence[Load]) -> list[tuple[list[float], float]]:
    """Run clients as threads of this process, each on a connection of its own."""
    engine = open_engine(url, pool_size=len(loads) * 2, ping_after_s=1.0)
    started = threading.Barrier(len(loads))
    with ThreadPoolExecutor(len(loads)) as threads:
        ended = list(threads.map(partial(run_client, engine, started=started), loads))
    engine.dispose()
    return ended


def measure(pool: ProcessPoolExecutor, url: str, loads: Sequence[Load]) -> Measured:
    """Run clients side by side, eight in a process."""
    parts = [loads[at : at + THREADS] for at in range(0, len(loads), THREADS)]
    ended = [client for part in pool.map(partial(run_process, url), parts) for client in part]
    times = [each for own, _ in ended for each in own]
    return Measured(times=times, per_s=sum(len(own) / seconds for own, seconds in ended))


class Stage:
    """A database with prices, budgets, and jobs in hand."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        upgrade(engine)
        self._worker_id = new_id()
        with engine.begin() as connection:
            price = Price(model=MODEL, rates=RATES, valid_from=BEGINNING)
            add_prices_if_none(connection, [price], source="benchmark")
            workers.register(connection, self._worker_id, "benchmark")
            connection.execute(
                text("CREATE TABLE bare (id int PRIMARY KEY, value bigint NOT NULL DEFAULT 0)")
            )
            connection.execute(text(f"INSERT INTO bare SELECT generate_series(1, {BUDGETS})"))

    def limit(self, name: str, project_id: uuid.UUID | None) -> None:
        """Add a budget that is never reached: of a project, or of the installation."""
        with self._engine.begin() as connection:
            add_budget(
                connection,
                name=name,
                scope="installation" if project_id is None else "project",
                project_id=project_id,
                key_id=None,
                window=WindowKind.TOTAL,
                time_zone="UTC",
                limit_picos=PLENTY,
                limit_tokens=PLENTY,
                at_limit="wait",
            )

    def claim(self, project: str, number: int) -> tuple[uuid.UUID, tuple[uuid.UUID, int]]:
        """Take a new job of a project in hand; gives the project's id, and the job's with its fence."""
        finding = Finding(
            index=0, tool="ruff", rule="B006", message="m", severity="warning", start_line=1, end_line=1
        )
        source = f"x = {number}\n"
        task = Task(
            kind=KindName.FIX,
            path="a.py",
            language="python",
            source=source,
            findings=(finding,),
            options=Options(reuse=False),
        )
        with self._engine.begin() as connection:
            project_id = access.ensure_project(connection, project)
            submission = Submission(project_id=project_id, key_id=None, task=task, origin={}, labels={})
            job_id = submit(connection, submission).job_id
            [(_, dispatch_no, _)] = dispatch.dispatch_due(connection, window=10_000, limit=1)
            claim = claims.claim(connection, job_id, dispatch_no, self._worker_id)
        assert claim is not None
        return project_id, (job_id, claim.fence)

    def forget_budgets(self) -> None:
        """End all budgets."""
        with self._engine.begin() as connection:
            connection.execute(text("UPDATE budgets SET ended_at = now()"))
            connection.execute(text("CHECKPOINT"))


def hot(stage: Stage, clients: int) -> list[Load]:
    """Give each client a job of one project, under a budget of its own and one of the installation."""
    stage.forget_budgets()
    stage.limit(f"all {new_id()}", None)
    taken = [stage.claim("hot", number) for number in range(clients)]
    stage.limit(f"hot {new_id()}", taken[0][0])
    return [Load(jobs=(job,), seconds=0) for _, job in taken]


def spread(stage: Stage, clients: int) -> list[Load]:
    """Share the jobs of 100 projects, each under a budget of its own, among the clients."""
    stage.forget_budgets()
    jobs = []
    for number in range(BUDGETS):
        project_id, job = stage.claim(f"project {number}", number)
        stage.limit(f"{number} {new_id()}", project_id)
        jobs.append(job)
    return [Load(jobs=tuple(jobs[client::clients]), seconds=0) for client in range(clients)]


@dataclass(slots=True, kw_only=True)
class Case:
    """A way of making pairs, its bar, and what the rounds came to, bare and paid."""

    name: str
    clients: int
    same: bool  # rows for all
    pace_s: float = 0.0
    bare: list[Measured] = field(default_factory=list)
    paid: list[Measured] = field(default_factory=list)

    def run(self, pool: ProcessPoolExecutor, url: str, stage: Stage, seconds: float) -> None:
        """Measure once more."""
        rows = [[1] if self.same else range(1, BUDGETS + 1)[at :: self.clients] for at in range(self.clients)]
        bare = [Load(bare_rows=each, pace_s=self.pace_s, seconds=seconds) for each in rows]
        self.bare.append(measure(pool, url, bare))
        paid = (hot if self.same else spread)(stage, self.clients)
        timed = [replace(load, pace_s=self.pace_s, seconds=seconds) for load in paid]
        self.paid.append(measure(pool, url, timed))


def cases() -> list[Case]:
    """Give what is measured."""
    return [
        Case(name="8 clients, same rows, one after the other", clients=8, same=True),
        Case(name="8 clients, same rows, 20 a second each", clients=8, same=True, pace_s=PACE_S),
        Case(name="32 clients, same rows", clients=32, same=True),
        Case(name="32 clients, 100 budgets", clients=32, same=False),
    ]


def report(measured: Sequence[Case], rounds: int) -> None:
    """Print the best and the median of the rounds: times of a pair in ms, pairs in a second."""
    table = Table(title=f"A pair is a hold and a settlement, or two bare commits; best / median of {rounds}")
    for name in ("", "p50 ms", "p99 ms", "pairs/s", "p50 to bare", "rate to bare"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for case in measured:
        p50 = statistics.median(each.p50 for each in case.paid) / statistics.median(
            each.p50 for each in case.bare
        )
        per_s = statistics.median(each.per_s for each in case.paid) / statistics.median(
            each.per_s for each in case.bare
        )
        table.add_row(case.name, *_cells(case.paid), f"{p50:.2f}", f"{per_s:.2f}")
        table.add_row("  bare", *_cells(case.bare))
    Console(width=130).print(table)


def _cells(measured: Sequence[Measured]) -> list[str]:
    p50, p99 = ([getattr(each, name) for each in measured] for name in ("p50", "p99"))
    rates = [each.per_s for each in measured]
    return [
        f"{min(p50):.2f} / {statistics.median(p50):.2f}",
        f"{min(p99):.2f} / {statistics.median(p99):.2f}",
        f"{max(rates):.0f} / {statistics.median(rates):.0f}",
    ]


def run(folder: Path, measured: Sequence[Case], *, rounds: int, seconds: float) -> Sequence[Drift]:
    """Measure every case in each round; gives what the counters then differ by from the ledger."""
    with (
        Tether() as tether,
        embedded(folder, held_by=tether, durable=True, redis_url="redis://none-is-needed") as services,
        ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        engine = open_engine(services.database_url, pool_size=2)
        stage = Stage(engine)
        for _ in range(rounds):
            for case in measured:
                case.run(pool, services.database_url, stage, seconds)
        with engine.begin() as connection:
            differs = drift(connection)
        engine.dispose()
    return differs


def main() -> int:
    """Measure, print, and hold counters beside the ledger; exits 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    given = parser.parse_args()
    measured = cases()
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        Path(name).chmod(0o755)  # Postgres runs as another user when this runs as root
        differs = run(Path(name), measured, rounds=given.rounds, seconds=given.seconds)
    report(measured, given.rounds)
    for each in differs:
        print(f"DIFFERS: {each}")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main())
