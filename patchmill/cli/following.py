"""Waiting for work to end: with a line that moves on a terminal, silently elsewhere, and interruptible.

What is in the way is said once: why jobs wait while nothing moves, and that the server is away.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from patchmill.cli.console import talk_console
from patchmill.cli.exits import Exit, Interrupted
from patchmill.cli.outcome import standing_of_job, standing_of_run
from patchmill.cli.serving import Served
from patchmill.cli.talk import say, shown, some
from patchmill.cli.waiting import Wait, waits_of
from patchmill.cli.work import Standing, Work, standing
from patchmill.client.connection import CALM_ATTEMPTS, PATIENCE_S, is_outage, pause
from patchmill.client.http import ENDED, MAX_WAIT_S, RUN_ENDED
from patchmill.client.problem import ApiError
from patchmill.errors import PatchmillError, Unavailable

GLANCE_S = 1  # how long one look may last where others have to be looked at, too
QUIET_S = 3.0  # nothing has moved for so long: it is asked why
ASKED_JOBS = 100  # of a run, the first so many that are queued tell why it waits


class NotEnded(PatchmillError):
    """Work takes longer than the user wants to wait, or its server is away; it goes on."""


def wait_for(service: Served, work: Work, *, timeout_s: float | None = None, met: bool = True) -> Standing:
    """Wait until everything has ended; give how it stands then.

    A server that was `met`, or has answered here, may be away: until the time is over, or for a minute.

    Raises:
        NotEnded: it has not ended in that time, or the server is away too long.
        Unavailable: the server does not answer at all, or the local service broke.
        Interrupted: the user did not want to wait any longer; on a server the work goes on, which is said.
    """
    try:
        with _progress() as show:
            return _Following(service, work, show, timeout_s, met=met).end()
    except KeyboardInterrupt:
        say(f"{work.name} goes on; {_go_on(work)}")
        raise Interrupted(Exit.INTERRUPTED) from None


class _Following:
    """One wait for one work: what was seen, since when nothing moves, and what was said of it."""

    def __init__(
        self, service: Served, work: Work, show: Callable[[str], None], timeout_s: float | None, *, met: bool
    ) -> None:
        self._service = service
        self._work = work
        self._show = show
        self._timeout_s = timeout_s
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._met = met
        self._away_since: float | None = None
        self._failures = 0
        self._seen = ""
        self._quiet_since = time.monotonic()
        self._told = ""

    def end(self) -> Standing:
        """Look again and again; give how it stands at the end."""
        while True:
            try:
                ended = self._look()
                self._here()
                if ended:
                    return standing(self._service.client, self._work)
                self._tell_why()
                self._over()
            except (Unavailable, ApiError) as error:
                self._service.check()  # what was started for this command alone does not come back
                if not (self._met and is_outage(error)):
                    raise
                self._away(error)
            else:
                self._service.check()

    def _look(self) -> bool:
        """Look at everything once, as long as a look may last; say whether it has ended."""
        left = MAX_WAIT_S if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        client, wait_s = self._service.client, min(GLANCE_S, left)
        if self._work.run is not None:
            run = client.run(self._work.run, wait_s=wait_s)
            self._note(f"{self._work.run}: {standing_of_run(run)}")
            return run["state"] in RUN_ENDED
        states: Counter[str] = Counter()
        ended = True
        for identity in self._work.jobs:
            # Only the first that has not ended is waited for: the others are looked at in passing.
            job = client.job(identity, wait_s=wait_s if ended else 0)
            ended = ended and job["state"] in ENDED
            states[standing_of_job(job)] += 1
        told = ", ".join(f"{count} {state}" for state, count in states.most_common())
        self._note(f"{self._work.name}: {told}")
        return ended

    def _note(self, seen: str) -> None:
        self._show(seen)
        if seen != self._seen:
            self._seen, self._quiet_since = seen, time.monotonic()

    def _tell_why(self) -> None:
        """Say why jobs wait, if nothing has moved for a while and that was not said yet."""
        if time.monotonic() < self._quiet_since + QUIET_S:
            return
        self._quiet_since = time.monotonic()
        count, wait = self._wait()
        if wait is not None and wait.why != self._told:
            say(f"{some(count, 'job')} of {self._work.name} waiting: {wait}")
        self._told = "" if wait is None else wait.why

    def _wait(self) -> tuple[int, Wait | None]:
        """Give how many jobs wait, and for what most of them do."""
        client = self._service.client
        if self._work.run is not None:
            queued = client.jobs(run=self._work.run, state="queued", limit=str(ASKED_JOBS))
            jobs = list(islice(queued, ASKED_JOBS))
        else:
            jobs = [client.job(each) for each in self._work.jobs[:ASKED_JOBS]]
        waits = Counter(waits_of(client, jobs).values())
        return waits.total(), waits.most_common(1)[0][0] if waits else None

    def _over(self) -> None:
        """Raise NotEnded if the time is over."""
        if self._deadline is None or time.monotonic() < self._deadline:
            return
        count, wait = self._wait()
        why = f", {some(count, 'job')} waiting: {wait}" if wait is not None else ""
        raise NotEnded(
            f"{self._work.name} has not ended after {self._timeout_s:g} s{why}; {_go_on(self._work)}"
        )

    def _away(self, error: Unavailable | ApiError) -> None:
        """Wait a moment for a server that is away; raise NotEnded if it has been so too long."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            say(f"{error}; {self._work.name} goes on there, and is asked for until it answers")
        end = self._away_since + PATIENCE_S if self._deadline is None else self._deadline
        if now >= end:
            away = f"{now - self._away_since:.0f} s"
            raise NotEnded(
                f"{error}, for {away}; {self._work.name} goes on there: {_go_on(self._work)}"
            ) from error
        self._failures += 1
        pause(min(self._failures, CALM_ATTEMPTS))

    def _here(self) -> None:
        if self._away_since is not None:
            say("the server answers again")
        self._met, self._away_since, self._failures = True, None, 0


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
