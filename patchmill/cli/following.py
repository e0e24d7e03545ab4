"""Waiting for work to end: with a line that moves on a terminal, silently elsewhere, and interruptible."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from patchmill.cli.console import talk_console
from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.outcome import standing_of_job, standing_of_run
from patchmill.cli.serving import Served
from patchmill.cli.talk import say, shown
from patchmill.cli.work import Standing, Work, standing
from patchmill.client.http import ENDED, MAX_WAIT_S, RUN_ENDED
from patchmill.errors import PatchmillError

GLANCE_S = 1  # how long one look may last where others have to be looked at, too


class NotEnded(PatchmillError):
    """Work takes longer than the user wants to wait; it goes on."""


def wait_for(service: Served, work: Work, *, timeout_s: float | None = None) -> Standing:
    """Wait until everything has ended; give how it stands then.

    Raises:
        NotEnded: it has not ended in that time.
        Unavailable: the server does not answer, or the local service broke.
        Interrupted: the user did not want to wait any longer; on a server the work goes on, which is said.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        with _progress() as show:
            while not _look(service, work, show, end):
                service.check()
                if end is not None and time.monotonic() >= end:
                    raise NotEnded(f"{work.name} has not ended after {timeout_s:g} s; {_go_on(work)}")
    except KeyboardInterrupt:
        say(f"{work.name} goes on; {_go_on(work)}")
        raise Interrupted(Exit.INTERRUPTED) from None
    return standing(service.client, work)


def _look(service: Served, work: Work, show: Callable[[str], None], end: float | None) -> bool:
    """Look at everything once, as long as a look may last; say whether it has ended."""
    left = MAX_WAIT_S if end is None else max(0.0, end - time.monotonic())
    client, wait_s = service.client, min(GLANCE_S, left)
    if work.run is not None:
        run = client.run(work.run, wait_s=wait_s)
        show(f"{work.run}: {standing_of_run(run)}")
        return run["state"] in RUN_ENDED
    states: Counter[str] = Counter()
    ended = True
    for identity in work.jobs:
        # Only the first that has not ended is waited for: the others are looked at in passing.
        job = client.job(identity, wait_s=wait_s if ended else 0)
        ended = ended and job["state"] in ENDED
        states[standing_of_job(job)] += 1
    show(f"{work.name}: {', '.join(f'{count} {state}' for state, count in states.most_common())}")
    return ended


def _go_on(work: Work) -> str:
    one, kind = work.ids[0], "runs" if work.run else "jobs"
    return f"`patchmill wait {one}` waits again, `patchmill {kind} cancel {one}` stops it"


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Give what shows a line: on a terminal the same line again and again, elsewhere nothing."""
    console = talk_console()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("waiting") as status:
        yield lambda text: status.update(shown(text))
