"""What ended longer ago than its project keeps it is pruned, a little each second while there is any."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from patchmill.store import retention, shared_time
from patchmill.telemetry import get_logger

EVERY_S = 1.0
RESTS_S = 60.0  # after a look that found nothing
JOBS = 50  # at once
RUNS = 5  # each of which may have thousands of jobs to be looked at
ROWS = 200  # of what hangs on nothing

log = get_logger(__name__)


class Sweeper:
    """Prunes a batch at a time, whichever process has its turn; `days` is the installation's number."""

    def __init__(
        self,
        engine: Engine,
        *,
        days: int,
        now: Callable[[], datetime] = shared_time.now,
        rng: random.Random | None = None,
    ) -> None:
        self._engine = engine
        self._days = days
        self._now = now
        self._rng = rng or random.Random()  # noqa: S311 - which project comes first is no secret
        self._rests_until: datetime | None = None
        self._pruned = 0

    def sweep(self) -> int:
        """Prune one batch, unless the last one found nothing a moment ago; give how much was pruned."""
        now = self._now()
        if self._rests_until is not None and now < self._rests_until:
            return 0
        with self._engine.begin() as connection:
            kept = retention.ages(connection, days=self._days, now=now)
        self._rng.shuffle(kept)  # so that no project's backlog is in the way of the others'
        pruned = sum(
            self._in_turn(step)
            for step in (
                lambda connection: retention.hide_runs(connection, kept, limit=RUNS),
                lambda connection: retention.prune_jobs(connection, kept, limit=JOBS),
                lambda connection: retention.remove_runs(connection, limit=RUNS),
                lambda connection: retention.remove_deliveries(connection, kept, limit=ROWS),
                lambda connection: retention.remove_records(connection, now=now, limit=ROWS),
            )
        )
        self._pruned += pruned
        if not pruned:
            self._rest(now)
        return pruned

    def _in_turn(self, step: Callable[[Connection], int]) -> int:
        """Do one step in a transaction of its own: a process that dies in it leaves it to the next."""
        with self._engine.begin() as connection:
            return step(connection) if retention.take_turn(connection) else 0

    def _rest(self, now: datetime) -> None:
        self._rests_until = now + timedelta(seconds=RESTS_S)
        if self._pruned:
            log.info("what was kept long enough is pruned", rows=self._pruned)
            self._pruned = 0
