"""What verifying a fix takes, beside the bare processes that it cannot do without.

`python -m benchmarks.verify` measures in turns, in one run: a lint fix of a Python file of 6 KB with one
finding and one answer, other shapes of fixes, a bare `ruff check` of the two texts of the first one, and a
bare `python -c pass`. Wall numbers depend on what else the machine does; compare ratios, and CPU.
"""

import contextlib
import resource
import sched
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import ruff
from rich.console import Console
from rich.table import Table

from patchmill.edit.span import Hunk, split_lines
from patchmill.job.record import Annotation, Finding, FindingStatus, KindName, Task
from worker.stages import stage_for

ROUNDS = 100
WARM_UP = 3
TARGET_MS = 30
RUFF, PYTHON = "bare ruff check of the same two texts", "bare python -c pass"

# A module of the standard library of about 6 KB, with one default changed so that there is a finding.
SOUND = Path(sched.__file__).read_text(encoding="utf-8")
FOUND = "    def enter(self, delay, priority, action, argument=[], kwargs=_sentinel):\n"
MENDED = FOUND.replace("[]", "()")
SOURCE = SOUND.replace(MENDED, FOUND)
SCRIPT = "let shown = 0;\nif (shown == 2) {\n  shown = 1;\n}\n" + "shown += 1;\n" * 500

Edit = tuple[str, str]  # lines that stand in the source once, and what is to stand there


@dataclass(slots=True)
class Contender:
    """Something to measure: its wall milliseconds, and the CPU milliseconds of all its processes."""

    run: Callable[[], object]
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Run it once more."""
        running, ended, started = _running_s(), _ended_s(), time.perf_counter()
        self.run()
        self.wall_ms.append((time.perf_counter() - started) * 1000)
        ended = _ended_s() - ended  # looking for what runs takes time itself, so that is done outside
        self.cpu_ms.append((ended + _running_s() - running) * 1000)

    @property
    def cells(self) -> tuple[float, float, float]:
        """What is in the middle, what 95 of 100 stay below, and the CPU."""
        return (
            statistics.median(self.wall_ms),
            statistics.quantiles(self.wall_ms, n=20)[-1],
            statistics.mean(self.cpu_ms),
        )


def main() -> int:
    """Measure everything in turns and print one table."""
    if SOURCE == SOUND:
        print("this Python's sched.py is another one: there is nothing to mend in it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="patchmill-bench-") as name:
        runs = {**_bare(Path(name)), **_shapes()}
        contenders = {name: Contender(run) for name, run in runs.items()}
        for _ in range(WARM_UP):
            for contender in contenders.values():
                contender.run()
        for _ in range(ROUNDS):
            for contender in contenders.values():
                contender.measure()
    report(contenders)
    return 0


def report(contenders: Mapping[str, Contender]) -> None:
    """Print what was measured, and how it compares to what cannot be saved."""
    table = Table(title=f"Verification, {ROUNDS} rounds in turns")
    table.add_column("", no_wrap=True)
    for heading in ("p50 ms", "p95 ms", "CPU-ms", "p50 to both", "CPU to both"):
        table.add_column(heading, justify="right", no_wrap=True)
    ruff_cells, python_cells = contenders[RUFF].cells, contenders[PYTHON].cells
    for name, contender in contenders.items():
        p50, p95, cpu = contender.cells
        ratios = (p50 / (ruff_cells[0] + python_cells[0]), cpu / (ruff_cells[2] + python_cells[2]))
        table.add_row(name, *(f"{cell:.1f}" for cell in (p50, p95, cpu)), *(f"{each:.2f}" for each in ratios))
    Console(width=110).print(table)
    print(
        f"To both: to one after the other of the bare processes. A lint fix may take {TARGET_MS} ms at p50."
    )


def _ended_s() -> float:
    """The CPU seconds of this process, and of the children that it has waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _running_s() -> float:
    """The CPU seconds of the children that stay, and of those that these have waited for."""
    spent = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            each = child.cpu_times()
            spent += each.user + each.system + each.children_user + each.children_system
    return spent


def _bare(folder: Path) -> dict[str, Callable[[], object]]:
    for number, text in enumerate((SOURCE, SOUND)):
        (folder / f"{number}.py").write_text(text, encoding="utf-8")
    options = "--isolated --no-cache --quiet --exit-zero --select F,E9,B006 --output-format json-lines"
    binary = str(ruff.find_ruff_bin())
    return {
        RUFF: lambda: _process([binary, "check", *options.split(), "0.py", "1.py"], folder),
        PYTHON: lambda: _process([sys.executable, "-c", "pass"], folder),
    }


def _process(argv: Sequence[str], folder: Path) -> None:
    subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _shapes() -> dict[str, Callable[[], object]]:
    one = Shape(SOURCE, [(FOUND, MENDED)], findings=1)
    several = [f"def number_{number}(into=[]):\n    return into\n" for number in range(10)]
    many = SOURCE + "".join(several)
    long = SOURCE + "".join(f"def number_{number}():\n    return {number}\n" for number in range(1500))
    marker = "_sentinel = object()\n"
    needing = [(FOUND, FOUND.replace("[]", "_nothing")), (marker, f"{marker}_nothing = ()\n")]
    tested = ("if (shown == 2) {\n", "if (shown === 2) {\n")
    hinted = ("    def empty(self):\n", "    def empty(self) -> bool:\n")
    return {
        f"a Python lint fix, {one.size}": one,
        "the same, when ruff was asked for its own fix": one.with_own_fixes,
        "two edits that need each other": Shape(SOURCE, needing, findings=1),
        "ten findings, ten edits": Shape(
            many, [(text, text.replace("[]", "()")) for text in several], findings=10
        ),
        "a Python lint fix, 57 KB": Shape(long, [(FOUND, MENDED)], findings=1),
        "a JavaScript lint fix, 6 KB": Shape(SCRIPT, [tested], findings=1, language="javascript"),
        "a type hint, proven": Shape(SOURCE, [hinted], findings=0),
    }


class Shape:
    """A task and its answer, verified as a worker does it; the first edits are for one finding each."""

    def __init__(
        self, source: str, edits: Sequence[Edit], *, findings: int, language: str = "python"
    ) -> None:
        self._hunks = [_hunk(source, old, new) for old, new in edits]
        python = language == "python"
        self._task = Task(
            kind=KindName.FIX if findings else KindName.ANNOTATE,
            path="app.py" if python else "app.js",
            language=language,
            source=source,
            findings=tuple(
                Finding(
                    index=index,
                    tool="ruff" if python else "oxlint",
                    rule="B006" if python else "eqeqeq",
                    message="",
                    severity="warning",
                    start_line=hunk.start_line,
                    end_line=hunk.start_line,
                )
                for index, hunk in enumerate(self._hunks[:findings])
            ),
            what=frozenset() if findings else frozenset({Annotation.TYPES}),
        )

    @property
    def size(self) -> str:
        """How long the source is."""
        return f"{len(self._task.source) / 1000:.0f} KB"

    def with_own_fixes(self) -> None:
        """Look for the tool's own fixes before; there must be none."""
        assert not stage_for(self._task).own_fixes([], contested=False).groups
        self()

    def __call__(self) -> None:
        """Verify the answer; nothing of it may be refused."""
        verdict = stage_for(self._task).verify(self._hunks, [])
        assert not verdict.refusals, verdict
        assert verdict.groups, verdict
        assert {group.status for group in verdict.groups} == {FindingStatus.VERIFIED}, verdict


def _hunk(source: str, old: str, new: str) -> Hunk:
    before, _, _ = source.partition(old)
    start, count = len(split_lines(before)) + 1, len(split_lines(old))
    return Hunk(start_line=start, end_line=start + count - 1, original=old, replacement=new)


if __name__ == "__main__":
    sys.exit(main())
