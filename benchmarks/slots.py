"""How full two worker processes keep the account's slots while jobs wait, as the gateway sees it.

`python -m benchmarks.slots` runs the API, two workers, Postgres, Valkey and a stand-in that answers after
1.5 s and refuses whatever is past its cap, at caps of 5, 25 and 100. The mean is the stand-in's own, over the
time that its ledger was watched. Exits 1 when the slots were less full, or more was refused, than aimed at.

Jobs are of two kinds. `verified` ones are whole: ruff reproduces the finding and sees it gone. `declined`
ones follow an instruction that the model declines: called, held and settled the same, but no checker runs. A
hundred slots need 67 calls a second: on few cores checkers leave too little for the calls themselves.
"""

import argparse
import json
import math
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.job import count, ready, running
from benchmarks.surroundings import ANSWER, SOURCE, Cpu, Surroundings, surroundings, until
from patchmill.cli.installation import install
from patchmill.cli.local_key import ensure_local_key
from patchmill.dev.surroundings import free_port
from patchmill.store.engine import open_engine
from patchmill.store.key_secret import load_pepper

MODEL_MS = 1_500
CAPS = {5: "verified", 25: "verified", 100: "declined"}
WATCH_S = 30.0
RAMP_S = 10.0  # until the slots are full for the first time, and what is left at the end
NEARLY_FULL = 0.9  # from here on it is watched
ON_THE_WIRE = "SELECT count(*) FROM calls WHERE state = 'sent'"
WORKERS = 2
AIM_USED = 0.97
AIM_REFUSED = 0.01
ANSWERS = {"verified": ANSWER, "declined": "NO CHANGE: there is nothing to do\n"}
FINDING = {"tool": "ruff", "rule": "B006", "message": "mutable default", "start_line": 4, "end_line": 4}
ASKED: dict[str, dict[str, Any]] = {
    "verified": {"findings": [FINDING]},
    "declined": {"instruction": "do what has been done"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What the stand-in saw at one cap, and what it took of the machine."""

    cap: int
    jobs: str
    used: float  # share of the slots, on average over time
    peak: int
    calls: int
    refused: float  # share of the calls
    per_s: float
    worker_ms: float  # CPU of both workers and their children, for each call
    idle: float  # share of the machine's CPU that was left

    @property
    def aimed_at(self) -> bool:
        """Whether the slots were full enough, and hardly anything was refused."""
        return self.used >= AIM_USED and self.refused < AIM_REFUSED


@contextmanager
def installed(where: Surroundings) -> Iterator[tuple[Engine, str]]:
    """Give an engine on a fresh installation, and a key of it."""
    engine = open_engine(where.database_url, pool_size=2)
    install(engine, data_dir=where.folder, pepper_file=None)
    with engine.begin() as connection:
        pepper = load_pepper(None, where.folder)
        key = ensure_local_key(connection, data_dir=where.folder, pepper=pepper)
    try:
        yield engine, key
    finally:
        engine.dispose()


def measure(
    where: Surroundings, engine: Engine, key: str, *, cap: int, jobs: str, workers: int = WORKERS
) -> Use:
    """Queue jobs, start the workers, and watch while more jobs wait than could run."""
    settings = {"PATCHMILL_GATEWAY_CONCURRENCY": str(cap)}
    script = [{"content": ANSWERS[jobs], "times": 1_000_000}]
    control(where, "PUT", "behaviour", {"latency_ms": MODEL_MS, "concurrency": cap, "script": script})
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(running(where, "api", PATCHMILL_PORT=str(port), **settings))
        http = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=70
            )
        )
        until(lambda: ready(http), "the API")
        queue(http, jobs, math.ceil(cap * 1000 / MODEL_MS * (WATCH_S + RAMP_S)))
        started = [stack.enter_context(running(where, "worker", **settings)) for _ in range(workers)]
        until(lambda: count(engine, ON_THE_WIRE) >= cap * NEARLY_FULL, "full slots")
        control(where, "DELETE", "ledger")
        before = [Cpu.of(worker) for worker in started]
        psutil.cpu_times_percent()
        threading.Event().wait(WATCH_S)
        idle = psutil.cpu_times_percent().idle / 100
        seen = control(where, "GET", "ledger")
        if not count(engine, "SELECT count(*) FROM jobs WHERE state = 'queued'"):
            raise RuntimeError("the jobs ran out while the slots were watched")
        spent = [Cpu.of(worker).since(each) for worker, each in zip(started, before, strict=True)]
        unended = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'dispatched', 'running')"
        until(lambda: count(engine, unended) == 0, "the last jobs")
    return Use(
        cap=cap,
        jobs=jobs,
        used=seen["mean_in_flight"] / cap,
        peak=seen["peak_in_flight"],
        calls=len(seen["rows"]),
        refused=sum(row["status"] == httpx.codes.TOO_MANY_REQUESTS for row in seen["rows"])
        / len(seen["rows"]),
        per_s=len(seen["rows"]) / seen["observed_s"],
        worker_ms=sum(each.own_ms + each.children_ms for each in spent) / len(seen["rows"]),
        idle=idle,
    )


def queue(http: httpx.Client, jobs: str, number: int) -> None:
    """Submit jobs over HTTP, each about a file of its own."""

    def submit(index: int) -> None:
        source = SOURCE.format(number=f"{jobs} {time.time_ns()} {index}")
        body = {"kind": "fix", "file": {"path": f"m{index}.py", "content": source}, **ASKED[jobs]}
        http.post("/v1/jobs", json=body).raise_for_status()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(submit, range(number)))


def control(where: Surroundings, method: str, name: str, body: Any = None) -> Any:
    """Ask the stand-in, or tell it how to behave."""
    url = f"{where.gateway_url.removesuffix('/v1')}/standin/{name}"
    content = None if body is None else json.dumps(body)
    answer = httpx.request(method, url, content=content, timeout=30).raise_for_status()
    return answer.json() if answer.content else None


def report(uses: list[Use]) -> None:
    """Print one line for each cap."""
    table = Table(
        title=f"{WORKERS} worker processes, answers after {MODEL_MS} ms, {WATCH_S:.0f} s while jobs wait"
    )
    for name in (
        "cap",
        "jobs",
        "slots used",
        "peak",
        "calls",
        "429",
        "calls/s",
        "of at most",
        "CPU-ms a call",
        "CPU idle",
    ):
        table.add_column(name, justify="left" if name == "jobs" else "right")
    for use in uses:
        table.add_row(
            str(use.cap),
            use.jobs,
            f"{use.used:.1%}",
            str(use.peak),
            str(use.calls),
            f"{use.refused:.2%}",
            f"{use.per_s:.1f}",
            f"{use.cap * 1000 / MODEL_MS:.1f}",
            f"{use.worker_ms:.1f}",
            f"{use.idle:.0%}",
        )
    Console(width=120).print(table)


def main() -> int:
    """Measure at each cap, print, and say by the exit code whether the aim was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cap", type=int, action="append", help="measure at this cap alone; may be repeated")
    parser.add_argument("--jobs", choices=sorted(ANSWERS), help="the kind of jobs at every cap")
    given = parser.parse_args()
    uses = []
    with surroundings() as where, installed(where) as (engine, key):
        for cap in given.cap or CAPS:
            jobs = given.jobs or CAPS.get(cap, "declined")
            uses.append(measure(where, engine, key, cap=cap, jobs=jobs))
            report(uses[-1:])
    report(uses)
    return 0 if all(use.aimed_at for use in uses) else 1


if __name__ == "__main__":
    sys.exit(main())
