"""Calls that all lie in the middle of one hour, and a reconciler that looks at it whenever a test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Engine, RowMapping, text

from patchmill.budget.reconciliation import Use
from patchmill.dev.standin.gateway import DEFAULT_KEY, Options
from patchmill.store.reconciliations import Compared, Comparison
from tests.support.attempts import FLASH, USELESS, Attempts, attempting
from worker.reconciler import Reconciler

OTHER_KEY = "sk-byts-somebody-else"
HOUR = timedelta(hours=1)
SOON, LATER = timedelta(minutes=20), timedelta(minutes=100)
UNBILLED, BILLED = "html_200", "truncate"  # both leave a call uncertain
_MOVE = "UPDATE calls SET sent_at = sent_at + :d, ended_at = ended_at + :d, deadline_at = deadline_at + :d"
_MONEY = ["calls", "ledger_entries", "jobs", "windows", "reconciliations", "call_decisions", "balances"]


def this_hour() -> datetime:
    """Give the beginning of the hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(kw_only=True)
class Reconciling:
    """A worker, its stand-in, and what the gateway's account says of one hour."""

    attempts: Attempts
    alone: bool
    hour: datetime = field(default_factory=this_hour)
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.attempts.engine

    def meet(self) -> None:
        """Let the account be known since before the hour."""
        self.look(after=-HOUR)

    def call(self, *faults: str) -> None:
        """Make a job whose calls meet these faults, one each; then one is answered with what is of no use."""
        self.attempts.behave(
            faults=[{"fault": fault} for fault in faults], script=[{"content": USELESS, "times": 50}]
        )
        job_id = self.attempts.submit(escalate=False, max_calls=len(faults) + 1)
        for _ in range(len(faults) + 1):
            self.attempts.run(job_id)

    def call_as_somebody_else(self) -> None:
        """Call with the other key of the account."""
        body = {"model": FLASH, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
        url = f"{self.attempts.root_url}/v1/chat/completions"
        headers = {"authorization": f"Bearer {OTHER_KEY}"}
        httpx.post(url, json=body, headers=headers).raise_for_status()

    def settle_into_the_hour(self, minute: float = 30) -> None:
        """Move all calls, ours and as the gateway files them, to this minute of the hour."""
        shift = self.hour + timedelta(minutes=minute) - datetime.now(UTC)
        with self.engine.begin() as connection:
            connection.execute(text(_MOVE), {"d": shift})
        self.tell(clock_s=shift.total_seconds())

    def tell(self, **account: Any) -> None:
        """Let the account of the gateway answer so, too."""
        self.account |= account
        self.attempts.behave(account=self.account)

    def look(self, *, after: timedelta, timeout_s: float = 10.0) -> list[Compared]:
        """Look at the account so long after the hour has ended."""
        return self.reconciler(after=after, timeout_s=timeout_s).look()

    def reconciler(
        self,
        *,
        after: timedelta,
        timeout_s: float = 10.0,
        key: str = DEFAULT_KEY,
        base_url: str | None = None,
    ) -> Reconciler:
        """Give a reconciler for whom it is so late."""
        return Reconciler(
            self.engine,
            base_url=base_url or f"{self.attempts.root_url}/v1",
            api_key=key,
            alone=self.alone,
            now=lambda: self.hour + HOUR + after,
            timeout_s=timeout_s,
        )

    def look_twice(self) -> list[Compared]:
        """Look once, and again when what was told may be evidence."""
        self.look(after=timedelta(minutes=20))
        return self.look(after=timedelta(minutes=100))

    def of_hour(self, compared: list[Compared], model: str = FLASH) -> Comparison:
        """Give the comparison of the hour."""
        [found] = [each.now for each in compared if (each.now.hour, each.now.model) == (self.hour, model)]
        return found

    def calls(self) -> list[RowMapping]:
        """Give the calls in order."""
        with self.engine.begin() as connection:
            return list(connection.execute(text("SELECT * FROM calls ORDER BY id")).mappings())

    def everything(self) -> list[Any]:
        """Give all that a look could change of money and comparisons."""
        with self.engine.begin() as connection:
            return [list(connection.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2"))) for name in _MONEY]

    def truth(self) -> list[dict[str, Any]]:
        """Give what the stand-in has billed to our key."""
        rows = self.attempts.truth()["rows"]
        return [row for row in rows if row["outcome"] == "billed" and row["key"] == DEFAULT_KEY]


@contextmanager
def reconciling(engine: Engine, database_url: str, redis_url: str, *, alone: bool) -> Iterator[Reconciling]:
    """Run it for the length of the block."""
    options = Options(keys=frozenset({DEFAULT_KEY, OTHER_KEY}))
    with attempting(engine, database_url, redis_url, stand_in=options) as attempts:
        made = Reconciling(attempts=attempts, alone=alone)
        made.meet()
        yield made


def use_of(rows: list[Any]) -> Use:
    """Add up what calls used and cost."""
    total = Use()
    for row in rows:
        used = {name: row[name] for name in ("input_tokens", "output_tokens")}
        total = total.plus(Use(calls=1, picos=row["cost_picos"], **used))
    return total


def settled_by_us(it: Reconciling) -> Use:
    """Give what the ledger says of settled calls."""
    return use_of([call for call in it.calls() if call["state"] == "settled"])


def states(it: Reconciling) -> list[str]:
    """Give the states of all calls."""
    return sorted(call["state"] for call in it.calls())
