"""Many attempts at once on a budget that fits a few, while workers are killed and Postgres is restarted.

The small form makes 200 attempts on a budget that fits 10; PATCHMILL_ATTEMPTS=1000 makes the whole, 1,000
on a budget that fits 50, as `make ledger-proof` does.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from patchmill.budget.windows import WindowKind
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from patchmill.store.budgets import add_budget
from patchmill.store.engine import open_engine
from tests.support import invariants, ledger_audit
from tests.support.claimed import submitted
from tests.support.nursery import Process
from tests.support.own_services import OwnPostgres, own_postgres
from tests.support.stack import Stack, until

ATTEMPTS = int(os.environ.get("PATCHMILL_ATTEMPTS", "200"))
FITTING = ATTEMPTS // 20
SEED = 20261126
WORKERS = 2
KILLS = 2 + ATTEMPTS // 100
DEADLINE_S = 120.0 + ATTEMPTS

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(180 + ATTEMPTS)]

# What one call holds here at most: the cap is so many of these.
HOLD_PICOS = 500_000_000
CAP_PICOS = FITTING * HOLD_PICOS
CAP_TOKENS = FITTING * 3_000

# Every state of a window that is ever committed, written down in the transaction that commits it. Whoever
# would exceed the cap is refused at its commit, whatever the constraints of the table say.
WATCH = """
CREATE TABLE seen_windows (
    at bigint GENERATED ALWAYS AS IDENTITY, window_id uuid, used_picos bigint, used_tokens bigint);
CREATE FUNCTION watch_window() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_is windows%ROWTYPE;
    used_picos bigint;
    used_tokens bigint;
BEGIN
    SELECT * INTO STRICT now_is FROM windows WHERE id = NEW.id;
    used_picos := now_is.settled_picos + now_is.held_picos + now_is.uncertain_picos;
    used_tokens := now_is.settled_tokens + now_is.held_tokens + now_is.uncertain_tokens;
    IF used_picos > {picos} OR used_tokens > {tokens} THEN
        RAISE EXCEPTION 'more than the cap at a commit: % %', used_picos, used_tokens;
    END IF;
    INSERT INTO seen_windows (window_id, used_picos, used_tokens) VALUES (NEW.id, used_picos, used_tokens);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch_window AFTER INSERT OR UPDATE ON windows DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION watch_window();
"""
USED = """
    SELECT settled_picos + held_picos + uncertain_picos AS picos,
        settled_tokens + held_tokens + uncertain_tokens AS tokens FROM windows
"""
# Of those who lock the same window the one that commits first has the earlier time.
IN_ORDER_OF_COMMIT = """
    SELECT pg_xact_commit_timestamp(e.xmin) AS at, debit, credit, picos, tokens
    FROM ledger_entries e WHERE debit <> 'overrun' ORDER BY 1
"""
COUNTS = ("held", "settled", "uncertain")


class Watcher:
    """Reads the window as fast as it can on a connection of its own, through every outage."""

    def __init__(self, database_url: str) -> None:
        self._engine = open_engine(database_url, pool_size=1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")
        self.looks = 0
        self.outages = 0
        self.most = {"picos": 0, "tokens": 0}
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            try:
                with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    self._look_until_cut(connection)
            except SQLAlchemyError:
                self.outages += 1

    def _look_until_cut(self, connection: Any) -> None:
        while not self._stop.wait(0.001):
            for row in connection.execute(text(USED)):
                self.looks += 1
                self.most = {unit: max(most, getattr(row, unit)) for unit, most in self.most.items()}

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._engine.dispose()


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def own_stack(server: OwnPostgres, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    with server.database("attempts") as url, running(Options()) as root_url:
        made = Stack(database_url=url, redis_url=redis_url, gateway_url=f"{root_url}/v1", data_dir=tmp_path)
        made.settings |= {"PATCHMILL_GATEWAY_CONCURRENCY": "24", "PATCHMILL_LEASE_TTL_S": "2"}
        made.make_key()
        try:
            yield made
        finally:
            made.stop()
            print(made.logs())  # noqa: T201 - pytest shows it when the test fails


def limit(engine: Engine) -> None:
    watch = WATCH.format(picos=CAP_PICOS, tokens=CAP_TOKENS)
    with engine.begin() as connection:
        connection.execute(text(watch))
        add_budget(
            connection,
            name="a few of many",
            scope="installation",
            project_id=None,
            key_id=None,
            window=WindowKind.TOTAL,
            time_zone="UTC",
            limit_picos=CAP_PICOS,
            limit_tokens=CAP_TOKENS,
            at_limit="fail",
        )


def open_jobs(engine: Engine) -> int | None:
    """Count the jobs that have not ended; None while nobody can say."""
    try:
        with engine.connect() as connection:
            found = connection.scalars(text(f"SELECT id FROM jobs WHERE state IN {invariants.OPEN}"))
            return len(found.all())
    except SQLAlchemyError:
        return None


def calls_made(engine: Engine) -> int:
    try:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT count(*) FROM calls")) or 0
    except SQLAlchemyError:
        return 0


class Chaos:
    """Kills workers some seconds after they are ready, so many in all, and Postgres twice amid calls."""

    def __init__(self, stack: Stack, server: OwnPostgres, engine: Engine) -> None:
        self._stack = stack
        self._server = server
        self._engine = engine
        self._rng = random.Random(SEED)
        self._outages = [FITTING // 4, FITTING // 2]  # after so many calls
        self._victims: list[tuple[Process, Path]] = []
        self._doomed: dict[int, float] = {}  # by process id: when it is killed
        self.kills = 0
        for _ in range(WORKERS):
            self._hire()

    @property
    def done(self) -> bool:
        """Whether everything was broken that was to be."""
        return not self._outages

    def look(self) -> bool:
        """Break what is next; say whether all jobs have ended."""
        if self._outages and calls_made(self._engine) >= self._outages[0]:
            self._outages.pop(0)
            self._server.restart()
        for victim in list(self._victims):
            self._threaten(*victim)
        return open_jobs(self._engine) == 0

    def _hire(self) -> None:
        log = self._stack.data_dir / f"worker-{len(self._stack.processes)}.log"
        self._victims.append((self._stack.start("worker"), log))

    def _threaten(self, process: Process, log: Path) -> None:
        if self.kills == KILLS:
            return
        if process.pid not in self._doomed:
            if "worker ready" in log.read_text(errors="replace"):
                self._doomed[process.pid] = time.monotonic() + self._rng.uniform(0.5, 3.0)
        elif time.monotonic() >= self._doomed[process.pid]:
            process.send_signal(signal.SIGKILL)
            self.kills += 1
            self._victims.remove((process, log))
            self._hire()


def used_after_each_commit(engine: Engine) -> Iterator[dict[str, int]]:
    """Add the ledger up in the order of commits: what counts against the cap after each of them."""
    balance = {f"{account} {unit}": 0 for account in COUNTS for unit in ("picos", "tokens")}
    rows = invariants.rows(engine, IN_ORDER_OF_COMMIT)
    for row, following in pairwise([*rows, None]):
        for account, sign in ((row.debit, -1), (row.credit, 1)):
            if account in COUNTS:
                balance[f"{account} picos"] += sign * row.picos
                balance[f"{account} tokens"] += sign * row.tokens
        if following is None or following.at != row.at:
            yield {
                unit: sum(balance[f"{account} {unit}"] for account in COUNTS) for unit in ("picos", "tokens")
            }


def test_a_budget_for_a_few_of_many_attempts_at_once_is_never_exceeded_whatever_breaks(
    own_stack: Stack, server: OwnPostgres
) -> None:
    engine = open_engine(own_stack.database_url, pool_size=4)
    limit(engine)
    own_stack.behave(
        seed=SEED,
        latency_ms={"median_ms": 100, "p95_ms": 600},
        shares=[{"fault": "truncate", "share": 0.05}, {"fault": "503", "share": 0.05}],
    )
    for number in range(ATTEMPTS):
        submitted(engine, number)
    watcher = Watcher(own_stack.database_url)
    chaos = Chaos(own_stack, server, engine)

    until(chaos.look, "all attempts ended", DEADLINE_S)

    watcher.stop()
    truth = until(lambda: (told := own_stack.truth())["in_flight"] == 0 and told, "nothing in flight")
    assert chaos.done
    seen = invariants.rows(engine, "SELECT max(used_picos), max(used_tokens), count(*) FROM seen_windows")
    [(seen_picos, seen_tokens, commits)] = seen
    prefixes = list(used_after_each_commit(engine))
    for unit, cap, told in (("picos", CAP_PICOS, seen_picos), ("tokens", CAP_TOKENS, seen_tokens)):
        assert max(each[unit] for each in prefixes) == told  # the ledger and the windows agree on the worst
        assert watcher.most[unit] <= told <= cap
    audited = ledger_audit.audit(engine, truth)
    assert audited.differences == []
    invariants.check(engine, truth)
    codes = invariants.rows(engine, "SELECT DISTINCT error->>'code' FROM jobs WHERE state = 'failed'")
    assert "budget_exhausted" in {code for (code,) in codes}
    _tell(audited.total, watcher, commits, seen_picos, chaos.kills)
    engine.dispose()


def _tell(total: ledger_audit.Account, watcher: Watcher, commits: int, most: int, kills: int) -> None:
    assert total.our_tokens == total.their_tokens
    assert total.our_picos == total.their_picos
    assert total.uncertain_billed_picos <= total.uncertain_held_picos
    told = {
        "attempts": ATTEMPTS,
        "cap": CAP_PICOS,
        "most": most,
        "commits seen": commits,
        "looks": watcher.looks,
        "workers killed": kills,
        "calls": dict(total.states),
        "drift": (total.our_tokens - total.their_tokens, total.our_picos - total.their_picos),
        "uncertain": (total.uncertain_held_picos, total.uncertain_billed_picos),
    }
    print(told)  # noqa: T201 - `make ledger-proof` shows it
