from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from api.dashboard.sentences import REASONS
from patchmill.budget.ledger import Spent
from patchmill.job.circuit import GATEWAY, Condition, Trip, Why
from patchmill.job.slots import SlotReport
from patchmill.queue.slots import SlotLeases
from patchmill.store import circuits, ledger
from patchmill.store.ids import to_edge
from patchmill.store.tables import audit, calls, jobs
from tests.support.api import Api, User, job_uuid, running_api
from tests.support.claimed import admitted, claimed
from tests.support.visitor import Visitor, visible

FLASH, PRO = "deepseek-v4-flash", "deepseek-v4-pro"
OF_MODEL = {Why.FAILING, Why.MODEL_NOT_FOUND, Why.MODEL_NOT_IN_GROUP, Why.OVERRUN}


@pytest.fixture
def own_api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API of this test alone, since the gateway is everybody's."""
    with running_api(database_url, redis_url, tmp_path, gateway_concurrency=8) as running:
        yield running


@pytest.fixture
def own_admin(own_api: Api) -> Iterator[Visitor]:
    made = Visitor(own_api)
    yield made
    made.http.close()


@pytest.fixture
def own_viewer(own_api: Api) -> Iterator[Visitor]:
    made = Visitor(own_api, role="viewer")
    yield made
    made.http.close()


@pytest.fixture
def own_user(own_api: Api) -> Iterator[User]:
    made = User(own_api)
    yield made
    made.http.close()


def trip(api: Api, why: Why, *, name: str = GATEWAY, until_s: float | None = None, message: str = "") -> None:
    state = Condition.DOWN if why in {Why.UNREACHABLE, Why.FAILING} else Condition.PAUSED
    if why in {Why.MODEL_NOT_FOUND, Why.MODEL_NOT_IN_GROUP}:
        state = Condition.OFF
    what = Trip(name=name, state=state, why=why, message=message, until_s=until_s)
    with api.engine.begin() as connection:
        assert circuits.trip(connection, what, probe_after_s=None if until_s else 30)


def waiting(user: User, reason: str) -> str:
    """Give a job that waits for a quarter of an hour."""
    job: str = user.submit()["id"]
    with user.api.engine.begin() as connection:
        later = func.now() + func.make_interval(0, 0, 0, 0, 0, 15)
        connection.execute(
            update(jobs).where(jobs.c.id == job_uuid(job)).values(wait_reason=reason, run_at=later)
        )
    return job


@pytest.mark.parametrize("why", [*Why])
def test_each_reason_is_told_in_words_with_what_to_do(own_api: Api, own_viewer: Visitor, why: Why) -> None:
    name = PRO if why in OF_MODEL else GATEWAY
    trip(own_api, why, name=name, until_s=600 if why is Why.SPEND_CAP else None, message="<b>no</b>")

    page = own_viewer.text("/spend")

    text = visible(page)
    assert REASONS[why].what.replace("{model}", PRO) in text
    assert REASONS[why].advice in text
    assert "<b>no</b>" in text
    assert ("goes on at" if why is Why.SPEND_CAP else "the next try is at") in text
    assert str(why) not in text
    assert "/gateway/resume" not in page


def test_every_page_tells_it_and_errors_do(own_api: Api, own_user: User, own_admin: Visitor) -> None:
    jobs_of = [waiting(own_user, "gateway_account"), waiting(own_user, "paused")]
    waiting(own_user, "budget")
    for address in ("/", "/jobs", "/runs", "/spend", "/gateway", f"/jobs/{jobs_of[0]}"):
        assert "The wallet" not in own_admin.text(address), address
    trip(own_api, Why.INSUFFICIENT_BALANCE)

    for address in ("/", "/jobs", "/runs", "/spend", "/gateway", f"/jobs/{jobs_of[0]}"):
        text = visible(own_admin.text(address))
        assert "The wallet at the gateway is empty." in text, address
        assert "2 jobs wait." in text, address
    assert "The wallet" in own_admin.text("/jobs/job_x", 404)
    assert "The wallet" not in own_admin.text("/docs")


def test_only_models_that_jobs_climb_to_are_told_of(own_api: Api, own_viewer: Visitor) -> None:
    trip(own_api, Why.MODEL_NOT_FOUND, name="some-other")
    assert "some-other" not in own_viewer.text("/jobs")
    assert "The gateway knows no model some-other" in visible(own_viewer.text("/gateway"))

    trip(own_api, Why.FAILING, name=FLASH)

    assert f"The model {FLASH} fails again and again." in visible(own_viewer.text("/jobs"))


def test_an_administrator_resumes_and_the_jobs_are_due(
    own_api: Api, own_user: User, own_admin: Visitor, own_viewer: Visitor
) -> None:
    trip(own_api, Why.INVALID_API_KEY)
    trip(own_api, Why.FAILING, name=PRO)
    job = waiting(own_user, "gateway_account")
    assert own_viewer.send("/gateway/resume").status_code == 403
    assert own_user.http.get("/v1/gateway").json()["state"] == "paused"

    back = own_admin.send("/gateway/resume", circuit=GATEWAY, back="/jobs?state=queued")

    assert (back.status_code, back.headers["location"]) == (303, "/jobs?state=queued")
    assert own_user.http.get("/v1/gateway").json()["state"] == "ok"
    due = own_user.http.get(f"/v1/jobs/{job}").json()["run_at"]
    assert datetime.fromisoformat(due) <= datetime.now(UTC)
    assert own_admin.send("/gateway/resume", circuit=PRO).headers["location"] == "/gateway"
    assert own_admin.send("/gateway/resume", circuit="nothing\ud7ff").status_code == 303
    assert audited(own_api) == [
        (f"user:{own_admin.name}", "gateway.resume", GATEWAY, {}),
        (f"user:{own_admin.name}", "gateway.resume", PRO, {}),
    ]


def test_an_administrator_pauses_with_a_reason(
    own_api: Api, own_user: User, own_admin: Visitor, own_viewer: Visitor
) -> None:
    assert "/gateway/pause" in own_admin.text("/gateway")
    assert "/gateway/pause" not in own_viewer.text("/gateway")

    back = own_admin.send("/gateway/pause", reason="the bill")

    assert (back.status_code, back.headers["location"]) == (303, "/gateway")
    gateway = own_user.http.get("/v1/gateway").json()
    assert (gateway["state"], gateway["reason"], gateway["message"]) == ("paused", "operator", "the bill")
    assert "/gateway/pause" not in own_admin.text("/gateway")
    assert "the bill" in visible(own_viewer.text("/"))
    assert audited(own_api) == [(f"user:{own_admin.name}", "gateway.pause", GATEWAY, {"reason": "the bill"})]


def test_the_page_shows_slots_money_outcomes_oddities_and_the_cache(
    own_api: Api, own_viewer: Visitor, redis_url: str
) -> None:
    empty = visible(own_viewer.text("/gateway"))
    assert "Call slots 0 of 8" in empty
    assert "The gateway has not said what is left" in empty
    assert "No call was answered." in empty
    said = {
        "limit_usd": "20.00",
        "remaining_usd": "1.500000",
        "resets_at": "2026-11-22T14:00:00+00:00",
        "key_remaining_usd": None,
        "account_remaining_usd": "0E-6",
    }
    with own_api.engine.begin() as connection:
        circuits.note_quota(connection, said)
    end_calls(own_api)
    leases = SlotLeases(redis_url)
    report = SlotReport(limit=8, used=3, urgent_used=0, urgent_waiting=0, bulk_waiting=0, refused=None)
    share = leases.share("one", report, cap=8, mark="")
    leases.share(
        "one",
        SlotReport(limit=8, used=3, urgent_used=0, urgent_waiting=0, bulk_waiting=0, refused=share.mark),
        cap=8,
        mark=share.mark,
    )
    leases.close()

    page = own_viewer.text("/gateway")

    text = visible(page)
    for part in (
        "Call slots 3 of 4 cut from 8",
        "Nearest spend cap $20 Left to that cap $1.5 Left in the wallet $0",
        "the window of that cap ends at 2026-11-22 14:00:00",
        f"{FLASH} answered 1",
        f"{FLASH} server 1",
        "Another model's name came back 1",
        f"{FLASH} fix/search_replace/ab 1 1,000 250 25 %",
        f"{GATEWAY} ok",
        f"{PRO} ok",
    ):
        assert part in text, part
    assert "Left on the key" not in text
    assert '<rect x="0.0" width="25.0" height="8" class="settled"/>' in page


def end_calls(api: Api) -> str:
    """Make one job with a call that the gateway refused and one that was answered; give the job."""
    claim = claimed(api.engine)
    refused = ledger.Ending(
        billed=False,
        phase="rejected",
        spent=None,
        values={"failure": "server", "message": "HTTP 502", "queue_ms": 4, "total_ms": 90},
    )
    answered = ledger.Ending(
        billed=True,
        phase="answered",
        spent=Spent(input_tokens=1_000, cached_tokens=250, output_tokens=7),
        values={
            "reply": "text",
            "finish_reason": "stop",
            "anomalies": ["model_differs"],
            "queue_ms": 12,
            "first_token_ms": 340,
            "total_ms": 1_560,
        },
    )
    for rung, ending in (("first", refused), ("fallback", answered)):
        call_id = admitted(api.engine, claim)
        with api.engine.begin() as connection:
            ledger.end_call(connection, claim.job_id, call_id, ending)
            prompt = "fix/search_replace/ab"
            connection.execute(
                update(calls).where(calls.c.id == call_id).values(rung=rung, prompt_version=prompt)
            )
    skipped = [{"rung": "escalation", "model": PRO, "reason": "budget_exhausted"}]
    with api.engine.begin() as connection:
        connection.execute(update(jobs).where(jobs.c.id == claim.job_id).values(skipped_rungs=skipped))
    return to_edge("job", claim.job_id)


def test_a_job_shows_the_ladder_as_it_went(own_api: Api, own_viewer: Visitor) -> None:
    job = end_calls(own_api)

    text = visible(own_viewer.text(f"/jobs/{job}"))

    assert f"1 first {FLASH} void server: HTTP 502 0 0 0 $0" in text
    assert f"2 fallback {FLASH} settled stop odd: another model's name came back 1,000 250 25 % 7" in text
    assert "12 ms 340 ms 1.6 s" in text
    assert f"No escalation by {PRO}: a budget was spent." in text


def test_a_job_that_waits_says_why_and_when_it_goes_on(
    own_api: Api, own_user: User, own_viewer: Visitor
) -> None:
    job = waiting(own_user, "budget")
    capped = waiting(own_user, "rate_limit")
    trip(own_api, Why.SPEND_CAP, until_s=3_600)

    assert "A budget has no room; goes on when there is room" in visible(own_viewer.text(f"/jobs/{job}"))
    until = own_user.http.get("/v1/gateway").json()["resumes_at"]
    told = visible(own_viewer.text(f"/jobs/{capped}"))
    at = datetime.fromisoformat(until).astimezone(UTC)
    assert f"The API key has reached a spend cap of the gateway; goes on at {at:%Y-%m-%d %H:%M:%S}" in told
    assert "1 job waits." in told


def audited(api: Api) -> list[tuple[str, str, str, object]]:
    with api.engine.connect() as connection:
        rows = connection.execute(
            select(audit).where(audit.c.action.like("gateway.%")).order_by(audit.c.at, audit.c.subject)
        )
        return [(row.actor, row.action, row.subject, row.details) for row in rows]
