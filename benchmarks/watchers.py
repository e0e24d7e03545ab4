"""How long after its commit an event comes to each of 500 streams of one API process, and what that takes.

`python -m benchmarks.watchers` runs the API and a durable Postgres, opens the streams over HTTP, half of them
on a job each and half on runs, 25 streams on each, and commits events at random moments: of some of the jobs,
as when a worker reports, and of all of them in one transaction, as when all happens at once.

Exits 1 when an event of the first kind came later than half a second after its commit to more than one
stream in a hundred.
"""

import argparse
import random
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from api.waiting import MAX_FOLLOWERS_OF_PROJECT
from benchmarks.job import ready
from benchmarks.surroundings import Cpu, Surroundings, surroundings, until
from patchmill.cli.installation import install
from patchmill.dev.surroundings import free_port
from patchmill.store import key_secret
from patchmill.store.access import add_key
from patchmill.store.engine import open_engine
from tests.support.event_writing import new_project, tell
from tests.support.watching import Watched, Watchers

WATCHERS = 500
BAR_S = 0.5
SOME = 50  # jobs whose events are committed together
COMMITS = 40
PAUSES_S = (0.3, 0.7)
REST_S = 12.0
COUNTED_S = 11.0  # until Postgres has counted what idle connections did


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds from a commit to each stream, in order, and the API's share of a core meanwhile."""

    seconds: list[float]
    core: float

    def at(self, share: float) -> float:
        """Give the delay that so many of them did not pass."""
        return self.seconds[min(int(len(self.seconds) * share), len(self.seconds) - 1)]


def measure(watchers: Watchers, engine: Engine, jobs: list[uuid.UUID], number: int, cpu: "Meter") -> Delays:
    """Commit events of so many jobs at random moments, and see when they come."""
    rng = random.Random(number)  # noqa: S311 - not for a secret
    pause = threading.Event()
    moments: dict[str, float] = {}
    cpu.start()
    for each in range(COMMITS):
        mark = f"{number}-{each}"
        with engine.begin() as connection:
            for job in rng.sample(jobs, number):
                tell(connection, job, mark)
        moments[mark] = time.monotonic()
        pause.wait(rng.uniform(*PAUSES_S))
    core = cpu.share()
    came = [arrived - at for mark, at in moments.items() for arrived in watchers.came(mark)]
    return Delays(seconds=sorted(came), core=core)


class Meter:
    """What the API takes of a core, and how many transactions there are, a second."""

    def __init__(self, api: subprocess.Popen[bytes], engine: Engine) -> None:
        self._api = api
        self._engine = engine
        self.start()

    def start(self) -> None:
        """Begin to measure."""
        self._cpu, self._at, self._counted = Cpu.of(self._api), time.monotonic(), self._count()

    def share(self) -> float:
        """Give the share of a core since the beginning."""
        return Cpu.of(self._api).since(self._cpu).own_ms / 1000 / (time.monotonic() - self._at)

    def rate(self) -> float:
        """Give the transactions a second since the beginning."""
        return (self._count() - self._counted) / (time.monotonic() - self._at)

    def _count(self) -> int:
        counted = text("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return connection.scalar(counted) or 0


def at_rest(meter: Meter) -> tuple[float, float]:
    """Give transactions a second, and the share of a core, while nothing happens."""
    pause = threading.Event()
    pause.wait(COUNTED_S)
    meter.start()
    pause.wait(REST_S)
    return meter.rate(), meter.share()


def projects(engine: Engine, where: Surroundings, watchers: int) -> dict[uuid.UUID, str]:
    """Make as many projects as so many streams need, each with a key."""
    pepper = key_secret.load_pepper(None, where.folder)
    keys = {}
    for _ in range(max(2, -(-watchers // MAX_FOLLOWERS_OF_PROJECT))):
        secret = key_secret.make()
        project_id = new_project(engine)
        with engine.begin() as connection:
            add_key(
                connection,
                project_id=project_id,
                name="bench",
                public_id=secret.public_id,
                secret_hash=key_secret.digest(secret, pepper),
                scopes=("jobs:read",),
                expires_at=None,
            )
        keys[project_id] = secret.text()
    return keys


def main() -> int:
    """Measure, print, and say whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=WATCHERS, help="how many streams are open")
    asked = parser.parse_args()
    with surroundings() as where:
        engine = open_engine(where.database_url, pool_size=2)
        install(engine, data_dir=where.folder, pepper_file=None)
        watched = Watched.half_jobs_half_runs(engine, projects(engine, where, asked.watchers), asked.watchers)
        port = free_port()
        api = where.start("api", PATCHMILL_PORT=str(port))
        try:
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url) as http:
                until(lambda: ready(http), "the API")
            meter = Meter(api, engine)
            rates = [at_rest(meter)]
            with Watchers(url, watched.streams[:1]):
                rates.append(at_rest(meter))
            with Watchers(url, watched.streams) as watchers:
                rates.append(at_rest(meter))
                some = measure(watchers, engine, watched.jobs, SOME, meter)
                every = measure(watchers, engine, watched.jobs, len(watched.jobs), meter)
        finally:
            api.terminate()
            api.wait()
            engine.dispose()
    show(asked.watchers, rates, {f"{SOME} jobs": some, f"all {len(watched.jobs)} jobs": every})
    return 0 if some.at(0.99) <= BAR_S else 1


def show(watchers: int, rates: list[tuple[float, float]], delays: dict[str, Delays]) -> None:
    """Print what was measured."""
    console = Console()
    table = Table(title="while nothing happens")
    for column in ("streams", "transactions a second", "API, of a core"):
        table.add_column(column, justify="right")
    for number, (rate, core) in zip((0, 1, watchers), rates, strict=True):
        table.add_row(str(number), f"{rate:.1f}", f"{core:.3f}")
    console.print(table)
    table = Table(title=f"milliseconds from a commit to each of the {watchers} streams that it concerns")
    for column in ("a commit of", "came", "p50", "p99", "latest", "API, of a core"):
        table.add_column(column, justify="left" if column == "a commit of" else "right")
    for name, each in delays.items():
        times = (f"{each.at(share) * 1000:.0f}" for share in (0.5, 0.99, 1.0))
        table.add_row(name, str(len(each.seconds)), *times, f"{each.core:.3f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
