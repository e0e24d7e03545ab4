"""How often a wrong password may be tried: counted in this process, for each name and address.

A restart forgets the counts, and each API process has its own; the passwords themselves carry the strength.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

WINDOW_S = 15 * 60
MAX_OF_NAME = 5  # wrong ones for one name from one address
MAX_OF_ADDRESS = 30
MAX_KEPT = 10_000


class Throttle:
    """Counts failures by key, within a window that moves with the clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """Give how long this one has to wait before the next try; zero to try at once."""
        now = self._clock()
        with self._lock:
            waits = [self._wait_s(key, limit, now) for key, limit in _limits(name, address)]
        return max(waits)

    def tried(self, name: str, address: str) -> None:
        """Count a try; it counts as failed until `succeeded` takes it back."""
        now = self._clock()
        with self._lock:
            for key, _ in _limits(name, address):
                self._failures.setdefault(key, deque(maxlen=MAX_OF_ADDRESS)).append(now)
                self._failures.move_to_end(key)
            while len(self._failures) > MAX_KEPT:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures for a name, once its password was given, and the try that it came with."""
        (of_name, _), (of_address, _) = _limits(name, address)
        with self._lock:
            self._failures.pop(of_name, None)
            tries = self._failures.get(of_address)
            if tries:
                tries.pop()

    def _wait_s(self, key: tuple[str, ...], limit: int, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None or len(failures) < limit:
            return 0.0
        return max(0.0, failures[-limit] + WINDOW_S - now)


def _limits(name: str, address: str) -> Sequence[tuple[tuple[str, ...], int]]:
    return ((name, address), MAX_OF_NAME), ((address,), MAX_OF_ADDRESS)
