import threading
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.store.engine import open_engine
from tests.support import invariants
from tests.support.jobs import all_ended, submit
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

USED = "SELECT settled_{unit} + held_{unit} + uncertain_{unit} AS used FROM windows"


class Watcher:
    """Reads the windows on a connection of its own until stopped, and keeps the worst that it saw."""

    def __init__(self, database_url: str, unit: str) -> None:
        self._used = text(USED.format(unit=unit))
        self._engine = open_engine(database_url, pool_size=1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.looks = 0
        self.worst = 0
        self._thread.start()

    def _watch(self) -> None:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self._stop.wait(0.002):
                for row in connection.execute(self._used):
                    self.looks += 1
                    self.worst = max(self.worst, row.used)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._engine.dispose()


def make_budget(stack: Stack, limit: dict[str, Any]) -> None:
    with stack.http() as http:
        answer = http.post(
            "/v1/budgets",
            json={
                "name": "five of twenty",
                "scope": {"kind": "installation"},
                "window": {"kind": "total"},
                "limit": limit,
                "at_limit": "fail",
            },
        )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("limit", "unit", "cap"),
    [({"usd": "0.003"}, "picos", 3 * 10**9), ({"tokens": 30_000}, "tokens", 30_000)],
)
def test_a_budget_for_a_part_of_twenty_jobs_at_once_is_never_exceeded(
    stack: Stack, engine: Engine, *, limit: dict[str, Any], unit: str, cap: int
) -> None:
    stack.start_api()
    for _ in range(2):
        stack.start("worker")
    stack.behave(latency_ms=150, faults=[{"fault": "truncate", "times": 2}, {"fault": "503", "times": 2}])
    make_budget(stack, limit)
    watcher = Watcher(stack.database_url, unit)

    submit(stack, 20)
    until(lambda: all_ended(engine, 20), "all ended", 80)
    watcher.stop()

    assert watcher.looks > 20
    assert cap // 2 < watcher.worst <= cap
    invariants.check(engine, stack.truth())
    codes = invariants.rows(engine, "SELECT DISTINCT error->>'code' FROM jobs WHERE state = 'failed'")
    assert {code for (code,) in codes} <= {"budget_exhausted"}
