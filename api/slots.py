"""The account's slots as they are now: from Redis, or else what the settings and Postgres know."""

import redis

from patchmill.job.slots import SlotUse
from patchmill.queue.slots import SlotLeases


class SlotBoard:
    """Says how many calls may be in flight over all workers, and how many are.

    `cap` is the account's, as it is set here: it holds while no worker has told Redis anything else.
    """

    def __init__(self, leases: SlotLeases, *, cap: int) -> None:
        self._leases = leases
        self.cap = cap

    def read(self, *, on_the_wire: int) -> SlotUse:
        """Ask Redis, for at most a fifth of a second; `on_the_wire` is what Postgres knows of calls."""
        try:
            use = self._leases.use()
        except (redis.RedisError, ValueError):  # or somebody has written something else there
            use = None
        return use or SlotUse(limit=self.cap, used=on_the_wire)

    def held(self) -> dict[str, int] | None:
        """Say how many slots each worker process holds, by its id; None while Redis does not say."""
        try:
            return self._leases.held()
        except (redis.RedisError, ValueError):
            return None

    def close(self) -> None:
        """Give the connections back."""
        self._leases.close()
