"""How an ended job is written beside others who write to the same job."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, select, text

from patchmill.errors import LostClaim
from patchmill.job.record import FindingStatus, Outcome
from patchmill.job.state import State
from patchmill.store import claims, retries
from patchmill.store.claims import Claim
from patchmill.store.results import CheckRow
from patchmill.store.tables import findings
from tests.support.claimed import claimed
from tests.support.stack import until
from worker.outcome import Ended

ENDED = Ended(
    outcome=Outcome.NO_CHANGE,
    fail=None,
    offers=(),
    refused=(CheckRow(suggestion_id=None, call_id=None, check="parses", result="failed", detail=""),),
    fates={0: (FindingStatus.UNRESOLVED, "declined")},
    timings={},
    skipped=(),
    whole=True,
)
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def write(engine: Engine, claim: Claim) -> None:
    with engine.begin() as connection:
        ENDED.write(connection, claim)


def waits(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(WAITING))


def ask_again(connection: Connection, claim: Claim) -> None:
    retries.retry(connection, claim.project_id, claim.job_id, actor="somebody")


def test_a_late_end_and_a_retry_of_the_same_job_do_not_block_each_other(engine: Engine) -> None:
    claim = claimed(engine)
    with engine.begin() as connection:
        claims.finish(connection, claim.job_id, claim.fence, State.FAILED, error={"code": "worker_lost"})

    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as retrying:
            retrying.execute(text("SELECT 1 FROM jobs FOR NO KEY UPDATE"))  # as a retry begins
            late = thread.submit(write, engine, claim)
            until(lambda: late.done() or waits(engine), "the late end, waiting or refused")
            ask_again(retrying, claim)
        with pytest.raises(LostClaim):
            late.result(timeout=30)

    with engine.connect() as connection:
        assert connection.scalars(select(findings.c.status)).all() == ["pending"]
