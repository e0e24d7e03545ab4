"""Jobs submitted over HTTP at a steady rate while something breaks; each answer is noted with its time."""

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx

from tests.support.requests import mutable_default
from tests.support.stack import Stack

Clients = TypeVar("Clients")

THREADS = 3
VERIFIED_SHARE = 6  # every so many jobs one is verified by a checker; the rest is declined by the model
AGAIN_AFTER_S = 0.2
NO_ANSWER = 0
_DECLINES = {"match": "/declined_", "content": "NO CHANGE: there is nothing to do\n", "times": 1_000_000}


def declining() -> list[dict[str, Any]]:
    """Give the script that the stand-in declines by what is to be declined."""
    return [_DECLINES]


def body(number: int) -> dict[str, Any]:
    """Give the request for a job: each is about a file of its own, and needs one call."""
    return mutable_default(number) if number % VERIFIED_SHARE == 0 else declined(number)


def declined(number: int) -> dict[str, Any]:
    """Give the request for a job that is declined: it needs a call, and no checker."""
    job = mutable_default(number)
    file = {**job["file"], "path": f"src/declined_{number}.py"}
    return job | {"file": file, "findings": [], "instruction": "do what has been done"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One submission: when it was sent, how long the answer took, and its status; NO_ANSWER without one."""

    at: float
    took_s: float
    status: int


class Steady(ABC, Generic[Clients]):
    """Submits so many times a second for as long as the block runs, by threads with clients of their own."""

    def __init__(self, *, per_s: float) -> None:
        self._pause_s = THREADS / per_s
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._run, name="load") for _ in range(THREADS)]
        self.stop = threading.Event()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with self.clients() as clients:
            while not self.stop.is_set():
                began = time.monotonic()
                self.submit(clients, next(self._numbers))
                self.stop.wait(self._pause_s - (time.monotonic() - began))

    @abstractmethod
    def clients(self) -> AbstractContextManager[Clients]:
        """Give what one thread submits by."""

    @abstractmethod
    def submit(self, clients: Clients, number: int) -> None:
        """Submit the job of a number."""


class Load(Steady[httpx.Client]):
    """Submits jobs to one API.

    With `again` a job is submitted under an idempotency key until it is accepted, also after the block.
    """

    def __init__(self, stack: Stack, *, per_s: float, again: bool = False) -> None:
        super().__init__(per_s=per_s)
        self._stack = stack
        self._again = again
        self.sent: list[Sent] = []
        self.accepted: list[str] = []

    @property
    def statuses(self) -> Counter[int]:
        """How often each status was the answer."""
        return Counter(each.status for each in self.sent)

    def since(self, at: float) -> list[Sent]:
        """Give what was sent since a time."""
        return [each for each in list(self.sent) if each.at >= at]

    def clients(self) -> httpx.Client:
        """Give a client with the key."""
        return self._stack.http()

    def submit(self, clients: httpx.Client, number: int) -> None:
        """Submit a job once, or until it is accepted."""
        while not self._accepted(clients, number) and self._again:
            time.sleep(AGAIN_AFTER_S)  # noqa: TID251 - between two tries of a client

    def _accepted(self, http: httpx.Client, number: int) -> bool:
        headers = {"Idempotency-Key": f"load-{number}"} if self._again else {}
        at, began = time.time(), time.monotonic()
        try:
            answer = http.post("/v1/jobs", json=body(number), headers=headers)
            status = answer.status_code
        except httpx.HTTPError:
            status = NO_ANSWER
        self.sent.append(Sent(at=at, took_s=time.monotonic() - began, status=status))
        if status not in {httpx.codes.OK, httpx.codes.ACCEPTED}:
            return False
        self.accepted.append(answer.json()["id"])
        return True
