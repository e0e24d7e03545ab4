"""The gateway refuses, breaks, hangs and drips: each call is one request, and ends when it must."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support import faults, invariants, ledger_audit
from tests.support.faults import Told
from tests.support.jobs import all_ended, named, post, states
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(240)),
]

OF_EACH = 2  # more failures in a row would open circuits, which is the matter of other tests
SLOTS = 20  # for all of the short form at once
CALL_S = 4.0  # until a call's deadline, which is before the other clocks of a call
NEAR_S = 1.0
ASKED_S = 2.0
DRIP_MS = 400
# What the first calls of a job meet, by the folder of its file; then it is answered.
CLASSES: dict[str, dict[str, str]] = {
    "asks-to-wait": {"wire_case": "H5_retry_after_seconds"},
    "is-overloaded": {"fault": "503"},
    "fails": {"fault": "500"},
    "resets": {"wire_case": "H10_reset_after_answer"},
    "hangs": {"wire_case": "S9_stall_before_headers"},
    "stands-still": {"wire_case": "S9_stall_in_stream"},
}
DRIPS = "drips"
TIMED = ("hangs", "stands-still", DRIPS)  # which only the deadline ends
NEXT_CALLS = """
    SELECT extract(epoch FROM later.sent_at - earlier.ended_at)::float8
    FROM calls earlier JOIN calls later USING (job_id) JOIN jobs j ON j.id = job_id
    WHERE later.number = earlier.number + 1 AND j.path LIKE 'asks-to-wait/%'
"""


def submit_all(stack: Stack, folder: str, first: int, **more: Any) -> None:
    numbers = range(first, first + OF_EACH)
    post(stack, *(named(f"{folder}/module_{number}.py", number, **more) for number in numbers))


def lengths(engine: Engine, folder: str) -> list[float]:
    """Give how long the first call of each job of a folder took that was sent, in seconds."""
    query = f"""
        SELECT DISTINCT ON (j.id) extract(epoch FROM c.ended_at - c.sent_at)::float8
        FROM calls c JOIN jobs j ON j.id = c.job_id
        WHERE j.path LIKE '{folder}/%' AND c.state <> 'void' ORDER BY j.id, c.number
    """
    return [length for (length,) in invariants.rows(engine, query)]


def test_whatever_the_gateway_does_each_call_is_one_request_that_ends_in_time(
    stack: Stack, engine: Engine
) -> None:
    stack.settings |= {
        "PATCHMILL_CALL_DEADLINE_S": str(CALL_S),
        "PATCHMILL_LEASE_TTL_S": "20",  # no worker is lost here, however long the machine stands still
        "PATCHMILL_GATEWAY_CONCURRENCY": str(SLOTS),
    }
    strikes = [{**strike, "times": OF_EACH, "match": f"{folder}/"} for folder, strike in CLASSES.items()]
    stack.behave(faults=strikes)
    stack.start_api()
    stack.start("worker")
    for number, folder in enumerate(CLASSES):
        submit_all(stack, folder, number * OF_EACH)
    count = len(CLASSES) * OF_EACH
    until(lambda: all_ended(engine, count), "all but those that are dripped ended", faults.timeout_s(120))
    assert states(engine) == {"succeeded": count}
    stack.behave(chunk_delay_ms=DRIP_MS)
    submit_all(stack, DRIPS, count, options={"max_calls": 1})
    until(lambda: all_ended(engine, count + OF_EACH), "all ended", faults.timeout_s(120))
    until(lambda: stack.truth()["in_flight"] == 0, "nothing in flight")

    found = ledger_audit.audit(engine, stack.truth(), group=lambda path: path.split("/")[0])
    assert found.differences == []
    for folder in CLASSES:
        account = found.accounts[folder]
        assert account.calls == account.requests == 2 * OF_EACH
    assert found.accounts[DRIPS].requests == OF_EACH
    off_s = max(abs(length - CALL_S) for folder in TIMED for length in lengths(engine, folder))
    waited_s = min(waited for (waited,) in invariants.rows(engine, NEXT_CALLS))
    assert min(length for folder in TIMED for length in lengths(engine, folder)) >= CALL_S
    assert faults.in_time(off_s, NEAR_S)
    assert waited_s >= ASKED_S
    invariants.check(engine, stack.truth())
    total = found.total
    faults.tell(
        Told(
            broke="the gateway asks to wait (429), fails (500, 503), resets after its answer, hangs, "
            "stands still, drips",
            often=f"{OF_EACH} calls each",
            jobs=count + OF_EACH,
            bar="one request a call, none hidden; "
            f"a call ends within {NEAR_S:g} s of its deadline of {CALL_S:g} s; money is settled or uncertain",
            measured=f"{total.requests} requests of {total.calls} calls; at most {off_s:.2f} s off; "
            f"the wait of {ASKED_S:g} s was kept ({waited_s:.1f} s at least); "
            + ", ".join(f"{number} {state}" for state, number in sorted(total.states.items())),
        )
    )
