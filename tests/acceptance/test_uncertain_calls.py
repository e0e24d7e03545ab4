"""Uncertain calls over HTTP, by the command and on the page; what the account says, likewise."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from patchmill.budget.ledger import Amount
from patchmill.budget.reconciliation import HOUR, Use, hour_of
from patchmill.store import accounts, ledger, reconciliations
from patchmill.store.ids import to_edge
from patchmill.store.tables import audit, call_decisions, jobs
from tests.support.api import Api, User, running_api
from tests.support.claimed import admitted, claimed
from tests.support.command import Command, Done
from tests.support.visitor import Visitor, visible

HOLD = Amount(tokens=1_000, picos=10**9)
BILLED = {"billed": True, "usd": "0.0004", "input_tokens": 700, "output_tokens": 50, "reason": "request 4711"}
UNBILLED = {"billed": False, "reason": "support says so"}


@pytest.fixture
def own_api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API of this test alone, since the gateway's account is everybody's."""
    with running_api(database_url, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def user(own_api: Api) -> Iterator[User]:
    """Somebody of the project whose jobs `claimed` makes."""
    made = User(own_api, project="default")
    yield made
    made.http.close()


def uncertain_call(api: Api) -> str:
    """Make a call that broke off."""
    claim = claimed(api.engine)
    call_id = admitted(api.engine, claim, HOLD)
    values = {"failure": "stalled", "message": "no data came for 45 s"}
    lost = ledger.Ending(billed=None, phase="unknown", spent=None, values=values)
    with api.engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, lost)
    return to_edge("call", call_id)


def decide(user: User, call: str, body: Any) -> Any:
    return user.http.post(f"/v1/gateway/uncertain/{call}/decision", json=body)


def money(api: Api) -> tuple[int, int, int]:
    with api.engine.connect() as connection:
        [row] = connection.execute(select(jobs.c.held_picos, jobs.c.uncertain_picos, jobs.c.cost_picos))
    return tuple(row)


def test_a_call_is_listed_until_it_is_decided_and_the_decision_stays(own_api: Api, user: User) -> None:
    call = uncertain_call(own_api)
    [listed] = user.http.get("/v1/gateway/uncertain").json()["data"]

    answer = decide(user, call, BILLED)

    assert (listed["id"], listed["state"], listed["held"]) == (
        call,
        "uncertain",
        {"usd": "0.001", "tokens": 1_000},
    )
    assert listed["decision"] is None
    assert answer.status_code == 200, answer.text
    decided = answer.json()
    assert (decided["state"], decided["cost_usd"], decided["overrun_usd"]) == ("settled", "0.0004", "0")
    assert (decided["decision"]["ground"], decided["decision"]["reason"]) == ("operator", "request 4711")
    assert decided["decision"]["actor"] == to_edge("key", user.key_id)
    assert user.http.get("/v1/gateway/uncertain").json()["data"] == []
    assert money(own_api) == (0, 0, 4 * 10**8)
    with own_api.engine.connect() as connection:
        [row] = connection.execute(select(audit).where(audit.c.action == "call.decide")).mappings()
        kept = connection.execute(select(call_decisions)).mappings().one()
    assert (row["subject"], row["details"]["picos"]) == (call, 4 * 10**8)
    assert (kept["picos"], kept["input_tokens"], kept["output_tokens"]) == (4 * 10**8, 700, 50)


def test_what_was_not_billed_is_void(own_api: Api, user: User) -> None:
    answer = decide(user, uncertain_call(own_api), UNBILLED)

    assert answer.json()["state"] == "void"
    assert money(own_api) == (0, 0, 0)


def test_more_than_the_hold_is_said_to_be_overrun(own_api: Api, user: User) -> None:
    answer = decide(user, uncertain_call(own_api), {**BILLED, "usd": "0.0011"})

    assert (answer.json()["cost_usd"], answer.json()["overrun_usd"]) == ("0.0011", "0.0001")


def test_what_is_decided_is_decided_for_good(own_api: Api, user: User) -> None:
    call = uncertain_call(own_api)
    assert decide(user, call, UNBILLED).status_code == 200
    before = money(own_api)

    again = decide(user, call, BILLED)

    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")
    assert "it is void" in again.json()["detail"]
    assert money(own_api) == before
    with own_api.engine.begin() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("UPDATE call_decisions SET reason = 'another'"))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/billed", "/reason"}),
        ({"billed": True, "reason": "x"}, {"/usd", "/input_tokens", "/output_tokens"}),
        ({**UNBILLED, "usd": "1"}, {"/usd"}),
        ({**BILLED, "usd": "-1"}, {"/usd"}),
        ({**BILLED, "usd": "NaN"}, {"/usd"}),
        ({**BILLED, "usd": 0.1}, {"/usd"}),
        ({**BILLED, "usd": "1e3"}, {"/usd"}),
        ({**BILLED, "usd": "99999999999"}, {"/usd"}),
        ({**BILLED, "usd": "9223372.036854775807"}, {"/usd"}),
        ({**BILLED, "usd": "0.0000000000001"}, {"/usd"}),
        ({**BILLED, "input_tokens": -1}, {"/input_tokens"}),
        ({**BILLED, "output_tokens": 10**12}, {"/output_tokens"}),
        ({**BILLED, "output_tokens": "5"}, {"/output_tokens"}),
        ({**UNBILLED, "reason": "  "}, {"/reason"}),
        ({**UNBILLED, "reason": "x" * 501}, {"/reason"}),
        ({**UNBILLED, "cost": "1"}, {"/cost"}),
    ],
)
def test_a_decision_that_cannot_be_is_refused_and_changes_nothing(
    own_api: Api, user: User, body: Any, pointers: set[str]
) -> None:
    call = uncertain_call(own_api)
    before = money(own_api)

    answer = decide(user, call, body)

    assert answer.status_code == 422, answer.text
    assert {each["pointer"] for each in answer.json()["errors"]} == pointers
    assert money(own_api) == before


def test_another_projects_call_is_not_there_and_readers_decide_nothing(own_api: Api, user: User) -> None:
    call = uncertain_call(own_api)
    other, reader = User(own_api), User(own_api, ("jobs:read",), project="default")

    assert other.http.get("/v1/gateway/uncertain").json()["data"] == []
    assert decide(other, call, UNBILLED).status_code == 404
    assert decide(user, to_edge("call", uuid.uuid4()), UNBILLED).status_code == 404
    assert decide(reader, call, UNBILLED).status_code == 403
    assert len(reader.http.get("/v1/gateway/uncertain").json()["data"]) == 1
    other.http.close()
    reader.http.close()


def test_pages_of_uncertain_calls_go_on_from_a_cursor(own_api: Api, user: User) -> None:
    made = [uncertain_call(own_api) for _ in range(3)]

    first = user.http.get("/v1/gateway/uncertain", params={"limit": 2}).json()
    second = user.http.get(
        "/v1/gateway/uncertain", params={"limit": 2, "cursor": first["next_cursor"]}
    ).json()

    assert [each["id"] for each in first["data"] + second["data"]] == made[::-1]
    assert second["next_cursor"] is None


def look(api: Api, billed: dict[str, Use], *, left_usd: int = 10) -> datetime:
    """Store a look at an account that has been known for a day; give the hour that was compared."""
    now = datetime.now(UTC)
    hour = hour_of(now) - 2 * HOUR
    with api.engine.begin() as connection:
        accounts.meet(connection, "the account", now=now - timedelta(days=1))
        reconciliations.compare(connection, hour, billed, alone=True, now=now)
        accounts.note_balance(connection, left_usd * 10**12, low_balance=False, now=now)
    return hour


def test_the_gateways_document_tells_balance_forecast_and_drift(own_api: Api, user: User) -> None:
    before = user.http.get("/v1/gateway").json()
    spent = Use(calls=2, input_tokens=100, output_tokens=10, picos=10**12)
    hour = look(own_api, {"deepseek-v4-flash": spent})

    after = user.http.get("/v1/gateway").json()

    assert before["balance"] is None
    assert before["forecast"]["exhausted_at"] is None
    assert (before["reconciliation"]["state"], before["reconciliation"]["drift"]) == ("pending", [])
    assert after["balance"]["available_usd"] == "10"
    assert (after["forecast"]["spent_usd"], after["reconciliation"]["state"]) == ("1", "drift")
    used_up = datetime.fromisoformat(after["forecast"]["exhausted_at"])
    read_at = datetime.fromisoformat(after["balance"]["at"])
    assert used_up - read_at == timedelta(hours=10 * after["forecast"]["over_hours"])
    [drift] = after["reconciliation"]["drift"]
    assert datetime.fromisoformat(drift["hour"]) == hour
    assert drift["billed"] == {"calls": 2, "input_tokens": 100, "output_tokens": 10, "usd": "1"}
    assert drift["message"] == "2 calls more were billed than were made: $1 more"
    metrics = user.http.get("/metrics").text
    assert 'patchmill_drift_hours{model="deepseek-v4-flash"} 1.0' in metrics
    assert "patchmill_account_age_seconds" in metrics


def test_without_spending_nothing_says_when_the_balance_is_used_up(own_api: Api, user: User) -> None:
    look(own_api, {})

    document = user.http.get("/v1/gateway").json()

    assert document["forecast"]["exhausted_at"] is None
    assert document["reconciliation"]["state"] == "ok"


def test_the_page_shows_the_account_and_a_drift_stands_above_every_page(own_api: Api) -> None:
    look(own_api, {"deepseek-v4-flash": Use(calls=1, input_tokens=10, output_tokens=1, picos=10**12)})
    viewer = Visitor(own_api, role="viewer")

    page = visible(viewer.text("/gateway"))

    assert "$10 left in the wallet" in page
    assert "Used up about" in page
    assert "1 call more was billed than was made: $1 more" in page
    assert "The gateway's account and the ledger differ in 1 hour." in visible(viewer.text("/spend"))
    viewer.http.close()


def test_on_the_page_only_an_administrator_decides(own_api: Api) -> None:
    call = uncertain_call(own_api)
    admin, viewer = Visitor(own_api), Visitor(own_api, role="viewer")

    assert "Decide for good" not in viewer.text("/gateway")
    assert viewer.send("/gateway/decide", call=call, billed="no", reason="x").status_code == 403
    assert "Decide for good" in admin.text("/gateway")
    wrong = admin.send("/gateway/decide", call=call, billed="yes", usd="much", reason="x")
    assert wrong.status_code == 422
    assert money(own_api)[1] == HOLD.picos
    made = admin.send(
        "/gateway/decide",
        call=call,
        billed="yes",
        usd="0.0004",
        input_tokens="700",
        output_tokens="50",
        reason="request 4711",
    )
    assert made.status_code == 303
    assert money(own_api) == (0, 0, 4 * 10**8)
    assert "None: of every call it is known what it cost." in visible(admin.text("/gateway"))
    with own_api.engine.connect() as connection:
        assert connection.scalar(select(call_decisions.c.actor)) == f"user:{admin.name}"
    admin.http.close()
    viewer.http.close()


def test_the_command_lists_and_decides(own_api: Api, user: User, patchmill: Command) -> None:
    settings = {"PATCHMILL_SERVER_URL": own_api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}

    def run(*words: str) -> Done:
        return patchmill("calls", *words, settings=settings)

    call = uncertain_call(own_api)
    listed = run("uncertain")
    half = run("decide", call, "--billed", "0.1", "--reason", "x")
    bad = run(
        "decide", call, "--billed", "lots", "--input-tokens", "1", "--output-tokens", "1", "--reason", "x"
    )
    neither = run("decide", call, "--reason", "x")
    done = run("decide", call, "--not-billed", "--reason", "support says so")
    again = run("decide", call, "--not-billed", "--reason", "support says so")
    none = run("uncertain", "--json")

    assert (listed.code, listed.data.split()[0]) == (0, call)
    assert "$0.001 held  stalled" in listed.data
    assert (half.code, bad.code, neither.code) == (2, 2, 2)
    assert "--input-tokens and --output-tokens" in half.talk
    assert "US dollars as a decimal string" in bad.talk
    assert (done.code, done.talk.strip()) == (0, f"{call} is void: $0")
    assert again.code == 2
    assert "is not uncertain; it is void" in again.talk
    assert json.loads(none.data) == []
