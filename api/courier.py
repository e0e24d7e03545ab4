"""The courier: delivers to webhooks from this process, on its event loop, beside the requests.

It needs the pepper that secrets are derived from, so it stands behind this door. Any number of processes may
have one. A delivery is taken with a lease in a short transaction, sent outside of any, and settled in
another. When a process dies in between, another one sends the message again when the lease is over: at least
once, always with the same `webhook-id`.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import anyio
import anyio.to_thread

from api.database import Database
from patchmill.deliver import signature, webhook
from patchmill.deliver.post import Answer, Poster
from patchmill.errors import Unavailable
from patchmill.instants import rfc3339
from patchmill.job import retry
from patchmill.store import outbox, shared_time
from patchmill.store.ids import to_edge
from patchmill.store.outbox import Due
from patchmill.telemetry import get_logger

CONNECTIONS = 2  # of the courier's own pool, so that it never takes one from a request
IN_FLIGHT = 100  # deliveries at once
FOR_EACH = 4  # of them to one webhook: a slow endpoint holds up itself alone
# Of the room that is left a round takes a part, and a project may hold a smaller one. However many endpoints
# hang, and of however many projects, there is room for whoever comes next.
FOR_ROUND = 2  # one half
FOR_PROJECT = 3  # one third
LEASE_S = 60.0  # well above the time that one attempt may take
STOP_GRACE_S = 5.0
LOG_EVERY_S = 60.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to look for what is due, and how long to wait between attempts, in seconds."""

    poll_s: float = 1.0
    waits_s: Sequence[float] = retry.DELIVERY_WAITS_S


class Courier:
    """Delivers what is due until stopped; lives on one event loop."""

    def __init__(self, database: Database, pepper: bytes, poster: Poster, pace: Pace) -> None:
        self._database = database
        self._pepper = pepper
        self._poster = poster
        self._pace = pace
        self._rng = random.Random()  # noqa: S311 - spreads waits, guards nothing
        self._threads = anyio.CapacityLimiter(CONNECTIONS)
        self._awake = asyncio.Event()
        self._sending: dict[uuid.UUID, asyncio.Task[None]] = {}  # by webhook
        self._work: set[asyncio.Future[Any]] = set()  # in threads
        self._held: Counter[uuid.UUID] = Counter()  # on their way, by project
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._log_again_at = 0.0

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name="courier")

    def wake(self) -> None:
        """Look for what is due at once; may be called from any thread, and before the start."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has closed: the process stops
                self._loop.call_soon_threadsafe(self._awake.set)

    async def stop(self) -> None:
        """Take no more, let what is under way end for a moment, and leave the rest to the next process."""
        self._stopping = True
        self._awake.set()
        if self._task is not None:
            await self._task
        sending = list(self._sending.values())
        if sending:
            await asyncio.wait(sending, timeout=STOP_GRACE_S)
        for task in sending:
            task.cancel()
        # What a thread has begun cannot be cancelled, and the connections are closed after it.
        await asyncio.gather(*sending, *self._work, return_exceptions=True)
        self._database.close()

    async def _run(self) -> None:
        while not self._stopping:
            self._awake.clear()
            try:
                await self._take()
            except Unavailable as error:
                if self._may_log():
                    told = self._database.told(error)
                    log.warning("deliveries_wait", reason=str(error), **told)
            except Exception:  # the courier must not die of one bad round
                if self._may_log():
                    log.exception("unexpected_error")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.poll_s):
                    await self._awake.wait()

    async def _take(self) -> None:
        """Take what is due and has room, and send it, each webhook's by a task of its own."""
        room = IN_FLIGHT - self._held.total()
        if room <= 0:
            return
        taken = await self._in_thread(self._claim, room, dict(self._held), list(self._sending))
        taken.sort(key=_webhook_of)
        self._held.update(due.project_id for due in taken)
        for webhook_id, batch in groupby(taken, key=_webhook_of):
            task = asyncio.create_task(self._send_all(webhook_id, list(batch)), name=f"to {webhook_id}")
            self._sending[webhook_id] = task

    async def _send_all(self, webhook_id: uuid.UUID, batch: list[Due]) -> None:
        try:
            ends = await asyncio.gather(*(self._deliver(due) for due in batch), return_exceptions=True)
            for error in ends:
                if error is not None:  # its lease runs out, and it is tried again
                    log.error("unexpected_error", webhook=to_edge("whk", webhook_id), exc_info=error)
        finally:
            self._held -= Counter(due.project_id for due in batch)  # keeps what is above zero
            del self._sending[webhook_id]
            self._awake.set()  # there is room again

    async def _deliver(self, due: Due) -> None:
        """Make one attempt and write what came of it."""
        at = shared_time.now()
        try:
            answer = await self._post(due, at)
        except (
            Exception
        ):  # an attempt like any other: a message that cannot be made must not go round for ever
            log.exception("unexpected_error", delivery=to_edge("dlv", due.id))
            answer = Answer(error="the message could not be made")
        attempt = {
            "at": rfc3339(at),
            "status": answer.status,
            "latency_ms": answer.latency_ms,
            "error": answer.error,
        }
        await self._settle(due, attempt, answer)

    async def _post(self, due: Due, at: datetime) -> Answer:
        numbers = signature.secret_numbers(due.secret_no, due.rotated_at, at)
        secrets = [signature.secret(self._pepper, due.webhook_id, number) for number in numbers]
        body = webhook.body(due.type, due.created_at, due.data)
        headers = webhook.headers(to_edge("msg", due.message_id), at, body, secrets)
        return await self._poster.post(due.url, headers, body.encode())

    async def _settle(self, due: Due, attempt: dict[str, Any], answer: Answer) -> None:
        """Write an attempt, again and again while the lease holds: unwritten it would be made once more."""
        after_s = self._wait_after(due, answer)
        until = time.monotonic() + LEASE_S
        while True:
            try:
                await self._in_thread(self._write, due, attempt, answer, after_s)
            except Unavailable:
                if time.monotonic() >= until:
                    log.warning("attempt_lost", delivery=to_edge("dlv", due.id))
                    return
                await asyncio.sleep(self._pace.poll_s)
            else:
                return

    def _wait_after(self, due: Due, answer: Answer) -> float | None:
        if answer.gone or due.type == webhook.TEST:  # a test tells at once how it went
            return None
        return retry.after_failed_delivery(
            due.attempts + 1, self._rng, asked_s=answer.retry_after_s, waits_s=self._pace.waits_s
        )

    def _claim(self, room: int, held: Mapping[uuid.UUID, int], busy: Sequence[uuid.UUID]) -> list[Due]:
        with self._database.begin() as connection:
            return outbox.claim(
                connection,
                at_most=max(1, room // FOR_ROUND),
                each=FOR_EACH,
                share=max(1, room // FOR_PROJECT),
                held=held,
                busy=busy,
                lease_s=LEASE_S,
            )

    def _write(self, due: Due, attempt: dict[str, Any], answer: Answer, after_s: float | None) -> None:
        with self._database.begin() as connection:
            outbox.settle(
                connection,
                due,
                attempt,
                delivered=answer.delivered,
                after_s=after_s,
                gone=answer.gone,
            )

    async def _in_thread(self, run: Any, *given: Any) -> Any:
        work = asyncio.ensure_future(anyio.to_thread.run_sync(run, *given, limiter=self._threads))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return await asyncio.shield(work)

    def _may_log(self) -> bool:
        """Say once a minute that trouble may be logged which comes back with every round."""
        now = time.monotonic()
        due = now >= self._log_again_at
        if due:
            self._log_again_at = now + LOG_EVERY_S
        return due


def _webhook_of(due: Due) -> uuid.UUID:
    return due.webhook_id
