"""What pruning takes, with 1,000,000 ended jobs in the tables.

`python -m benchmarks.retention` fills a durable Postgres of its own with ended jobs, each with an event, an
attempt and a call. It measures a look while nothing is due, then prunes 100,000 of them batch by batch as a
worker does, and prints the median, the 95th percentile and the longest of each, in milliseconds.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.dispatch import MANY, database
from patchmill.dev.child import Tether
from patchmill.dev.services import embedded
from worker.sweepers.retention import JOBS, Sweeper

PRUNED = 100_000
LOOKS = 50
DAYS = 90


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=MANY, help="that ended")
    parser.add_argument("--pruned", type=int, default=PRUNED, help="of them, in batches")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Tether() as tether, embedded(folder, held_by=tether, durable=True) as services:
            filled = database(services.database_url, "ended")
            print(f"making {asked.jobs:,} ended jobs", file=sys.stderr)
            filled.finish(asked.jobs)
            looks, batches = _looks(filled.engine), _batches(filled.engine, asked.pruned)
            filled.engine.dispose()
    _report(looks, batches, asked.pruned)


def _looks(engine: Engine) -> list[float]:
    return [_timed(_sweeper(engine, datetime.now(UTC)).sweep, nothing=True) for _ in range(LOOKS)]


def _batches(engine: Engine, number: int) -> list[float]:
    sweeper = _sweeper(engine, datetime.now(UTC) + timedelta(days=DAYS + 1))
    return [_timed(sweeper.sweep, nothing=False) for _ in range(number // JOBS)]


def _sweeper(engine: Engine, now: datetime) -> Sweeper:
    return Sweeper(engine, days=DAYS, now=lambda: now, rng=random.Random(0))  # noqa: S311 - the same each time


def _timed(sweep: Callable[[], int], *, nothing: bool) -> float:
    begun = time.perf_counter()
    if (sweep() == 0) is not nothing:
        raise AssertionError("a look found something, or a batch did not")
    return (time.perf_counter() - begun) * 1000


def _report(looks: list[float], batches: list[float], pruned: int) -> None:
    table = Table("step", "times", "median ms", "95 % ms", "longest ms")
    for name, times in (("look", looks), (f"batch of {JOBS} jobs", batches)):
        cuts = statistics.quantiles(times, n=20)
        told = (statistics.median(times), cuts[-1], max(times))
        table.add_row(name, str(len(times)), *(f"{each:.1f}" for each in told))
    console = Console()
    console.print(table)
    console.print(f"{pruned} jobs pruned at {pruned / (sum(batches) / 1000):.0f} a second")


if __name__ == "__main__":
    main()
