"""A worker process within the test's own: it runs attempts of jobs one at a time, when the test says so."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, text

from patchmill.call.clocks import Clocks
from patchmill.call.gateway import Gateway
from patchmill.call.loop import CallLoop
from patchmill.cli.installation import PRICES
from patchmill.dev.standin.gateway import Options as StandInOptions
from patchmill.dev.standin.server import running
from patchmill.job.ladder import Policy
from patchmill.job.record import ContextFile, Finding, KindName, Options, Task
from patchmill.queue.dispatch import Broker
from patchmill.store.access import ensure_project
from patchmill.store.engine import open_engine
from patchmill.store.prices import add_prices_if_none
from patchmill.store.submission import Submission, submit
from tests.support import plain_http
from tests.support.claimed import dispatched
from tests.support.requests import SOURCE
from tests.support.stack import until
from worker.capabilities import Capabilities
from worker.circuits import Circuits
from worker.lease import Lease
from worker.pauses import Pauses
from worker.pipeline import run_job
from worker.price_lists import PriceLists
from worker.process import Process
from worker.quota import QuotaNote

FLASH, PRO, FALLBACK = "deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"
USELESS = "Nothing.\n\n```python\n<<<<<<< SEARCH\nabsent\n=======\npresent\n>>>>>>> REPLACE\n```\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The process, its database, and the stand-in that it calls."""

    engine: Engine
    process: Process
    root_url: str

    def submit(
        self,
        *,
        context: tuple[ContextFile, ...] = (),
        source: str | None = None,
        lines: tuple[int, ...] = (4,),
        **options: Any,
    ) -> uuid.UUID:
        """Submit a fix whose only way is the model: of B006 on each of the lines."""
        task = Task(
            kind=KindName.FIX,
            path="a.py",
            language="python",
            source=SOURCE.format(number=uuid.uuid4().hex) if source is None else source,
            findings=tuple(_mutable_default(index, line) for index, line in enumerate(lines)),
            context=context,
            options=Options(**options),
        )
        with self.engine.begin() as connection:
            project_id = ensure_project(connection, "default")
            given = Submission(project_id=project_id, key_id=None, task=task, origin={}, labels={})
            return submit(connection, given).job_id

    def run(self, job_id: uuid.UUID) -> RowMapping:
        """Make a job due, run one attempt of it, and give its row."""
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET run_at = now() WHERE id = :id"), {"id": job_id})
        dispatched(self.engine)
        run_job(self.process, job_id, self.job(job_id)["dispatch_no"])
        return self.job(job_id)

    def job(self, job_id: uuid.UUID) -> RowMapping:
        """Give a job's row."""
        with self.engine.begin() as connection:
            found = connection.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": job_id})
            return found.mappings().one()

    def calls(self) -> list[tuple[str, str, str]]:
        """Give rung, model and state of each call, in order."""
        with self.engine.begin() as connection:
            rows = connection.execute(text("SELECT rung, model, state FROM calls ORDER BY sent_at, number"))
            return [tuple(row) for row in rows]

    def behave(self, **behaviour: Any) -> None:
        """Tell the stand-in how to behave."""
        plain_http.send("PUT", f"{self.root_url}/standin/behaviour", json=behaviour).raise_for_status()

    def truth(self) -> dict[str, Any]:
        """Give the stand-in's own ledger."""
        ledger: dict[str, Any] = plain_http.get(f"{self.root_url}/standin/ledger").json()
        return ledger


def _mutable_default(index: int, line: int) -> Finding:
    return Finding(
        index=index, tool="ruff", rule="B006", message="m", severity="warning", start_line=line, end_line=line
    )


class Died(BaseException):
    """A thread ends here as if its process had been killed: nothing in the worker catches this."""


@contextmanager
def attempting(
    engine: Engine,
    database_url: str,
    redis_url: str,
    *,
    calls: type[CallLoop] = CallLoop,
    circuits: type[Circuits] = Circuits,
    call_deadline_s: float = 10.0,
    lease_ttl_s: float = 60.0,
    silence_s: float = 20.0,  # after which a call is given up
    stand_in: StandInOptions | None = None,
) -> Iterator[Attempts]:
    """Run it for the length of the block."""
    with engine.begin() as connection:
        add_prices_if_none(connection, PRICES, "test")
    lease = Lease(open_engine(database_url, pool_size=1), ttl_s=lease_ttl_s)
    broker = Broker(redis_url)
    with running(stand_in) as root_url:
        gateway = Gateway(
            base_url=f"{root_url}/v1",
            api_key="sk-byts-stand-in",
            now=lambda: datetime.now(UTC),
            clocks=Clocks(connect_s=silence_s, first_data_s=silence_s, progress_s=silence_s),
        )
        loop = calls(gateway, limit=4)
        process = Process(
            engine=engine,
            calls=loop,
            lease=lease,
            broker=broker,
            pauses=Pauses(engine),
            circuits=circuits(engine),
            capabilities=Capabilities(engine),
            prices=PriceLists(engine),
            quota=QuotaNote(engine),
            policy=Policy(model=FLASH, escalation_model=PRO, fallback_model=FALLBACK),
            call_deadline_s=call_deadline_s,
            terms=b"",
        )
        loop.start()
        lease.start()
        try:
            until(lease.valid, "the lease")
            yield Attempts(engine=engine, process=process, root_url=root_url)
        finally:
            loop.stop()
            lease.end()
            broker.close()
