"""The gate of one process before the gateway: who may have a call in flight, and who waits for it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from patchmill.job.slots import URGENT_AFTER_S, SlotReport


class Notice(Enum):
    """What whoever watches the gate is told."""

    SHORTAGE = auto()  # somebody has to wait
    SURPLUS = auto()  # a slot was given back that nobody here may take
    REFUSAL = auto()  # the gateway had no place for a call, although there was a slot


@dataclass(slots=True, eq=False, kw_only=True)
class Slot:
    """The right to one call in flight, given back to the `Slots` that it came from."""

    urgent: bool
    mark: str
    lease: int  # which one of the gate's it was taken on
    held: bool = True


@dataclass(slots=True, eq=False)
class _Waiter:
    urgent: bool
    since: float
    turn: threading.Event = field(default_factory=threading.Event)
    slot: Slot | None = None


class Slots:
    """A limit of calls in flight that can be changed at any time; interactive waiters are served first.

    A bulk waiter that has waited for `URGENT_AFTER_S` is served as an interactive one is; among equals the
    first that came. Lowering the limit takes nothing from who has a slot already. All methods may be called
    from any thread.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = _checked(limit)
        self._valid_until = float("inf")
        self._lease = 0  # one more each time that a limit ran out before the next was set
        self._mark = ""
        self._refused: str | None = None
        self._used = 0
        self._urgent_used = 0
        self._urgent: deque[_Waiter] = deque()
        self._bulk: deque[_Waiter] = deque()
        self._closed = False
        self._tell: Callable[[Notice], None] = _nobody

    @property
    def limit(self) -> int:
        """How many slots there are."""
        return self._limit

    @property
    def used(self) -> int:
        """How many are taken now; more than `limit` for a while after it was lowered."""
        return self._used

    @property
    def waiting(self) -> int:
        """How many wait for one now."""
        return len(self._urgent) + len(self._bulk)

    def watch(self, tell: Callable[[Notice], None]) -> None:
        """Have it told, from whatever thread, what happens at the gate."""
        self._tell = tell

    def set_limit(self, limit: int, *, mark: str = "", valid_until: float = float("inf")) -> None:
        """Change the number of slots; zero admits nobody, and nobody is admitted past `valid_until`.

        `valid_until` is a monotonic time; `mark` names the time since the account's limit was last cut.

        Raises:
            ValueError: it is negative.
        """
        with self._lock:
            self._limit = _checked(limit)
            self._lease += time.monotonic() >= self._valid_until
            self._valid_until = valid_until
            self._mark = mark
            if self._refused != mark:
                self._refused = None
            self._admit()

    def report(self) -> SlotReport:
        """Say what is used and wanted now."""
        with self._lock:
            aged = self._aged(time.monotonic())
            return SlotReport(
                limit=self._limit,
                used=self._used,
                urgent_used=self._urgent_used,
                urgent_waiting=len(self._urgent) + aged,
                bulk_waiting=len(self._bulk) - aged,
                refused=self._refused,
            )

    def acquire(self, timeout_s: float, *, urgent: bool = False) -> Slot | None:
        """Take a slot, waiting for at most `timeout_s` seconds; None when there was none, or upon `close`."""
        waiter = _Waiter(urgent=urgent, since=time.monotonic())
        with self._lock:
            if self._closed:
                return None
            (self._urgent if urgent else self._bulk).append(waiter)
            self._admit()
        if waiter.slot is None:
            self._tell(Notice.SHORTAGE)
            waiter.turn.wait(max(0.0, timeout_s))
        with self._lock:
            # The turn may have come between the end of the wait and this lock.
            if waiter.slot is None and not self._closed:
                (self._urgent if urgent else self._bulk).remove(waiter)
            return waiter.slot

    def close(self) -> None:
        """Send everybody away who waits, or comes from now on; who has a slot keeps it."""
        with self._lock:
            self._closed = True
            for waiter in (*self._urgent, *self._bulk):
                waiter.turn.set()
            self._urgent.clear()
            self._bulk.clear()

    def give_back(self, slot: Slot) -> None:
        """Let the next that waits have it; doing so a second time does nothing."""
        with self._lock:
            if not slot.held:
                return
            slot.held = False
            self._used -= 1
            self._urgent_used -= slot.urgent
            over = self._used >= self._limit
            self._admit()
            surplus = over or self._used < self._limit
        if surplus:
            self._tell(Notice.SURPLUS)

    def lasts(self, slot: Slot) -> bool:
        """Say whether a call may begin on a slot: not once the limit that it was taken on ran out.

        Another process may have been given it since then, even if there is a new limit here by now.
        """
        with self._lock:
            return slot.lease == self._lease and time.monotonic() < self._valid_until

    def note_refusal(self, slot: Slot) -> None:
        """Keep that the gateway had no place for the call of this slot, if the limit was not cut since."""
        with self._lock:
            if not slot.mark or slot.mark != self._mark:
                return
            self._refused = slot.mark
        self._tell(Notice.REFUSAL)

    def _admit(self) -> None:
        now = time.monotonic()
        while self.waiting and self._used < self._limit and now < self._valid_until:
            waiter = self._next(now)
            urgent = waiter.urgent or now - waiter.since >= URGENT_AFTER_S
            self._used += 1
            self._urgent_used += urgent
            waiter.slot = Slot(urgent=urgent, mark=self._mark, lease=self._lease)
            waiter.turn.set()

    def _next(self, now: float) -> _Waiter:
        if not self._urgent:
            return self._bulk.popleft()
        if self._aged(now) and self._bulk[0].since < self._urgent[0].since:
            return self._bulk.popleft()
        return self._urgent.popleft()

    def _aged(self, now: float) -> int:
        aged = 0
        for waiter in self._bulk:
            if now - waiter.since < URGENT_AFTER_S:
                break
            aged += 1
        return aged


def _nobody(_: Notice) -> None:
    """Listen to nothing."""


def _checked(limit: int) -> int:
    if limit < 0:
        raise ValueError("a limit of calls cannot be negative")
    return limit
