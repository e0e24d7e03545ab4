"""The pauses as this process sees them: whether a job that runs may make another call.

They are read from Postgres each second, so a call may still go out in the second after a pause began. Whoever
finds one in the way looks again first: a job that was dispatched because the pause has ended must not wait
for one that this process has only not heard the end of.
"""

from sqlalchemy import Engine

from patchmill.job.pause import Pause
from patchmill.store import pauses as store
from patchmill.store.claims import Claim


class Pauses:
    """The pauses of projects and queues; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: tuple[Pause, ...] = ()

    def refresh(self) -> None:
        """Read what is paused."""
        with self._engine.begin() as connection:
            self._seen = tuple(store.standing(connection))

    def hold(self, claim: Claim) -> bool:
        """Say whether a job may make no call now."""
        if not self._cover(claim):
            return False
        self.refresh()
        return self._cover(claim)

    def _cover(self, claim: Claim) -> bool:
        priority = claim.task.options.priority
        return any(each.part.covers(claim.project_id, priority) for each in self._seen)
