"""Whatever a server does on the wire, what it bills is settled to the token, or the hold stays for it."""

import pytest
from sqlalchemy import Engine

from patchmill.dev.standin.wire_cases import CASES
from patchmill.store import circuits
from tests.support import invariants
from tests.support.attempts import FLASH, Attempts, attempting
from tests.support.ledger_audit import UNTOLD_CACHE, audit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DECLINED = "NO CHANGE: there is nothing to do\n"


def forget(attempts: Attempts) -> None:
    """Close what a case has opened, and take back what was learned of the model."""
    with attempts.engine.begin() as connection:
        for name in circuits.open_ones(connection):
            circuits.close(connection, name)
        connection.exec_driver_sql("DELETE FROM models")
    attempts.process.capabilities.refresh()


def test_the_bill_of_every_wire_case_is_in_our_ledger(
    engine: Engine, database_url: str, redis_url: str
) -> None:
    cases = [name for name, case in CASES.items() if case.fits(stream=True)]
    script = [{"content": DECLINED, "times": 10 * len(cases)}]
    with attempting(engine, database_url, redis_url, silence_s=1.0) as attempts:
        for name in cases:
            attempts.behave(faults=[{"wire_case": name}], script=script)
            attempts.run(attempts.submit(max_calls=1, escalate=False, model=FLASH))
            forget(attempts)
        attempts.behave()
        # A machine that stands still loses one answer more to the clocks.
        while left := invariants.rows(engine, f"SELECT id FROM jobs WHERE state IN {invariants.OPEN}"):
            for row in left:
                attempts.run(row.id)
                forget(attempts)

        truth = attempts.truth()
        assert {row["wire_case"] for row in truth["rows"]} - {None} == set(cases)
        invariants.check(engine, truth)
        assert audit(engine, truth).dearer == UNTOLD_CACHE
