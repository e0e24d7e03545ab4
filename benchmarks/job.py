"""A full durable job beside a bare Celery task, and the time from submit to verified without the model's.

`python -m benchmarks.job` prints CPU-ms and jobs/s of both, measured one after the other in one run, then
the latency at light load with its stages. Wall numbers depend on what else the machine does; compare ratios.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from benchmarks.surroundings import KEY, MODEL_MS, SOURCE, Cpu, Surroundings, surroundings, until
from patchmill.cli.installation import install
from patchmill.cli.local_key import ensure_local_key
from patchmill.dev.surroundings import free_port
from patchmill.job.record import Finding, KindName, Task
from patchmill.queue.app import make_celery
from patchmill.store.access import find_project
from patchmill.store.engine import open_engine
from patchmill.store.key_secret import load_pepper
from patchmill.store.submission import Submission, submit

TASK = "bare.call_and_insert"  # as `bare_celery` names it
THREADS = 50
BARE_TASKS = 1_000
WARM_UP_JOBS = 50  # statements are prepared and connections made by the first ones
JOBS = 400
LIGHT_JOBS = 100
WARM_UP = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a full load cost: CPU-ms of the worker and of its checker processes, and the rate."""

    own_ms: float
    children_ms: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Milliseconds of each job at light load: seen by the client, and by stage, all without the model's."""

    client_ms: list[float]
    queued_ms: list[float]
    verify_ms: list[float]
    total_ms: list[float]


def measure_bare(where: Surroundings, engine: Engine) -> Load:
    """Drain bare tasks: one call, one insert."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bare (number int, reply text)"))
        connection.execute(text("CREATE TABLE bare_ready (at timestamptz DEFAULT now())"))
    settings = {
        "BENCH_DATABASE_URL": where.database_url,
        "BENCH_REDIS_URL": where.redis_url,
        "BENCH_GATEWAY_URL": where.gateway_url,
        "BENCH_KEY": KEY,
        "BENCH_THREADS": str(THREADS),
    }
    with running(where, "benchmarks.bare_celery", **settings) as worker:
        until(lambda: count(engine, "SELECT count(*) FROM bare_ready"), "the bare worker")
        body = {
            "model": "deepseek-v4-flash",
            "messages": [{"role": "user", "content": SOURCE.format(number=0)}],
            "max_tokens": 1024,
        }
        celery = make_celery(where.redis_url, concurrency=4)
        before, started = Cpu.of(worker), time.monotonic()
        with celery.producer_pool.acquire() as producer:
            for number in range(BARE_TASKS):
                celery.send_task(
                    TASK, args=[number, json.dumps(body)], queue="interactive", producer=producer
                )
        until(lambda: count(engine, "SELECT count(*) FROM bare") == BARE_TASKS, "the bare tasks")
        return load(worker, before, BARE_TASKS, time.monotonic() - started)


def measure_full(where: Surroundings, engine: Engine) -> Load:
    """Drain full jobs: claimed, held, called, settled, verified by ruff, stored with evidence."""
    with running(where, "worker", PATCHMILL_GATEWAY_CONCURRENCY=str(THREADS)) as worker:
        until(lambda: count(engine, "SELECT count(*) FROM workers"), "the worker")
        verified = "SELECT count(*) FROM jobs WHERE outcome = 'verified'"
        enqueue(engine, range(WARM_UP_JOBS))
        until(lambda: count(engine, verified) == WARM_UP_JOBS, "the first jobs")
        before, started = Cpu.of(worker), time.monotonic()
        enqueue(engine, range(WARM_UP_JOBS, WARM_UP_JOBS + JOBS))
        until(lambda: count(engine, verified) == WARM_UP_JOBS + JOBS, "the jobs")
        return load(worker, before, JOBS, time.monotonic() - started)


def measure_light(where: Surroundings, key: str) -> Light:
    """Submit one job after the other over HTTP and wait for each."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {key}"}
    light = Light(client_ms=[], queued_ms=[], verify_ms=[], total_ms=[])
    with (
        running(where, "api", PATCHMILL_PORT=str(port)),
        running(where, "worker"),
        httpx.Client(base_url=url, headers=headers, timeout=70) as http,
    ):
        until(lambda: ready(http), "the API")
        for number in range(LIGHT_JOBS + WARM_UP):
            job, seen_ms = one_job(http, 1_000_000 + number)
            if number >= WARM_UP:
                timings = job["timings"]
                light.client_ms.append(seen_ms - timings["model_ms"])
                light.queued_ms.append(timings["queued_ms"])
                light.verify_ms.append(timings["verify_ms"])
                light.total_ms.append(timings["total_ms"] - timings["model_ms"])
    return light


def one_job(http: httpx.Client, number: int) -> tuple[dict[str, Any], float]:
    """Submit one job and wait for its end; gives its document and the milliseconds that it took."""
    finding = {"tool": "ruff", "rule": "B006", "message": "mutable default", "start_line": 4, "end_line": 4}
    body = {
        "kind": "fix",
        "file": {"path": f"m{number}.py", "content": SOURCE.format(number=number)},
        "findings": [finding],
    }
    started = time.monotonic()
    job = http.post("/v1/jobs", json=body).raise_for_status().json()
    while job["finished_at"] is None:
        job = http.get(f"/v1/jobs/{job['id']}", params={"wait": "30"}).raise_for_status().json()
    if job["outcome"] != "verified":
        raise RuntimeError(f"job {job['id']} ended {job['state']}: {job['error']}")
    return job, (time.monotonic() - started) * 1000


def enqueue(engine: Engine, numbers: Iterable[int]) -> None:
    """Submit jobs straight to the store: the API's cost is not the worker's."""
    finding = Finding(
        index=0, tool="ruff", rule="B006", message="m", severity="warning", start_line=4, end_line=4
    )
    with engine.begin() as connection:
        project_id = find_project(connection, "default")
        if project_id is None:
            raise RuntimeError("project default is missing")
        for number in numbers:
            task = Task(
                kind=KindName.FIX,
                path=f"m{number}.py",
                language="python",
                source=SOURCE.format(number=number),
                findings=(finding,),
            )
            submit(
                connection, Submission(project_id=project_id, key_id=None, task=task, origin={}, labels={})
            )


@contextmanager
def running(where: Surroundings, module: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the length of the block."""
    process = where.start(module, **settings)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def ready(http: httpx.Client) -> bool:
    """Say whether the API answers."""
    try:
        return http.get("/readyz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def count(engine: Engine, statement: str) -> int:
    """Run a query for one number."""
    with engine.connect() as connection:
        return connection.scalar(text(statement)) or 0


def load(worker: subprocess.Popen[bytes], before: Cpu, jobs: int, elapsed_s: float) -> Load:
    """Divide by the number of jobs."""
    spent = Cpu.of(worker).since(before)
    return Load(own_ms=spent.own_ms / jobs, children_ms=spent.children_ms / jobs, per_s=jobs / elapsed_s)


def report(bare: Load, full: Load, light: Light) -> None:
    """Print both tables."""
    console = Console(width=110)
    table = Table(title=f"One worker process, {THREADS} threads, {MODEL_MS} ms of model time")
    for name in ("", "CPU-ms a job", "of checkers", "jobs/s", "ratio of CPU-ms"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("bare Celery task: 1 call, 1 insert", f"{bare.own_ms:.2f}", "-", f"{bare.per_s:.0f}", "1.0")
    ratio = full.own_ms / bare.own_ms
    table.add_row(
        "full durable job",
        f"{full.own_ms:.2f}",
        f"{full.children_ms:.2f}",
        f"{full.per_s:.0f}",
        f"{ratio:.1f}",
    )
    console.print(table)
    stages = Table(title=f"Submit to verified at light load, without the model's time ({LIGHT_JOBS} jobs)")
    for name in ("ms", "p50", "p99"):
        stages.add_column(name, justify="right" if name != "ms" else "left")
    rows = {
        "total in the service": light.total_ms,
        "of that, from submit to claim": light.queued_ms,
        "of that, verification": light.verify_ms,
        "seen by a client that waits over HTTP": light.client_ms,
    }
    for name, values in rows.items():
        p99 = statistics.quantiles(values, n=100)[98]
        stages.add_row(name, f"{statistics.median(values):.1f}", f"{p99:.1f}")
    console.print(stages)


def main() -> int:
    """Run everything and print it."""
    with surroundings() as where:
        engine = open_engine(where.database_url, pool_size=4)
        install(engine, data_dir=where.folder, pepper_file=None)
        with engine.begin() as connection:
            pepper = load_pepper(None, where.folder)
            key = ensure_local_key(connection, data_dir=where.folder, pepper=pepper)
        bare = measure_bare(where, engine)
        full = measure_full(where, engine)
        light = measure_light(where, key)
        engine.dispose()
    report(bare, full, light)
    return 0


if __name__ == "__main__":
    sys.exit(main())
