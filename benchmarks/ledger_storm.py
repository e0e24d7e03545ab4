"""The stand-in's own ledger beside ours over 2,000 calls, with every class of fault at 20 %.

`python -m benchmarks.ledger_storm` runs the API, two workers, Postgres, Valkey and a stand-in, and submits
jobs until each of the classes of `tests/support/storm.py` has had its calls: one request in five of a class's
jobs is struck, and every second one of the class `mixed`, by all of them. Workers are killed meanwhile. Then
every row of the stand-in's ledger is compared with our calls. Exits 1 on any difference.
"""

import argparse
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.job import ready, running
from benchmarks.slots import control
from benchmarks.surroundings import Surroundings, surroundings, until
from patchmill.cli.installation import install
from patchmill.cli.local_key import ensure_local_key
from patchmill.dev.surroundings import free_port
from patchmill.store.engine import open_engine
from patchmill.store.key_secret import load_pepper
from tests.support import invariants, storm
from tests.support.ledger_audit import Account, Audit, audit

CALLS = 2_000
KILLS = 3
DEADLINE_S = 1_200.0
SEED = 20261128


@dataclass(slots=True, kw_only=True)
class Workers:
    """Two worker processes, one of which is killed and replaced now and then."""

    where: Surroundings
    every: int  # calls
    killed: int = 0
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start one more."""
        self.running.append(self.where.start("worker", **storm.settings()))

    def look(self, calls: int) -> None:
        """Kill the older one when its time has come."""
        if self.killed < KILLS and calls >= self.every * (self.killed + 1):
            victim = self.running.pop(0)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            self.killed += 1
            self.start()

    def stop(self) -> None:
        """End them in good order."""
        for worker in self.running:
            worker.terminate()
        for worker in self.running:
            worker.wait(60)


def blow(where: Surroundings, engine: Engine, key: str, calls: int) -> Workers:
    """Let the storm blow until so many calls were made, and all jobs have ended."""
    control(where, "PUT", "behaviour", storm.behaviour(SEED))
    port = free_port()
    workers = Workers(where=where, every=calls // (KILLS + 1))
    with ExitStack() as stack:
        stack.enter_context(running(where, "api", PATCHMILL_PORT=str(port)))
        headers = {"Authorization": f"Bearer {key}"}
        http = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=70)
        )
        until(lambda: ready(http), "the API")
        stack.callback(workers.stop)
        for _ in range(2):
            workers.start()
        limit_budget(http)

        def submit(job: dict[str, Any]) -> None:
            http.post("/v1/jobs", json=job).raise_for_status()

        each = -(-calls // (len(storm.CLASSES) + 2))
        storm.blow(engine, submit, calls=each, deadline_s=DEADLINE_S, each_look=workers.look)
    return workers


def limit_budget(http: httpx.Client) -> None:
    """Set a budget that is never reached, so that there is a window to compare with the ledger."""
    budget = {"name": "storm", "scope": {"kind": "installation"}, "window": {"kind": "total"}}
    http.post("/v1/budgets", json=budget | {"limit": {"usd": "1000"}, "at_limit": "fail"}).raise_for_status()


def report(found: Audit, workers: Workers, elapsed_s: float) -> None:
    """Print one line for each class, the sum, and each difference."""
    table = Table(
        title=f"Theirs beside ours: {workers.killed} workers killed, {elapsed_s:.0f} s",
        caption_justify="left",
    )
    table.add_column("fault class", no_wrap=True)
    for name in (
        "calls",
        "not sent",
        "requests",
        "settled",
        "void",
        "uncertain",
        "tokens theirs",
        "ours",
        "µ$ theirs",
        "ours",
        "difference",
        "µ$ uncertain: billed",
        "held",
    ):
        table.add_column(name, justify="right")
    for name in (*storm.CLASSES, storm.MIXED):
        table.add_row(name, *_cells(found.accounts[name]))
    table.add_section()
    table.add_row("all", *_cells(found.total))
    console = Console(width=170)
    console.print(table)
    for difference in found.differences:
        console.print(f"DIFFERS: {difference}", markup=False)


def _cells(account: Account) -> list[str]:
    counts = [account.calls, account.never_arrived, account.requests]
    counts += [account.states[state] for state in ("settled", "void", "uncertain")]
    money = [account.their_picos, account.our_picos]
    return [
        *(f"{count:,}" for count in (*counts, account.their_tokens, account.our_tokens)),
        *(f"{picos / 10**6:,.2f}" for picos in money),
        str(account.our_picos - account.their_picos),
        f"{account.uncertain_billed_picos / 10**6:,.2f}",
        f"{account.uncertain_held_picos / 10**6:,.2f}",
    ]


def main() -> int:
    """Run the storm, compare, print, and say by the exit code whether the ledgers are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="how many calls to make at least")
    given = parser.parse_args()
    with surroundings() as where:
        engine = open_engine(where.database_url, pool_size=2)
        install(engine, data_dir=where.folder, pepper_file=None)
        with engine.begin() as connection:
            pepper = load_pepper(None, where.folder)
            key = ensure_local_key(connection, data_dir=where.folder, pepper=pepper)
        started = time.monotonic()
        workers = blow(where, engine, key, given.calls)
        elapsed_s = time.monotonic() - started
        truth = storm.settled_down(lambda: control(where, "GET", "ledger"))
        found = audit(engine, truth, group=storm.class_of)
        if found.total.calls < given.calls:
            found.differences.append(f"only {found.total.calls} calls were made")
        if not found.differences:
            invariants.check(engine, truth)
        engine.dispose()
    report(found, workers, elapsed_s)
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(main())
