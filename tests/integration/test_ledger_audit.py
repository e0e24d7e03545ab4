"""The audit of the storm sees what it is there to see."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.ledger import Spent
from patchmill.store import ledger
from tests.support.claimed import HOLD, admitted, claimed
from tests.support.ledger_audit import audit

SPENT = Spent(input_tokens=100, cached_tokens=20, output_tokens=30)
COST = 80 * 140_000 + 20 * 3_000 + 30 * 280_000
ENDINGS = {
    "settled": ledger.Ending(billed=True, phase="answered", spent=SPENT, values={"gateway_request_id": "r1"}),
    "void": ledger.Ending(billed=False, phase="rejected", spent=None, values={"failure": "server"}),
    "uncertain": ledger.Ending(billed=None, phase="unknown", spent=None, values={"failure": "broken"}),
}


def ended(engine: Engine, state: str) -> str:
    """Make a call that ended so; gives the time of its sending."""
    claim = claimed(engine)
    call_id = admitted(engine, claim)
    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, ENDINGS[state])
        sent_at: datetime = connection.scalars(text("SELECT sent_at FROM calls")).one()
        return sent_at.isoformat()


def row(at: str, **more: Any) -> dict[str, Any]:
    """Give a row of the stand-in's ledger for that call."""
    billed = {"input_tokens": 100, "cached_tokens": 20, "output_tokens": 30, "cost_picos": COST}
    about = {"at": at, "model": "deepseek-v4-flash", "messages_sha256": hashlib.sha256(b"[]").hexdigest()}
    kept = {"request_id": "r1", "outcome": "billed", "finish": "stop", "wire_case": None}
    return {**about, **kept, **billed, **more}


def differences(engine: Engine, *rows: Mapping[str, Any]) -> str:
    return "\n".join(audit(engine, {"requests": len(rows), "rows": rows}).differences)


@pytest.mark.parametrize(("state", "outcome"), [("settled", "billed"), ("void", "not_billed")])
def test_ledgers_that_agree_have_no_difference(engine: Engine, state: str, outcome: str) -> None:
    at = ended(engine, state)
    assert differences(engine, row(at, outcome=outcome)) == ""


def test_an_uncertain_call_may_have_been_billed_or_not_have_arrived(engine: Engine) -> None:
    at = ended(engine, "uncertain")
    assert differences(engine, row(at)) == ""
    assert differences(engine) == ""


@pytest.mark.parametrize(
    ("state", "change", "told"),
    [
        ("settled", {"output_tokens": 31}, "settled [100, 20, 30"),
        ("settled", {"cost_picos": COST + 1}, "billed [100, 20, 30"),
        ("settled", {"outcome": "not_billed"}, "was not billed"),
        ("void", {}, "is void"),
        ("uncertain", {"cost_picos": HOLD.picos + 1}, "holds"),
        ("uncertain", {"output_tokens": HOLD.tokens}, "holds"),
        ("uncertain", {"at": "2026-01-01T00:00:00.000Z"}, "no call of ours"),
        ("uncertain", {"messages_sha256": "other"}, "no call of ours"),
    ],
)
def test_each_disagreement_is_told(engine: Engine, state: str, change: dict[str, Any], told: str) -> None:
    at = ended(engine, state)
    assert told in differences(engine, row(**{"at": at, **change}))


@pytest.mark.parametrize("state", ["settled", "void"])
def test_a_call_that_ended_without_a_request_is_told(engine: Engine, state: str) -> None:
    ended(engine, state)
    assert "no request of it arrived" in differences(engine)


def test_a_request_that_was_sent_again_in_secret_is_told(engine: Engine) -> None:
    at = ended(engine, "settled")
    assert "r2 is no call of ours" in differences(engine, row(at), row(at, request_id="r2"))


def test_a_call_that_never_ended_is_told(engine: Engine) -> None:
    admitted(engine, claimed(engine))
    assert "is still sent" in differences(engine)
