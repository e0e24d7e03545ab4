"""A connection breaks around a write of a job, and the worker cannot know whether it is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.support import invariants
from tests.support.cutting_proxy import Cut, cutting
from tests.support.requests import mutable_default, unique
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(180)]

TITLE = "Make the list afresh"
ANSWER = f"""{TITLE}

Why.

```python
<<<<<<< SEARCH
def collect(item, into=[]):
    \"\"\"Collect items.\"\"\"
=======
def collect(item, into=None):
    \"\"\"Collect items.\"\"\"
    if into is None:
        into = []
>>>>>>> REPLACE
```
"""


def calls_of(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [row.state for row in connection.execute(text("SELECT state FROM calls ORDER BY number"))]


def phases_of(engine: Engine) -> list[tuple[int, str]]:
    """Give how often each phase of each call was written."""
    statement = "SELECT count(*) AS times, phase FROM ledger_entries GROUP BY call_id, phase"
    with engine.connect() as connection:
        return [(row.times, row.phase) for row in connection.execute(text(statement))]


@contextmanager
def worked(stack: Stack, cut: Cut, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a job by a worker whose connection is cut; gives the job once it has ended."""
    stack.settings["PATCHMILL_LEASE_TTL_S"] = "3"  # which a busy machine keeps
    stack.behave(script=[{"match": None, "content": ANSWER, "times": 9}])
    stack.start_api()
    with cutting(stack.database_url, cut) as behind:
        stack.start("worker", PATCHMILL_DATABASE_URL=behind)
        with stack.http() as http:
            submitted = http.post("/v1/jobs", json=body).json()
        until(cut.done.is_set, "the connection cut")
        yield stack.ended(submitted["id"])


@pytest.mark.parametrize(("arrives", "states"), [(True, ["uncertain", "settled"]), (False, ["settled"])])
def test_a_hold_whose_commit_is_not_known_is_there_once_or_not_at_all_and_never_sent(
    stack: Stack, engine: Engine, *, arrives: bool, states: list[str]
) -> None:
    number = unique()
    cut = Cut(text=str(number).encode(), arrives=arrives)  # the prompt is first stored with the hold

    with worked(stack, cut, mutable_default(number)) as job:
        assert job["outcome"] == "verified"

        assert calls_of(engine) == states
        assert stack.truth()["requests"] == 1
        assert job["usage"]["uncertain_usd"] == "0" or arrives
        assert {times for times, _ in phases_of(engine)} == {1}
        invariants.check(engine, stack.truth())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_settlement_whose_commit_is_not_known_is_written_once_and_the_job_goes_on(
    stack: Stack, engine: Engine, *, arrives: bool
) -> None:
    cut = Cut(text=TITLE.encode(), arrives=arrives)  # the answer is first stored with the settlement

    with worked(stack, cut, mutable_default(unique())) as job:
        assert job["outcome"] == "verified"

        assert calls_of(engine) == ["settled"]
        assert (stack.truth()["requests"], job["usage"]["calls"], job["attempt"]) == (1, 1, 1)
        assert {times for times, _ in phases_of(engine)} == {1}
        invariants.check(engine, stack.truth())


@pytest.mark.parametrize(("arrives", "attempts"), [(True, 2), (False, 1)])
def test_a_claim_whose_commit_is_not_known_is_taken_back_and_the_job_runs_again(
    stack: Stack, engine: Engine, *, arrives: bool, attempts: int
) -> None:
    cut = Cut(text=b"WITH coming AS", arrives=arrives)  # the job to be claimed, with the key of its work

    with worked(stack, cut, mutable_default(unique())) as job:
        assert (job["outcome"], job["attempt"]) == ("verified", attempts)

        assert calls_of(engine) == ["settled"]
        assert stack.truth()["requests"] == 1
        invariants.check(engine, stack.truth())


@pytest.mark.parametrize("arrives", [True, False])
def test_an_end_whose_commit_is_not_known_is_written_once_with_all_that_belongs_to_it(
    stack: Stack, engine: Engine, *, arrives: bool
) -> None:
    cut = Cut(text=b"job.suggestion", arrives=arrives)  # which is told by the end alone

    with worked(stack, cut, mutable_default(unique())) as job:
        assert (job["outcome"], job["attempt"]) == ("verified", 1)

        assert calls_of(engine) == ["settled"]
        told = (
            "SELECT type FROM events WHERE type = 'job.suggestion' OR data->>'to' = 'succeeded' ORDER BY id"
        )
        assert invariants.rows(engine, told) == [("job.suggestion",), ("job.state",)]
        assert invariants.rows(engine, "SELECT count(*) FROM suggestions") == [(1,)]
        invariants.check(engine, stack.truth())
