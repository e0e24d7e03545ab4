"""One in twenty commits is done and not confirmed, for the API and for the workers alike."""

from collections import Counter

import pytest
from sqlalchemy import Engine

from tests.fault.test_crash_table import hourly_limit
from tests.fault.test_webhook_outbox import LOOPBACK, subscribe
from tests.support import faults, invariants, ledger_audit
from tests.support.faults import Told
from tests.support.load import Load, declining
from tests.support.losing_proxy import Losses, losing
from tests.support.receiver import Receiver
from tests.support.stack import Stack, until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.slow,
    pytest.mark.timeout(faults.timeout_s(240)),
]

SHARE = 0.05
JOBS = faults.of_scale(60, 1_000)
PER_S = 10


def test_commits_that_are_not_confirmed_are_neither_lost_nor_done_twice(stack: Stack, engine: Engine) -> None:
    hourly_limit(engine)
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "8"  # which a busy machine keeps
    stack.behave(latency_ms=200, script=declining())
    stack.settings["PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    losses = Losses(share=0.0, rng=faults.chance("commits"))
    direct = stack.database_url
    with Receiver() as receiver, losing(direct, losses) as stack.database_url:
        stack.start_api()
        subscribe(stack, receiver.url())
        for _ in range(2):
            stack.start("worker")
        losses.share = SHARE
        with Load(stack, per_s=PER_S, again=True) as load:
            until(lambda: len(load.accepted) >= JOBS, f"{JOBS} jobs accepted", faults.timeout_s(120))
        until(
            lambda: invariants.open_jobs(engine) == 0,
            "all ended",
            faults.timeout_s(120),
        )
        losses.share = 0.0

    assert set(load.statuses) <= {200, 202, 503}
    assert invariants.rows(engine, "SELECT count(*) FROM jobs") == [(len(set(load.accepted)),)]
    truth = until(lambda: (told := stack.truth())["in_flight"] == 0 and told, "nothing in flight")
    invariants.check(engine, truth, load.accepted)
    total = ledger_audit.audit(engine, truth).total
    assert (
        total.uncertain_billed_picos == 0
    )  # uncertain is what was held and, for want of an answer, never sent
    ends = Counter(
        dict(map(tuple, invariants.rows(engine, "SELECT state, count(*) FROM jobs GROUP BY state")))
    )
    assert set(ends) == {"succeeded"}
    told = invariants.rows(engine, "SELECT count(*) FROM deliveries")[0][0]
    assert told == len(load.accepted)
    assert losses.lost > 0
    faults.tell(
        Told(
            broke=f"Postgres commits and its answer is lost, {SHARE:.0%} of all",
            often=f"{losses.lost:,} of {losses.answers:,} answers",
            jobs=len(load.accepted),
            bar="the ledger agrees with the gateway's to the token; nothing twice in the outbox",
            measured=f"{total.requests:,} requests billed, {total.states['settled']:,} settled, drift "
            f"{total.our_picos - total.their_picos}; {total.states['uncertain']} held and never sent; "
            f"{told:,} messages for {len(load.accepted):,} ends",
        )
    )
