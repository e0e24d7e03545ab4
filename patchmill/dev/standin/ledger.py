"""The truth ledger: what the gateway saw and billed, request by request."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from patchmill.dev.standin.spending import Spending


class Billing(StrEnum):
    """Whether a request moved money."""

    BILLED = "billed"
    NOT_BILLED = "not_billed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One request whose outcome is known.

    `finish` is the finish reason, or `client_closed`, `truncated`, `stream_error`; None when refused. `code`
    is the error code of a refusal. A key that is not accepted is kept as a digest only. `messages_sha256` is
    taken over the messages as compact JSON with sorted keys and non-ASCII characters escaped. `wire_case`
    names the case that was played to the request, if one was.
    """

    request_id: str
    at: str
    model: str | None
    key: str | None
    stream: bool
    status: int
    code: str | None
    outcome: Billing
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_picos: int
    finish: str | None
    messages_sha256: str | None
    wire_case: str | None = None


class Ledger:
    """Rows in memory and, given a path, in a JSONL file that is flushed row by row.

    An existing file is read first, so that a restarted stand-in carries on where it was killed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.rows: list[LedgerRow] = []
        self.spending = Spending()
        self._file: TextIO | None = None
        if path is not None:
            self._load(path)
            self._file = path.open("a", encoding="utf-8")
        self.requests = len(self.rows)
        self.in_flight = 0
        self.peak_in_flight = 0
        self._began = self._counted = time.monotonic()
        self._in_flight_s = 0.0

    def _load(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            # A kill in the middle of a write leaves half a line; what follows must start on its own line.
            path.write_bytes(whole)
        for line in whole.splitlines():
            stored = json.loads(line)
            row = LedgerRow(**{**stored, "outcome": Billing(stored["outcome"])})
            self._keep(row, charged_at=datetime.fromisoformat(row.at).timestamp())

    def _keep(self, row: LedgerRow, *, charged_at: float) -> None:
        self.rows.append(row)
        self.spending.charge(row.key, row.cost_picos, at=charged_at)

    def arrive(self) -> None:
        """Count a request that came in; it is in flight until its row is written."""
        self._count()
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def write(self, row: LedgerRow) -> None:
        """Record the outcome of a request that arrived."""
        self._count()
        self.in_flight -= 1
        self._keep(row, charged_at=time.time())
        if self._file is not None:
            self._file.write(json.dumps(asdict(row)) + "\n")
            self._file.flush()

    def clear(self) -> None:
        """Forget all rows, also those in the file; what is in flight stays counted."""
        self.rows.clear()
        self.spending = Spending()
        self.requests = self.in_flight
        self.peak_in_flight = self.in_flight
        self._began = self._counted = time.monotonic()
        self._in_flight_s = 0.0
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _count(self) -> None:
        """Add up what was in flight since this was last done."""
        now = time.monotonic()
        self._in_flight_s += self.in_flight * (now - self._counted)
        self._counted = now

    def document(self) -> dict[str, Any]:
        """The ledger as `GET /standin/ledger` shows it.

        `mean_in_flight` is taken over the `observed_s` seconds since the ledger was begun or cleared.
        """
        self._count()
        observed_s = self._counted - self._began
        return {
            "requests": self.requests,
            "rows": [asdict(row) for row in self.rows],
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "mean_in_flight": self._in_flight_s / observed_s if observed_s else 0.0,
            "observed_s": observed_s,
        }


def now() -> str:
    """The time of a row: RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
