"""This process's share of the account's slots: one thread negotiates it with Redis and sets the gate."""

import threading
import time

from redis import RedisError

from patchmill.call.slots import Notice, Slots
from patchmill.job.slots import SlotReport, SlotShare
from patchmill.queue.slots import SlotLeases
from patchmill.telemetry import get_logger

SHORT_S = 0.1  # between reports while somebody waits here
BUSY_S = 0.25  # while anything is held
IDLE_S = 1.0
AWAY_S = 0.25  # while Redis does not answer
TRUSTED_SHARE = 2 / 3  # of the lease: past it this process must assume that its slots are given away

log = get_logger(__name__)


class SlotKeeper:
    """Keeps the gate at what Redis grants; without Redis, at a static share of the last known limit.

    `cap` is the account's, as it is set.
    """

    def __init__(self, gate: Slots, leases: SlotLeases, *, process: str, cap: int) -> None:
        self._gate = gate
        self._leases = leases
        self._process = process
        self._cap = cap
        self._limit = cap
        self._mark = ""
        self._alive = 1
        self._alone = False
        self._idle_rounds = 0
        self._trusted_until = float("-inf")
        # Read by other threads, which may see the value of a moment ago.
        self._short = False
        self._sought = False
        self._nudge = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slots", daemon=True)
        gate.watch(self._told)

    @property
    def limit(self) -> int:
        """How many calls the whole account may have in flight now, as far as this process knows."""
        return self._limit

    @property
    def cap(self) -> int:
        """How many calls the account may ever have in flight, as it is set."""
        return self._cap

    @property
    def share_alone(self) -> int:
        """How many slots this process has for itself while Redis shares out nothing."""
        return max(1, self._limit // self._alive)

    def count_processes(self, alive: int) -> None:
        """Say how many worker processes live: they share the limit while Redis is away."""
        self._alive = max(1, alive)

    def start(self) -> None:
        """Begin to negotiate."""
        self._thread.start()

    def stop(self) -> None:
        """Give everything back; call it when no call is in flight any more."""
        self._stop.set()
        self._nudge.set()
        self._thread.join()
        try:
            self._leases.leave(self._process, cap=self._cap)
        except RedisError as error:
            log.warning("slots not given back; their lease will run out", error=type(error).__name__)
        self._leases.close()

    def _told(self, notice: Notice) -> None:
        """Report at once where that can change anything; elsewhere the next report is soon enough."""
        worth = {
            Notice.SHORTAGE: not self._short,
            Notice.SURPLUS: self._sought,
            Notice.REFUSAL: True,
        }
        if worth[notice]:
            self._nudge.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._nudge.clear()
            try:
                pause_s = self._round()
            except RedisError as error:
                pause_s = self._without_redis(error)
            except Exception as error:  # the gate must not close for good because of one bad round
                log.exception("unexpected error while slots were negotiated")
                pause_s = self._without_redis(error)
            self._nudge.wait(pause_s)

    def _round(self) -> float:
        """Report once and take what is given; gives the seconds until the next report."""
        report = self._rested(self._gate.report())
        asked_at = time.monotonic()
        share = self._leases.share(self._process, report, cap=self._cap, mark=self._mark)
        self._note(share)
        self._trusted_until = asked_at + self._leases.times.lease_s * TRUSTED_SHARE
        self._gate.set_limit(share.slots, mark=share.mark, valid_until=self._trusted_until)
        self._short = share.slots < report.wanted
        self._sought = share.sought
        if self._gate.report().promised < report.promised:
            return 0.0  # others wait for this to be said
        if self._short:
            return SHORT_S
        return BUSY_S if report.promised else IDLE_S

    def _rested(self, report: SlotReport) -> SlotReport:
        """Let go of what has not been used for two rounds."""
        self._idle_rounds = 0 if report.wanted else self._idle_rounds + 1
        if self._idle_rounds < 2 or not report.limit:  # noqa: PLR2004 - two, as said
            return report
        self._gate.set_limit(0, mark=self._mark)
        return self._gate.report()

    def _note(self, share: SlotShare) -> None:
        if self._alone:
            self._alone = False
            log.info("redis is back; slots are shared again")
        if share.limit < self._limit:
            log.warning("slots_cut", limit=share.limit, before=self._limit, cap=self._cap)
        elif share.limit > self._limit:
            log.info("slots_grown", limit=share.limit, before=self._limit, cap=self._cap)
        self._limit = share.limit
        self._mark = share.mark

    def _without_redis(self, error: Exception) -> float:
        """Go on with the lease while it lasts, then with a static share; calls made with it cut nothing."""
        if time.monotonic() < self._trusted_until:
            return AWAY_S
        share = self.share_alone
        if not self._alone:
            self._alone = True
            log.warning("redis is away; slots are a fixed share", slots=share, error=type(error).__name__)
        self._short = self._sought = False
        self._gate.set_limit(share)
        return AWAY_S
