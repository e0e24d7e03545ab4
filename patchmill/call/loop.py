"""One event loop in one thread of a process makes all its calls; the threads that want them wait."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import Enum, auto
from functools import partial
from queue import SimpleQueue

import uvloop

from patchmill.call.gateway import Gateway
from patchmill.call.reply import CallOutcome, CallTimings, Rejected, Unknown
from patchmill.call.request import ChatRequest
from patchmill.call.slots import Slot, Slots
from patchmill.errors import PatchmillError
from patchmill.job.failure import Failure, FailureClass

# How long a stop waits for cancelled calls to close their connections.
_STOP_GRACE_S = 2.0

_log = logging.getLogger(__name__)

_Call = Callable[[], Coroutine[None, None, CallOutcome]]


class _News(Enum):
    """What the loop tells a thread that waits for a call."""

    FIRST_TOKEN = auto()
    END = auto()


def _not_sent(message: str) -> Rejected:
    return Rejected(
        failure=Failure(failure=FailureClass.NOT_SENT, message=message),
        code=None,
        timings=CallTimings(first_token_ms=None, total_ms=0),
    )


_WITHOUT_LEASE = _not_sent("the lease of this worker ran out before the call was sent")
_WITHOUT_SLOT = _not_sent("its slot ran out before the call was sent")


class CallLoopStopped(PatchmillError):
    """The loop that makes the calls is not running.

    Raised before a call is handed over, nothing was sent; raised to one that was waiting, it may be billed:
    `may_be_billed` tells.
    """

    code = "call_loop_stopped"
    title = "Call loop stopped"
    retryable = True

    def __init__(self, *, may_be_billed: bool) -> None:
        super().__init__("the loop that makes the calls is not running")
        self.may_be_billed = may_be_billed


class CallLoop:
    """Runs a gateway's calls on a loop of its own for threads that block until the outcome is there.

    Built once per process: `start` it, make calls from any thread, `stop` it, which closes the gateway.
    """

    def __init__(self, gateway: Gateway, *, limit: int, on_death: Callable[[], None] | None = None) -> None:
        """`on_death` is called on the loop's thread when that ends though nobody stopped it."""
        self.slots = Slots(limit)
        self._gateway = gateway
        self._on_death = on_death
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="patchmill-calls", daemon=True)
        self._lock = threading.Lock()
        self._state = "new"
        # Changed under the lock from the calling threads; the tasks belong to the loop's thread.
        self._replies: set[Future[CallOutcome]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the thread; further calls of `start` do nothing.

        Raises:
            CallLoopStopped: it was stopped before.
        """
        with self._lock:
            if self._state == "running":
                return
            if self._state == "stopped":
                raise CallLoopStopped(may_be_billed=False)
            self._state = "running"
            self._thread.start()

    def stop(self) -> None:
        """Give up what runs, close the gateway and wait for the thread's end; may be called twice.

        A call given up by this ends as `Unknown` with `CANCELLED`, or as `Rejected` if it was never sent.
        """
        with self._lock:
            if self._state == "new":
                self._state = "stopped"
                self._loop.close()
                return
            if self._state == "running":
                # First, so that no call is handed over behind the stop.
                self._state = "stopped"
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @contextmanager
    def slot(self, timeout_s: float, *, urgent: bool = False) -> Iterator[Slot | None]:
        """Hold one of the process's slots for the block, or until its call ends; None if none came free.

        Waits for at most `timeout_s` seconds.
        """
        slot = self.slots.acquire(timeout_s, urgent=urgent)
        try:
            yield slot
        finally:
            if slot is not None:
                self.slots.give_back(slot)

    def call(
        self,
        request: ChatRequest,
        *,
        deadline_s: float,
        slot: Slot | None = None,
        may_send: Callable[[], bool] | None = None,
        on_first_token: Callable[[], None] | None = None,
    ) -> CallOutcome:
        """Make one call and block until its outcome; `deadline_s` counts from now.

        The slot is given back as soon as the call has ended, before this thread goes on; if it does not last
        until the call begins, or `may_send` says no then, nothing is sent. `on_first_token` is called here,
        in the calling thread, while the call goes on, unless the whole answer has come by then.

        Raises:
            CallLoopStopped: the loop does not run, or its thread ended while this call was in flight.
        """
        reply: Future[CallOutcome] = Future()
        news: SimpleQueue[_News] = SimpleQueue()
        tell = None if on_first_token is None else partial(news.put, _News.FIRST_TOKEN)
        chat = partial(self._gateway.chat, request, deadline_s=deadline_s, on_first_token=tell)
        call = partial(self._begin_if_it_may, chat, slot, may_send)
        reply.add_done_callback(lambda _: news.put(_News.END))
        with self._lock:
            if self._state != "running":
                raise CallLoopStopped(may_be_billed=False)
            self._replies.add(reply)
            self._loop.call_soon_threadsafe(self._begin, call, reply, slot)
        try:
            while news.get() is _News.FIRST_TOKEN:
                if on_first_token is not None and not reply.done():
                    _tell(on_first_token)
            return reply.result()
        finally:
            with self._lock:
                self._replies.discard(reply)

    def _begin(self, call: _Call, reply: Future[CallOutcome], slot: Slot | None) -> None:
        task = self._loop.create_task(self._answer(call, reply, slot))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Only what ends the thread gets here, and `_run` logs it: nobody else need be told.
            task.exception()

    async def _answer(self, call: _Call, reply: Future[CallOutcome], slot: Slot | None) -> None:
        started_at = self._loop.time()
        try:
            outcome = await call()
            self._free(slot, outcome)
            reply.set_result(outcome)
        except asyncio.CancelledError:
            total_ms = round((self._loop.time() - started_at) * 1000)
            reply.set_result(
                Unknown(
                    failure=Failure(failure=FailureClass.CANCELLED, message="given up while it ran"),
                    partial="",
                    timings=CallTimings(first_token_ms=None, total_ms=total_ms),
                )
            )
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits for it
            reply.set_exception(error)

    async def _begin_if_it_may(
        self, chat: _Call, slot: Slot | None, may_send: Callable[[], bool] | None
    ) -> CallOutcome:
        """Look at what a call needs in the moment that it begins: the process may have stood still before."""
        if may_send is not None and not may_send():
            return _WITHOUT_LEASE
        if slot is not None and not self.slots.lasts(slot):
            return _WITHOUT_SLOT
        return await chat()

    def _free(self, slot: Slot | None, outcome: CallOutcome) -> None:
        if slot is None:
            return
        if isinstance(outcome, Rejected) and outcome.failure.failure is FailureClass.CONCURRENCY:
            self.slots.note_refusal(slot)
        self.slots.give_back(slot)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        except BaseException:  # noqa: BLE001 - the thread ends here, and whoever waits is told below
            _log.critical("the loop that makes the calls ended", exc_info=True)
            if self._on_death is not None:
                self._on_death()
        finally:
            # From here on no thread hands over another call, so that none can wait for ever.
            with self._lock:
                self._state = "stopped"
            try:
                self._loop.run_until_complete(self._wind_up())
            finally:
                with self._lock:
                    left = [reply for reply in self._replies if not reply.done()]
                for reply in left:
                    reply.set_exception(CallLoopStopped(may_be_billed=True))
                self._loop.close()

    async def _wind_up(self) -> None:
        # Those that were only just handed over have not begun: their turn comes first.
        await asyncio.sleep(0)
        self._gateway.give_up()
        left = set(self._tasks)
        if left:
            _, left = await asyncio.wait(left, timeout=_STOP_GRACE_S)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_STOP_GRACE_S)
        await self._gateway.aclose()
        await self._loop.shutdown_asyncgens()


def _tell(on_first_token: Callable[[], None]) -> None:
    try:
        on_first_token()
    except Exception:  # noqa: BLE001 - whatever it is, it is logged
        # The answer that follows is paid for: it is not given up because a note of it failed.
        _log.exception("the first token of a call could not be noted")
