"""What a budget does to a job: three answers, read through the API of the whole service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select

from patchmill.store import tables
from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import windows
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LIMIT = 20_000
NEARLY_ALL = 19_500


@pytest.fixture
def working(stack: Stack) -> Stack:
    stack.start_api()
    stack.start("worker")
    return stack


def budget(stack: Stack, engine: Engine, used: str, **changes: Any) -> dict[str, Any]:
    """Make a budget of which nearly all is used, in one of its ways."""
    body = {
        "name": f"budget {new_id()}",
        "scope": {"kind": "installation"},
        "window": {"kind": "month", "time_zone": "Europe/Berlin"},
        "limit": {"tokens": LIMIT},
        **changes,
    }
    with stack.http() as http:
        answer = http.post("/v1/budgets", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
    resets_at = made["window"]["resets_at"]
    with engine.begin() as connection:
        connection.execute(
            insert(windows).values(
                id=new_id(),
                budget_id=from_edge("bud", made["id"]),
                starts_at=datetime.fromisoformat(made["window"]["starts_at"]),
                resets_at=None if resets_at is None else datetime.fromisoformat(resets_at),
                cap_tokens=LIMIT,
                **{f"{used}_tokens": NEARLY_ALL},
            )
        )
    return made


def submit(stack: Stack, number: int = 0, **more: Any) -> str:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=mutable_default(number, **more))
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id


def waiting(stack: Stack, job_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job = read(stack, f"/v1/jobs/{job_id}")
        return job if job["wait_reason"] == "budget" else None

    job: dict[str, Any] = until(look, f"{job_id} waits for a budget")
    return job


def read(stack: Stack, path: str) -> Any:
    with stack.http() as http:
        answer = http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def events(engine: Engine, job_id: str) -> list[dict[str, Any]]:
    statement = select(tables.events.c.data).where(
        tables.events.c.job_id == from_edge("job", job_id), tables.events.c.type == "job.state"
    )
    with engine.connect() as connection:
        return list(connection.scalars(statement))


def exhausted(stack: Stack, webhook: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(stack, f"/v1/webhooks/{webhook}/deliveries")["data"]
    return [each for each in found if each["type"] == "budget.exhausted"]


def subscribe(stack: Stack) -> str:
    body = {"url": "https://hooks.example/in", "events": ["budget.alert", "budget.exhausted"]}
    with stack.http() as http:
        identity: str = http.post("/v1/webhooks", json=body).json()["id"]
        return identity


def test_a_job_waits_for_the_next_window_and_goes_on_when_the_limit_is_raised(
    working: Stack, engine: Engine
) -> None:
    hook = subscribe(working)
    made = budget(working, engine, "settled", alert_percent=[95])
    job_id, other = submit(working, 1), submit(working, 2)

    job = waiting(working, job_id)
    waiting(working, other)

    assert job["state"] == "queued"
    assert job["attempt"] == 1
    assert job["error"] is None
    resets_at = datetime.fromisoformat(made["window"]["resets_at"])
    assert abs(datetime.fromisoformat(job["run_at"]) - resets_at) < timedelta(minutes=1)
    assert len(exhausted(working, hook)) == 1
    seen = read(working, f"/v1/budgets/{made['id']}")
    until(lambda: len(read(working, f"/v1/budgets/{made['id']}")["alerts"]) == 2, "both alerts")
    assert seen["forecast"]["exhausted_at"] is None

    with working.http() as http:
        http.patch(f"/v1/budgets/{made['id']}", json={"limit": {"tokens": 200_000}})

    assert working.ended(job_id)["state"] == working.ended(other)["state"] == "succeeded"
    spent = read(working, f"/v1/budgets/{made['id']}")
    assert spent["settled"]["tokens"] > NEARLY_ALL
    assert made["id"] in [each.get("budget") for each in events(engine, job_id) if each["to"] == "queued"]
    assert len(exhausted(working, hook)) == 1


@pytest.mark.parametrize("window", [{"kind": "month"}, {"kind": "total"}])
def test_a_job_fails_for_a_window_that_is_used_up(
    working: Stack, engine: Engine, window: dict[str, str]
) -> None:
    hook = subscribe(working)
    # A total has no next window, so there is nothing to wait for.
    at_limit = "fail" if window["kind"] == "month" else "wait"
    made = budget(working, engine, "uncertain", window=window, at_limit=at_limit)

    job = working.ended(submit(working))

    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == (
        "failed",
        "budget_exhausted",
        True,
    )
    details = job["error"]["details"]
    assert details["budget"] == made["id"]
    assert job["error"]["message"].startswith(
        f"the budget `{made['name']}` (installation, {window['kind']}) leaves too little for one call: it "
    )
    if made["window"]["resets_at"] is None:
        assert details["resets_at"] is None
    else:
        assert datetime.fromisoformat(details["resets_at"]) == datetime.fromisoformat(
            made["window"]["resets_at"]
        )
    assert (job["wait_reason"], job["usage"]["calls"]) == (None, 0)
    assert len(exhausted(working, hook)) == 1


def test_a_job_waits_briefly_for_what_is_only_held(working: Stack, engine: Engine) -> None:
    hook = subscribe(working)
    budget(working, engine, "held", at_limit="fail")
    job_id = submit(working)

    job = waiting(working, job_id)

    assert job["error"] is None
    soon = datetime.fromisoformat(job["run_at"]) - datetime.now(UTC)
    assert soon < timedelta(minutes=1)
    with engine.begin() as connection:
        connection.execute(delete(windows).where(windows.c.held_tokens == NEARLY_ALL))
    assert working.ended(job_id)["state"] == "succeeded"
    assert exhausted(working, hook) == []


def test_a_job_that_no_window_could_take_fails_for_good(working: Stack) -> None:
    hook = subscribe(working)
    body = {"name": "small", "scope": {"kind": "installation"}, "window": {"kind": "month"}}
    with working.http() as http:
        refused = http.post("/v1/budgets", json={**body, "limit": {"tokens": 1}}).json()
        assert refused["code"] == "below_minimum_hold"
        smallest = int(refused["detail"].split(" holds ")[1].split(" ")[0])
        made = http.post("/v1/budgets", json={**body, "limit": {"tokens": smallest}}).json()

    job = working.ended(submit(working))

    assert (job["error"]["code"], job["error"]["retryable"]) == ("over_budget", False)
    assert job["error"]["details"]["budget"] == made["id"]
    assert job["error"]["message"].startswith(
        "one call needs more than the budget `small` (installation, month) allows at all: "
    )
    assert job["error"]["message"].endswith(f" tokens, and {smallest:,} of {smallest:,} are left")
    assert exhausted(working, hook) == []


def test_a_model_without_a_price_is_not_called_and_says_how_to_add_one(stack: Stack) -> None:
    stack.settings["PATCHMILL_MODEL"] = stack.settings["PATCHMILL_FALLBACK_MODEL"] = "model-of-next-year"
    stack.start_api()
    stack.start("worker")

    job = stack.ended(submit(stack))

    assert (job["error"]["code"], job["usage"]["calls"]) == ("over_budget", 0)
    assert "no price is known for model model-of-next-year" in job["error"]["message"]
    assert "`patchmill prices add model-of-next-year " in job["error"]["message"]
    assert stack.truth()["requests"] == 0
