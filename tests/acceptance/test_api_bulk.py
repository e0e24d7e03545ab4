"""Many jobs retried and cancelled at once: counted first, done only if they are as many as expected."""

from typing import Any

import pytest
from sqlalchemy import func, select, text

from patchmill.job.state import State
from patchmill.store import bulk
from patchmill.store.ids import to_edge
from patchmill.store.tables import audit, events
from tests.support.api import Api, User, fix_request, job_uuid

UNAVAILABLE = {"code": "gateway_unavailable", "message": "it was away", "retryable": True, "details": {}}
DECLINED = {"code": "model_declined", "message": "it would not", "retryable": False, "details": {}}


def failed(user: User, error: dict[str, Any] = UNAVAILABLE, **labels: str) -> str:
    job: str = user.submit(fix_request(labels=labels))["id"]
    user.run(job)
    user.move(job, State.RUNNING, State.FAILED, error=error, worker_id=None, finished_at=func.now())
    return job


def states(user: User) -> dict[str, int]:
    with user.api.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT state, count(*) AS n FROM jobs WHERE project_id = :project GROUP BY state"),
            {"project": user.project_id},
        )
        return {row.state: row.n for row in rows}


def audited(user: User) -> list[tuple[str, str, Any]]:
    with user.api.engine.connect() as connection:
        rows = connection.execute(
            select(audit).where(audit.c.subject == to_edge("prj", user.project_id)).order_by(audit.c.id)
        )
        return [(row.actor, row.action, row.details) for row in rows]


def test_without_an_expected_number_jobs_are_only_counted(user: User) -> None:
    for _ in range(3):
        failed(user)
    failed(user, DECLINED)
    user.submit()

    counted = user.http.post("/v1/jobs/retry", json={"state": "failed"}).json()

    assert (counted["matched"], counted["done"], counted["left"]) == (4, 0, 4)
    assert counted["sorts"] == [
        {"state": "failed", "outcome": None, "error": "gateway_unavailable", "jobs": 3},
        {"state": "failed", "outcome": None, "error": "model_declined", "jobs": 1},
    ]
    assert states(user) == {"failed": 4, "queued": 1}
    assert audited(user) == []


def test_all_that_match_are_retried_in_batches_with_their_events_and_one_audit_row(
    user: User, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)
    mine = [failed(user, team="core") for _ in range(5)]
    kept = failed(user, team="web")
    other = User(api)
    others = failed(other, team="core")
    verified = user.submit(fix_request(labels={"team": "core"}))["id"]
    user.run(verified)
    user.succeed(verified)
    asked = {"labels": {"team": "core"}, "created_after": "2020-01-01T00:00:00Z"}
    as_of = user.http.post("/v1/jobs/retry", json=asked).json()["as_of"]

    done = user.http.post("/v1/jobs/retry", json={**asked, "expect": 5, "as_of": as_of}).json()

    assert (done["matched"], done["done"], done["left"]) == (5, 5, 0)
    for job in mine:
        document = user.http.get(f"/v1/jobs/{job}").json()
        assert (document["state"], document["error"], document["finished_at"]) == ("queued", None, None)
        with api.engine.connect() as connection:
            last = connection.execute(
                select(events.c.data).where(events.c.job_id == job_uuid(job)).order_by(events.c.seq.desc())
            ).first()
        assert last is not None
        assert (last.data["from"], last.data["to"]) == ("failed", "queued")
    assert user.http.get(f"/v1/jobs/{kept}").json()["state"] == "failed"
    assert other.http.get(f"/v1/jobs/{others}").json()["state"] == "failed"
    [(actor, action, details)] = audited(user)
    assert (actor, action) == (to_edge("key", user.key_id), "jobs.retry")
    assert details["jobs"] == 5
    assert details["filter"]["labels"] == {"team": "core"}

    again = user.http.post("/v1/jobs/retry", json={**asked, "expect": 5, "as_of": as_of})

    assert again.status_code == 409
    assert "0 jobs match, not 5" in again.json()["detail"]
    assert user.http.post("/v1/jobs/retry", json={**asked, "expect": 0}).json()["done"] == 0
    assert len(audited(user)) == 1
    other.http.close()


def test_another_number_than_expected_is_a_conflict_and_nothing_is_done(user: User) -> None:
    failed(user)
    failed(user)

    refused = user.http.post("/v1/jobs/retry", json={"state": "failed", "expect": 3})

    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert refused.json()["detail"] == "2 jobs match, not 3; nothing was done"
    assert states(user) == {"failed": 2}


def test_what_fails_after_the_count_is_not_one_of_them(user: User) -> None:
    first = failed(user)
    as_of = user.http.post("/v1/jobs/retry", json={"state": "failed"}).json()["as_of"]
    later = failed(user)

    done = user.http.post("/v1/jobs/retry", json={"state": "failed", "expect": 1, "as_of": as_of}).json()

    assert (done["matched"], done["done"]) == (1, 1)
    assert user.http.get(f"/v1/jobs/{first}").json()["state"] == "queued"
    assert user.http.get(f"/v1/jobs/{later}").json()["state"] == "failed"


def test_a_part_is_done_and_the_rest_is_asked_for_again(user: User) -> None:
    for _ in range(5):
        failed(user)
    as_of = user.http.post("/v1/jobs/retry", json={"state": "failed"}).json()["as_of"]
    asked = {"state": "failed", "as_of": as_of, "limit": 3}

    first = user.http.post("/v1/jobs/retry", json={**asked, "expect": 5}).json()
    second = user.http.post("/v1/jobs/retry", json={**asked, "expect": first["left"]}).json()

    assert (first["done"], first["left"]) == (3, 2)
    assert (second["done"], second["left"]) == (2, 0)
    assert states(user) == {"queued": 5}


def test_many_are_cancelled_those_that_wait_at_once_and_those_that_run_by_asking(user: User) -> None:
    made = user.http.post(
        "/v1/webhooks", json={"url": "https://hooks.example.org/in", "events": ["job.cancelled"]}
    )
    waiting = [user.submit()["id"] for _ in range(2)]
    running = user.submit()["id"]
    user.run(running)
    ended = failed(user)

    done = user.http.post("/v1/jobs/cancel", json={"kind": "fix", "expect": 3}).json()

    assert (done["matched"], done["done"]) == (3, 3)
    assert [user.http.get(f"/v1/jobs/{job}").json()["state"] for job in waiting] == ["cancelled"] * 2
    asked = user.http.get(f"/v1/jobs/{running}").json()
    assert (asked["state"], asked["cancel_requested"]) == ("running", True)
    assert user.http.get(f"/v1/jobs/{ended}").json()["state"] == "failed"
    assert user.http.post("/v1/jobs/cancel", json={"kind": "fix"}).json()["matched"] == 0
    assert [(action, details["jobs"]) for _, action, details in audited(user)] == [("jobs.cancel", 3)]
    assert made.status_code == 201, made.text
    told = user.http.get(f"/v1/webhooks/{made.json()['id']}/deliveries").json()["data"]
    assert [each["type"] for each in told] == ["job.cancelled"] * 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"expect": 1}, ""),
        ({"state": "lost"}, "/state"),
        ({"error": "no_such"}, "/error"),
        ({"run": "run_x"}, "/run"),
        ({"state": "failed", "expect": -1}, "/expect"),
        ({"state": "failed", "limit": 10_001}, "/limit"),
        ({"state": "failed", "created_after": "yesterday"}, "/created_after"),
        ({"state": "failed", "project": "prj_1"}, "/project"),
    ],
)
def test_what_names_no_jobs_is_refused_with_its_place(user: User, body: dict[str, Any], pointer: str) -> None:
    answer = user.http.post("/v1/jobs/retry", json=body)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_many_jobs_need_a_key_that_may_write(api: Api) -> None:
    reader = User(api, ("jobs:read",))

    answers = [reader.http.post(f"/v1/jobs/{act}", json={"state": "failed"}) for act in ("retry", "cancel")]

    assert [each.status_code for each in answers] == [403, 403]
    reader.http.close()


def test_the_list_is_narrowed_by_the_code_of_the_error(user: User) -> None:
    away = failed(user)
    failed(user, DECLINED)

    listed = user.http.get("/v1/jobs", params={"error": "gateway_unavailable"}).json()["data"]

    assert [each["id"] for each in listed] == [away]
