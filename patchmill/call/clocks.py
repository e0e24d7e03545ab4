"""The four clocks of a call: connecting, the first data, progress, and its deadline."""

import asyncio
import math
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

from patchmill.job.failure import Failure, FailureClass

# What may still come once the outcome is known: the rest of a refusal, or a `[DONE]` that is late.
LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How long the steps of a call may take, in seconds; the call's own deadline bounds them all.

    `connect_s` ends when the request leaves. Of a stream, `first_data_s` runs from there to its first event
    that carries data, and `progress_s` from each such event to the next; comments that keep a connection
    alive are no data. A plain answer comes in one piece, so nothing but the deadline bounds the wait for it;
    once it has begun, `progress_s` holds for its bytes.
    """

    connect_s: float = 10.0
    first_data_s: float = 60.0
    progress_s: float = 45.0


DEFAULT_CLOCKS = Clocks()


class Watch:
    """Ends the block that it surrounds when a clock runs out: by TimeoutError, with `ran_out` set.

    One timer a call: progress only notes the time, and the timer looks when it fires whether there was any.
    """

    def __init__(self, clocks: Clocks, *, deadline_s: float, streamed: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._clocks = clocks
        self._deadline_s = deadline_s
        self._streamed = streamed
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._last_words_from: float | None = None
        self.started_at = self._loop.time()
        self.sent_at: float | None = None
        self.data_at: float | None = None
        self.ran_out: Failure | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def sent(self) -> None:
        """Note that the request may be leaving from now on."""
        if self.sent_at is None:
            self.sent_at = self._loop.time()
            self._look()

    def data(self) -> None:
        """Note that something of the answer came."""
        first = self.data_at is None
        self.data_at = self._loop.time()
        if first:
            self._look()

    def last_words(self) -> None:
        """Note that the outcome is known, and only a short rest is waited for."""
        if self._last_words_from is None:
            self._last_words_from = self._loop.time()
            self._look()

    def give_up(self) -> None:
        """End the call now: nobody waits for it any more."""
        self._end(Failure(failure=FailureClass.CANCELLED, message="given up while it ran"))

    def _end(self, failure: Failure) -> None:
        if self.ran_out is None:
            self.ran_out = failure
            self._timeout.reschedule(self._loop.time())

    def _look(self) -> None:
        """End the call if its clock has run out, and otherwise look again when it will have."""
        clock = self._running()
        due = min(clock.ends_at, self.started_at + self._deadline_s)
        now = self._loop.time()
        if due <= now:
            if due < clock.ends_at:
                clock = _Clock(due, FailureClass.DEADLINE, "no complete answer within", self._deadline_s)
            self._end(Failure(failure=clock.failure, message=f"{clock.what} {clock.seconds:g} s"))
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _running(self) -> "_Clock":
        """Give the clock that runs now, beside the deadline."""
        clocks = self._clocks
        if self._last_words_from is not None:
            at = self._last_words_from + LAST_WORDS_S
            return _Clock(at, FailureClass.STALLED, "the answer did not end within", LAST_WORDS_S)
        if self.data_at is not None:
            at = self.data_at + clocks.progress_s
            return _Clock(at, FailureClass.STALLED, "the answer stood still for", clocks.progress_s)
        if self.sent_at is None:
            at = self.started_at + clocks.connect_s
            return _Clock(at, FailureClass.CONNECT, "no connection within", clocks.connect_s)
        if self._streamed:
            at = self.sent_at + clocks.first_data_s
            return _Clock(at, FailureClass.STALLED, "no part of the answer within", clocks.first_data_s)
        return _Clock(math.inf, FailureClass.DEADLINE, "", 0)


class _Clock(NamedTuple):
    """One clock: when it runs out by the loop's time, and what that means."""

    ends_at: float
    failure: FailureClass
    what: str
    seconds: float
