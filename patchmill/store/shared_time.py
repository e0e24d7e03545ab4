"""The time that all processes share: that of Postgres, carried on between readings by the monotonic clock.

The clock of a machine may be wrong, and may jump. What several processes must agree on, such as deadlines,
prices of the hour, probes and the order of ids, goes by this time; until Postgres was heard, by a guess.
"""

import time
from datetime import UTC, datetime


class SharedTime:
    """A clock that is set by readings, each of which is only known to fall between two moments."""

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()  # of the monotonic clock

    def now(self) -> datetime:
        """Give the time."""
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def timestamp(self) -> float:
        """Give the time in seconds since 1970."""
        return time.monotonic() + self._ahead_s

    def hear(self, told: datetime, *, asked_at: float, heard_at: float) -> None:
        """Take a reading that was made between two moments of the monotonic clock.

        A clock that the reading does not contradict stays as it is, so that slow answers do not move it.
        """
        read = told.timestamp()
        self._ahead_s = min(max(self._ahead_s, read - heard_at), read - asked_at)


_SHARED = SharedTime()
now = _SHARED.now
timestamp = _SHARED.timestamp
hear = _SHARED.hear
