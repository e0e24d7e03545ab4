"""How large the scenarios of `tests/fault` are, what they draw from, and the report of what they measured.

PATCHMILL_FAULT_SCALE makes them longer and larger, as `make fault` does; PATCHMILL_FAULT_SEED replays what
was drawn. `python -m tests.support.faults FILE` prints the rows that were reported to a file as one table.
"""

import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from tests.support.invariants import rows

SCALE = int(os.environ.get("PATCHMILL_FAULT_SCALE", "1"))
SEED = int(os.environ.get("PATCHMILL_FAULT_SEED", "20261126"))
REPORT = os.environ.get("PATCHMILL_FAULT_REPORT")
LONG = SCALE > 1
_SLACK = 1 if LONG else 6  # times are measured in the long form; in the short one they only bound a wait
_HEAD = ("what breaks", "test", "how often", "jobs", "must hold", "measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row of the report: besides what is said here, every invariant held."""

    broke: str
    often: str
    jobs: int
    bar: str
    measured: str


def chance(scenario: str) -> random.Random:
    """Give what a scenario draws from; a failing test shows the seed."""
    print(f"PATCHMILL_FAULT_SEED={SEED} PATCHMILL_FAULT_SCALE={SCALE}: {scenario}")  # noqa: T201 - to replay it
    return random.Random(f"{SEED} {scenario}")


def of_scale(short: int, long: int) -> int:
    """Give a number: `short` in the short form, and `long` at a scale of ten, and so on from there."""
    return short if not LONG else max(short, long * SCALE // 10)


def timeout_s(short: int) -> int:
    """Give the longest time of a test of `short` seconds at this scale."""
    return short + 60 * SCALE if LONG else short


def in_time(seconds: float, bar_s: float) -> bool:
    """Whether a time is within its bar; a busy machine fails no test of the short form."""
    return seconds <= bar_s * _SLACK


def tell(told: Told) -> None:
    """Report a row: to the test's output, and to the file that the report is made of."""
    test = Path(os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]).name
    line = json.dumps({**asdict(told), "test": test})
    print(line)  # noqa: T201 - `pytest -rP` shows it
    if REPORT:
        with Path(REPORT).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def table(lines: Iterable[str]) -> str:
    """Write reported rows as a table in Markdown, those of the same kind of fault as one."""
    told = sorted(map(json.loads, lines), key=lambda row: (row["test"], row["broke"], row["measured"]))
    body = [_merged(list(same)) for _, same in groupby(told, key=lambda row: row["broke"])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEAD, ["---"] * len(_HEAD), *body))


def _merged(rows_: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    first = rows_[0]
    jobs = sum(row["jobs"] for row in rows_)
    measured = "; ".join(row["measured"] for row in rows_)
    return first["broke"], f"`{first['test']}`", first["often"], f"{jobs:,}", first["bar"], measured


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that this share of all is no greater than."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else 0.0


def wait_while(seconds: float, each: Callable[[], object] = lambda: None, every_s: float = 0.1) -> None:
    """Let a scenario go on for so long, and do something every so often meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        each()
        time.sleep(every_s)  # noqa: TID251 - the length of a phase, and no wait for a result


def ended_between(engine: Engine, since: float, until: float) -> int:
    """Count the jobs that ended between two times of this machine's clock."""
    span = f"finished_at >= to_timestamp({since}) AND finished_at < to_timestamp({until})"
    statement = f"SELECT count(*) FROM jobs WHERE {span}"
    return int(rows(engine, statement)[0][0])


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()) + "\n")
