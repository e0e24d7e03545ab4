"""Real workers hold the gateway's account against the ledger, with nobody's help."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from patchmill.budget.reconciliation import HOUR, hour_of
from patchmill.store.engine import open_engine
from tests.support.command import Command
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = pytest.mark.slow

_MOVE = "UPDATE calls SET sent_at = sent_at + :d, ended_at = ended_at + :d, deadline_at = deadline_at + :d"
_AGAIN = "UPDATE accounts SET next_at = now(), known_since = now() - interval '1 day'"
_STOOD = "UPDATE reconciliations SET billed_since = billed_since - interval '2 h'"


def gateway(stack: Stack) -> Any:
    with stack.http() as http:
        return http.get("/v1/gateway").json()


def execute(engine: Engine, statement: str, **parameters: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def test_workers_end_an_uncertain_call_by_the_account_that_is_theirs_alone(
    stack: Stack, patchmill: Command
) -> None:
    stack.settings["PATCHMILL_GATEWAY_ACCOUNT_EXCLUSIVE"] = "true"
    stack.start_api()
    for _ in range(2):
        stack.start("worker")
    until(lambda: gateway(stack)["balance"], "the first look at the account")
    stack.behave(faults=[{"fault": "html_200"}])
    job = stack.run(mutable_default(1))
    assert job["usage"]["uncertain_usd"] != "0"
    assert gateway(stack)["reconciliation"]["uncertain_calls"] == 1
    engine = open_engine(stack.database_url, pool_size=1)
    shift = hour_of(datetime.now(UTC)) - 2 * HOUR + timedelta(minutes=30) - datetime.now(UTC)
    execute(engine, _MOVE, d=shift)
    stack.behave(account={"clock_s": shift.total_seconds()})

    execute(engine, _AGAIN)
    until(lambda: gateway(stack)["forecast"]["spent_usd"] != "0", "the hour compared")
    assert gateway(stack)["reconciliation"]["uncertain_calls"] == 1
    execute(engine, _STOOD)
    execute(engine, _AGAIN)
    until(lambda: gateway(stack)["reconciliation"]["uncertain_calls"] == 0, "the call decided")

    with stack.http() as http:
        after = http.get(f"/v1/jobs/{job['id']}").json()["usage"]
        outcomes = [each["outcome"] for each in http.get(f"/v1/jobs/{job['id']}/calls").json()["data"]]
    truth = sum(row["cost_picos"] for row in stack.truth()["rows"])
    with engine.connect() as connection:
        settled = connection.scalar(text("SELECT sum(cost_picos) FROM calls"))
    engine.dispose()
    assert after["uncertain_usd"] == "0"
    assert outcomes == ["rejected", "answered"]
    assert settled == truth
    settings = {"PATCHMILL_SERVER_URL": stack.api_url, "PATCHMILL_SERVER_KEY": stack.key}
    assert "bill       agrees with the ledger" in patchmill("doctor", settings=settings).data


def test_an_account_that_fails_is_said_and_work_goes_on(stack: Stack, patchmill: Command) -> None:
    stack.behave(account={"fault": "hang"})
    stack.start_api()
    stack.start("worker")

    job = stack.run(mutable_default(1))

    assert job["state"] == "succeeded"
    stack.behave(account={"fault": "503"})
    stack.release()
    engine = open_engine(stack.database_url, pool_size=1)

    def unavailable() -> bool:
        execute(engine, _AGAIN)
        return bool(gateway(stack)["reconciliation"]["state"] == "unavailable")

    until(unavailable, "the trouble told")
    engine.dispose()
    assert gateway(stack)["reconciliation"]["message"]
    settings = {"PATCHMILL_SERVER_URL": stack.api_url, "PATCHMILL_SERVER_KEY": stack.key}
    assert "bill       cannot be read" in patchmill("doctor", settings=settings).data
