"""How throughput grows with worker processes while the model's time dominates, up to the account's cap.

`python -m benchmarks.processes` runs the API, Postgres, Valkey and a stand-in that answers after 1.5 s, and
one, two and four worker processes, each of which comes with five slots of the account. Then four processes
share an account that allows ten. Exits 1 where throughput grew by less than four fifths of what was added, or
where more than the account allows was tried.
"""

import sys

from rich.console import Console
from rich.table import Table

from benchmarks.slots import AIM_REFUSED, MODEL_MS, Use, installed, measure
from benchmarks.surroundings import surroundings

PROCESSES = (1, 2, 4)
SLOTS_EACH = 5
CAP_SHARED = 10  # by four processes, which could do twice as much
AIM_LINEAR = 0.8


def linear(uses: dict[int, Use], processes: int) -> float:
    """Give the throughput as a share of what so many times one process would do."""
    return uses[processes].per_s / (uses[1].per_s * processes)


def report(uses: dict[int, Use], shared: Use) -> None:
    """Print one line for each number of processes."""
    table = Table(title=f"answers after {MODEL_MS} ms, {SLOTS_EACH} slots for each worker process")
    for name in (
        "processes",
        "slots",
        "calls/s",
        "of linear",
        "slots used",
        "429",
        "CPU-ms a call",
        "CPU idle",
    ):
        table.add_column(name, justify="right")
    for processes, use in uses.items():
        table.add_row(*_row(processes, use, f"{linear(uses, processes):.2f}"))
    table.add_row(*_row(PROCESSES[-1], shared, "cap"))
    Console(width=100).print(table)


def _row(processes: int, use: Use, share: str) -> tuple[str, ...]:
    numbers = (f"{use.per_s:.1f}", share, f"{use.used:.1%}", f"{use.refused:.2%}", f"{use.worker_ms:.1f}")
    return (str(processes), str(use.cap), *numbers, f"{use.idle:.0%}")


def main() -> int:
    """Measure, print, and say by the exit code whether the aim was met."""
    with surroundings() as where, installed(where) as (engine, key):
        uses = {
            number: measure(where, engine, key, cap=SLOTS_EACH * number, jobs="declined", workers=number)
            for number in PROCESSES
        }
        shared = measure(where, engine, key, cap=CAP_SHARED, jobs="declined", workers=PROCESSES[-1])
    report(uses, shared)
    grows = all(linear(uses, number) >= AIM_LINEAR for number in PROCESSES)
    held = all(use.peak <= use.cap and use.refused < AIM_REFUSED for use in (*uses.values(), shared))
    return 0 if grows and held else 1


if __name__ == "__main__":
    sys.exit(main())
