"""What an evaluation may cost: each job in flight has a share, and none begins once nothing is left."""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Shares:
    """A limit in pico-dollars, shared by at most `sharers` jobs at a time; None is no limit.

    A job's share is its own cap, so that the sum of what all jobs cost never passes the limit.
    """

    limit_picos: int | None
    sharers: int
    _spent: int = 0
    _reserved: dict[str, int] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str) -> int | None:
        """Reserve a share for a job; None without a limit, 0 when nothing is left."""
        if self.limit_picos is None:
            return None
        with self._guard:
            free = self.limit_picos - self._spent - sum(self._reserved.values())
            share = max(0, free) // max(1, self.sharers - len(self._reserved))
            self._reserved[key] = share
            return share

    def settle(self, key: str, picos: int) -> None:
        """Count what a job has cost, uncertain money included, in the place of its share."""
        with self._guard:
            self._reserved.pop(key, None)
            self._spent += picos
