"""An evaluation told in lines, and its progress."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from patchmill.cli.console import talk_console
from patchmill.cli.table import table
from patchmill.cli.talk import say, some
from patchmill.cli.waiting import waits_of
from patchmill.client.documents import Job
from patchmill.client.http import Client
from patchmill.client.problem import ApiError
from patchmill.errors import PatchmillError

_TOLD = 10  # times that progress is told where there is no terminal
_COLUMNS = (
    "edit format",
    "cases",
    "well-formed",
    "located",
    "verified",
    "equal",
    "escaped",
    "output",
    "seconds",
    "USD",
)
_SHOWN = 10


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Give what tells how many of how many are done: a line that moves on a terminal, else ten lines."""
    console = talk_console()
    if not console.is_terminal:
        yield _Tenths().tell
        return
    with console.status("evaluating") as status:
        yield lambda done, total: status.update(f"evaluated {done} of {total}")


class Waiting:
    """Says once for each reason why jobs wait."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: set[str | None] = set()
        self._guard = threading.Lock()

    def tell(self, job: Job) -> None:
        """Say why a job waits, unless that was said."""
        with self._guard:
            if job["wait_reason"] in self._told:
                return
            self._told.add(job["wait_reason"])
        with contextlib.suppress(ApiError, PatchmillError):  # it only explains
            say(f"jobs wait: {waits_of(self._client, [job])[job['id']]}")


class _Tenths:
    def __init__(self) -> None:
        self._told = 0

    def tell(self, done: int, total: int) -> None:
        tenth = done * _TOLD // total
        if tenth > self._told:
            self._told = tenth
            say(f"evaluated {done} of {total}")


def summary(made: Mapping[str, Any]) -> list[str]:
    """Write an evaluation for a reader: a line for each edit format, what was refused, what escaped."""
    rows = [list(_COLUMNS)]
    rows += [_row(name, measures) for name, measures in made["by_edit_format"].items()]
    lines = table(rows, right=range(1, len(_COLUMNS)))
    lines.append("output: tokens of a case, the median; seconds and USD: for each verified case")
    refused = made["total"]["refused_by"]
    if refused:
        lines.append("edits refused: " + ", ".join(f"{name} {count}" for name, count in refused.items()))
    failed = [row for row in made["results"] if not row["verified"]]
    if failed:
        lines.append(f"not verified: {some(len(failed), 'case')}")
        lines += _some([f"  {row['case']} ({row['edit_format']}): {row['end']}" for row in failed])
    escaped = [row for row in made["results"] if row["escapes"]]
    lines += [f"ESCAPED: {some(len(escaped), 'case')} offered as verified though wrong"] if escaped else []
    lines += _some(
        [
            f"  {row['case']} ({row['edit_format']}, {row['job']}): {one['fault']}: {one['detail']}"
            for row in escaped
            for one in row["escapes"]
        ]
    )
    return lines


def _some(lines: list[str]) -> list[str]:
    return (
        lines
        if len(lines) <= _SHOWN
        else [*lines[:_SHOWN], f"  and {len(lines) - _SHOWN} more; --json has all"]
    )


def _row(name: str, measures: Mapping[str, Any]) -> list[str]:
    cases = measures["cases"]
    shares = [f"{100 * measures[each] / cases:.1f} %" for each in ("well_formed", "located", "verified")]
    golds = measures["with_gold"]
    equal = f"{100 * measures['equal_but_for_layout'] / golds:.1f} %" if golds else "-"
    seconds = measures["seconds_per_verified"]
    return [
        name,
        f"{cases}",
        *shares,
        equal,
        f"{measures['escaped']}",
        f"{measures['median_output_tokens']}",
        "-" if seconds is None else f"{seconds:.2f}",
        (measures["cost_per_verified_usd"] or "-")[:10],
    ]
