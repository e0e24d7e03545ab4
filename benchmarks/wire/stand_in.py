"""Control of a stand-in gateway over HTTP: which case it plays next, and what it billed for it."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from benchmarks.wire.expectations import ANSWER
from patchmill.dev.standin.wire_cases import CASES, WireCase

KEY = "sk-byts-stand-in"
_ROW_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the gateway's ledger says of one request."""

    billed: bool
    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A case as it is played once: to a request for a stream, or for a plain answer."""

    case: WireCase
    stream: bool

    def __str__(self) -> str:
        return f"{self.case.name} {'stream' if self.stream else 'plain'}"


PLAYS = [
    Play(case=case, stream=stream)
    for case in CASES.values()
    for stream in (True, False)
    if case.fits(stream=stream)
]


class StandIn:
    """A stand-in that runs at `root`; used as a context manager."""

    def __init__(self, root: str) -> None:
        self.url = f"{root}/v1"
        self._control = httpx.Client(base_url=f"{root}/standin", timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()

    def prepare(self, play: Play) -> None:
        """Have the next request answered as the case does, and forget what was billed before."""
        behaviour = {
            "faults": [{"wire_case": play.case.name}],
            "script": [{"content": ANSWER, "times": 1_000_000}],
        }
        self._control.put("/behaviour", json=behaviour).raise_for_status()
        self._control.delete("/ledger").raise_for_status()

    def bill(self) -> Bill:
        """Give what the one request since then was billed; waits until the gateway has settled it.

        Raises:
            TimeoutError: it was not settled in time.
        """
        ends_at = time.monotonic() + _ROW_S
        pause = threading.Event()
        while time.monotonic() < ends_at:
            rows: list[dict[str, Any]] = self._control.get("/ledger").json()["rows"]
            if rows:
                [row] = rows
                return Bill(
                    billed=row["outcome"] == "billed",
                    input_tokens=row["input_tokens"],
                    cached_tokens=row["cached_tokens"],
                    output_tokens=row["output_tokens"],
                )
            pause.wait(0.01)
        raise TimeoutError("the stand-in did not settle the request")
