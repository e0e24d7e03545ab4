"""A client with two addresses of one service, as behind a balancer: what one refuses is sent to the other."""

import itertools
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support import plain_http
from tests.support.load import body

THREADS = 3
_ACCEPTED = {httpx.codes.OK, httpx.codes.ACCEPTED}  # OK for what was accepted, and nobody heard of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One submission: when it began, how long it took, its last status, and how often a door refused it.

    `silent` says how often no door at all answered.
    """

    at: float
    took_s: float
    status: int
    refused: int
    silent: int


class TwoDoors:
    """Submits so many jobs a second for as long as the block runs, each under a key of its own."""

    def __init__(self, addresses: Sequence[str], key: str, *, per_s: float) -> None:
        self.sent: list[Sent] = []
        self.accepted: list[str] = []
        self._addresses = addresses
        self._headers = {"Authorization": f"Bearer {key}"}
        self._pause_s = THREADS / per_s
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, name="two doors") for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def between(self, begun: float, ended: float) -> list[Sent]:
        """Give what was sent between two moments."""
        return [each for each in list(self.sent) if begun <= each.at < ended]

    def _run(self) -> None:
        doors = [plain_http.client(each, headers=self._headers, timeout=60) for each in self._addresses]
        while not self._stop.is_set():
            began = time.monotonic()
            number = next(self._numbers)
            self._submit([doors[number % 2], doors[1 - number % 2]], body(number))
            self._stop.wait(self._pause_s - (time.monotonic() - began))
        for door in doors:
            door.close()

    def _submit(self, doors: Sequence[httpx.Client], job: dict[str, Any]) -> None:
        at, refused = time.monotonic(), 0
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for door in itertools.cycle(doors):
            try:
                answer = door.post("/v1/jobs", json=job, headers=headers)
            except httpx.TransportError:
                refused += 1
                self._stop.wait(0.02 if refused % 2 == 0 else 0)
                continue
            break
        self.sent.append(
            Sent(
                at=at,
                took_s=time.monotonic() - at,
                status=answer.status_code,
                refused=refused,
                silent=refused // 2,
            )
        )
        if answer.status_code in _ACCEPTED:
            self.accepted.append(answer.json()["id"])
