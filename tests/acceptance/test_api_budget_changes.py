"""Budgets that are changed and ended, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from patchmill.job.state import State, WaitReason
from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import audit, jobs, windows
from tests.acceptance.test_api_budgets import BAD_MONEY, BAD_TOKENS, request_for
from tests.acceptance.test_api_prices import price
from tests.support.api import Api, User, job_uuid


def made(user: User, **changes: Any) -> dict[str, Any]:
    response = user.http.post("/v1/budgets", json=request_for(user, **changes))
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


def changed(user: User, budget: dict[str, Any], **changes: Any) -> dict[str, Any]:
    response = user.http.patch(f"/v1/budgets/{budget['id']}", json=changes)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    again = user.http.get(f"/v1/budgets/{budget['id']}").json()
    assert document | {"forecast": None} == again | {"forecast": None}  # what is used up is so at any moment
    return document


def told(api: Api, budget: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    with api.engine.connect() as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.details)
            .where(audit.c.subject == budget["id"])
            .order_by(audit.c.id)
        ).all()
    assert {actor.partition("_")[0] for actor, _, _ in rows} == {"key"}
    return [(action, details) for _, action, details in rows]


def test_each_field_is_changed_alone_and_written_down(api: Api, user: User) -> None:
    budget = made(user, limit={"usd": "5"})
    name = f"renamed {new_id()}"

    assert changed(user, budget, name=name)["name"] == name
    assert changed(user, budget, at_limit="fail")["at_limit"] == "fail"
    assert changed(user, budget, alert_percent=[95, 80])["alert_percent"] == [80, 95]
    assert changed(user, budget, limit={"usd": "7.5"})["limit"] == {"usd": "7.5", "tokens": None}
    both = changed(user, budget, limit={"tokens": 1_000_000})
    assert both["limit"] == {"usd": "7.5", "tokens": 1_000_000}
    assert changed(user, budget, limit={"usd": None})["limit"] == {"usd": None, "tokens": 1_000_000}
    last = changed(user, budget, alert_percent=[])

    assert (last["name"], last["at_limit"], last["alert_percent"]) == (name, "fail", [])
    actions = [action for action, _ in told(api, budget)]
    assert actions == ["budget.create", *["budget.change"] * 7]
    assert told(api, budget)[4] == ("budget.change", {"limit": {"usd": "7.5"}})


def test_what_changes_nothing_is_no_news(api: Api, user: User) -> None:
    budget = made(user, limit={"usd": "5"})

    assert changed(user, budget) == budget
    assert changed(user, budget, name=budget["name"], limit={"usd": "5.0"}, at_limit="wait") == budget

    assert [action for action, _ in told(api, budget)] == ["budget.create"]


def test_a_limit_below_what_is_spent_leaves_everything_but_room(api: Api, user: User) -> None:
    budget = made(user, limit={"usd": "1", "tokens": 10_000})
    counters = {"settled_picos": 6 * 10**11, "held_picos": 10**11, "settled_tokens": 5_000, "held_tokens": 10}
    caps = {"cap_picos": 10**12, "cap_tokens": 10_000}
    with api.engine.begin() as connection:
        connection.execute(
            insert(windows).values(
                id=new_id(),
                budget_id=from_edge("bud", budget["id"]),
                starts_at=datetime.fromisoformat(budget["window"]["starts_at"]),
                **counters,
                **caps,
            )
        )

    lower = changed(user, budget, limit={"usd": "0.3", "tokens": 2_000})

    assert lower["available"] == {"usd": "0", "tokens": 0}
    assert (lower["settled"], lower["held"]) == (
        {"usd": "0.6", "tokens": 5_000},
        {"usd": "0.1", "tokens": 10},
    )
    with api.engine.connect() as connection:
        row = connection.execute(
            select(windows).where(windows.c.budget_id == from_edge("bud", budget["id"]))
        ).mappings()
        assert {
            name: value for name, value in row.one().items() if name in counters | caps
        } == counters | caps


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        *(({"limit": {"usd": usd}}, "/limit/usd") for usd in BAD_MONEY),
        *(({"limit": {"tokens": tokens}}, "/limit/tokens") for tokens in BAD_TOKENS),
        ({"limit": {"usd": None}}, "/limit"),
        ({"limit": {"usd": None, "tokens": None}}, "/limit"),
        ({"name": ""}, "/name"),
        ({"at_limit": "stop"}, "/at_limit"),
        ({"alert_percent": [50, 50]}, "/alert_percent"),
        ({"window": {"kind": "day"}}, "/window"),
        ({"scope": {"kind": "installation"}}, "/scope"),
    ],
)
def test_a_wrong_change_changes_nothing(user: User, body: dict[str, Any], pointer: str) -> None:
    budget = made(user)

    response = user.http.patch(f"/v1/budgets/{budget['id']}", json={"alert_percent": [7], **body})

    assert response.status_code == 422, response.text
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert user.http.get(f"/v1/budgets/{budget['id']}").json() == budget


def test_a_name_of_another_budget_is_refused_and_one_of_an_ended_one_is_free(user: User) -> None:
    first, second = made(user), made(user)

    refused = user.http.patch(f"/v1/budgets/{second['id']}", json={"name": first["name"], "at_limit": "fail"})
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert user.http.get(f"/v1/budgets/{second['id']}").json() == second

    assert user.http.delete(f"/v1/budgets/{first['id']}").status_code == 204
    assert changed(user, second, name=first["name"])["name"] == first["name"]
    assert made(user, name=second["name"])["id"] not in {first["id"], second["id"]}


def test_an_ended_budget_is_gone(api: Api, user: User) -> None:
    budget = made(user)

    answers = [user.http.delete(f"/v1/budgets/{budget['id']}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert answers[0].content == b""
    assert user.http.get(f"/v1/budgets/{budget['id']}").status_code == 404
    assert user.http.patch(f"/v1/budgets/{budget['id']}", json={}).status_code == 404
    assert user.http.get("/v1/budgets").json()["data"] == []
    assert told(api, budget)[-1] == ("budget.end", {"name": budget["name"]})


def test_only_an_admin_of_the_project_changes_and_ends(api: Api, user: User) -> None:
    budget = made(user)
    other, reader = User(api), User(api, ("jobs:read", "jobs:write"))

    for someone, status in ((other, 404), (reader, 403)):
        assert someone.http.patch(f"/v1/budgets/{budget['id']}", json={}).status_code == status
        assert someone.http.delete(f"/v1/budgets/{budget['id']}").status_code == status
        someone.http.close()
    assert user.http.get(f"/v1/budgets/{budget['id']}").json() == budget


def waits_for_a_budget(api: Api, user: User) -> str:
    """Give a job that waits for a budget until a month is over."""
    waiting: str = user.submit()["id"]
    later = datetime.now(UTC) + timedelta(days=20)
    with api.engine.begin() as connection:
        row = update(jobs).where(jobs.c.id == job_uuid(waiting))
        connection.execute(row.values(wait_reason=WaitReason.BUDGET, run_at=later))
    return waiting


def is_due(user: User, job: str) -> bool:
    due = datetime.fromisoformat(user.http.get(f"/v1/jobs/{job}").json()["run_at"])
    return due < datetime.now(UTC) + timedelta(minutes=1)


def test_a_change_that_cannot_wake_those_who_wait_is_none(api: Api, user: User) -> None:
    budget, waiting = made(user), waits_for_a_budget(api, user)

    with api.engine.begin() as connection:
        connection.execute(text("LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE"))
        answer = user.http.delete(f"/v1/budgets/{budget['id']}")

    assert answer.status_code == 503
    assert not is_due(user, waiting)
    assert user.http.delete(f"/v1/budgets/{budget['id']}").status_code == 204
    assert is_due(user, waiting)


def test_those_who_wait_for_a_budget_look_again_when_a_price_is_added(
    api: Api, operator: User, user: User
) -> None:
    waiting = waits_for_a_budget(api, user)

    added = operator.http.post("/v1/prices", json=price())

    assert added.status_code == 201, added.text
    assert is_due(user, waiting)


@pytest.mark.parametrize("change", [{"limit": {"usd": "6"}}, {"at_limit": "fail"}, None])
def test_those_who_wait_for_a_budget_look_again_when_it_changes(
    api: Api, user: User, change: dict[str, Any] | None
) -> None:
    budget = made(user)
    later = datetime.now(UTC) + timedelta(days=20)
    waiting, retrying = user.submit()["id"], user.submit()["id"]
    for job, reason in ((waiting, WaitReason.BUDGET), (retrying, WaitReason.RETRY)):
        with api.engine.begin() as connection:
            connection.execute(
                update(jobs).where(jobs.c.id == job_uuid(job)).values(wait_reason=reason, run_at=later)
            )

    if change is None:
        user.http.delete(f"/v1/budgets/{budget['id']}")
    else:
        changed(user, budget, name=f"{budget['name']} still")
        assert user.http.get(f"/v1/jobs/{waiting}").json()["run_at"] is not None
        assert datetime.fromisoformat(user.http.get(f"/v1/jobs/{waiting}").json()["run_at"]) == later
        changed(user, budget, **change)

    due = datetime.fromisoformat(user.http.get(f"/v1/jobs/{waiting}").json()["run_at"])
    assert due < datetime.now(UTC) + timedelta(minutes=1)
    assert datetime.fromisoformat(user.http.get(f"/v1/jobs/{retrying}").json()["run_at"]) == later
    assert user.http.get(f"/v1/jobs/{waiting}").json()["state"] == State.QUEUED
