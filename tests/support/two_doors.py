"""A client with two addresses of one service, as behind a balancer: what one refuses is sent to the other."""

import itertools
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx

from tests.support import plain_http
from tests.support.load import Steady, body

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


class TwoDoors(Steady[list[httpx.Client]]):
    """Submits jobs to two APIs in turn, each under a key of its own."""

    def __init__(self, addresses: Sequence[str], key: str, *, per_s: float) -> None:
        super().__init__(per_s=per_s)
        self.sent: list[Sent] = []
        self.accepted: list[str] = []
        self._addresses = addresses
        self._headers = {"Authorization": f"Bearer {key}"}

    def between(self, begun: float, ended: float) -> list[Sent]:
        """Give what was sent between two moments."""
        return [each for each in list(self.sent) if begun <= each.at < ended]

    @contextmanager
    def clients(self) -> Iterator[list[httpx.Client]]:
        """Give a client of each door."""
        with ExitStack() as opened:
            yield [
                opened.enter_context(plain_http.client(each, headers=self._headers, timeout=60))
                for each in self._addresses
            ]

    def submit(self, clients: list[httpx.Client], number: int) -> None:
        """Submit a job at one door, and at the other one if that refuses, until one of them answers."""
        doors = [clients[number % 2], clients[1 - number % 2]]
        at, refused = time.monotonic(), 0
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for door in itertools.cycle(doors):
            try:
                answer = door.post("/v1/jobs", json=body(number), headers=headers)
            except httpx.TransportError:
                refused += 1
                self.stop.wait(0.02 if refused % 2 == 0 else 0)
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
