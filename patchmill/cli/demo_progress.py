"""Jobs as they go: a live table on a terminal, a line for each change elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from patchmill.cli.job_text import COLOURS
from patchmill.cli.outcome import standing_of_job
from patchmill.cli.talk import shown


class Progress(Protocol):
    """Shows the jobs' documents, as often as there are new ones."""

    def show(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Show how the jobs stand."""
        ...


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """Give what shows progress on this console until the block ends."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        yield _Table(live)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, str] = {}

    def show(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        for job in jobs:
            now = standing_of_job(job)
            if self._seen.get(job["id"]) != now:
                self._seen[job["id"]] = now
                self._console.print(f"{shown(job['file']['path'])} ({job['kind']}): {now}")


class _Table:
    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        table = Table(box=None, pad_edge=False)
        for heading in ("file", "kind", "findings", "state"):
            table.add_column(heading)
        for job in jobs:
            done = sum(finding["status"] != "pending" for finding in job["findings"])
            count = f"{done}/{len(job['findings'])}" if job["findings"] else ""
            now = standing_of_job(job)
            colour = COLOURS.get(job["outcome"] or job["state"], "")
            table.add_row(Text(shown(job["file"]["path"])), job["kind"], count, Text(now, style=colour))
        self._live.update(table)
