import base64
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from patchmill.job.state import State
from patchmill.store.ids import new_id
from tests.support.api import Api, User, finding, fix_request


def listed(user: User, **parameters: Any) -> list[str]:
    response = user.http.get("/v1/jobs", params=parameters)
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.json()["data"]]


def test_a_job_can_be_read(user: User) -> None:
    job = user.submit()

    assert user.http.get(f"/v1/jobs/{job['id']}").json() == job


@pytest.mark.parametrize(
    "job", ["job_", "job_1", "prj_" + "0" * 32, "job_" + "A" * 32, "job_" + "0" * 32, "x"]
)
def test_an_unknown_job_is_not_found(user: User, job: str) -> None:
    for response in (
        user.http.get(f"/v1/jobs/{job}"),
        user.http.get(f"/v1/jobs/{job}", params={"wait": 5}),
        user.http.get(f"/v1/jobs/{job}/suggestions"),
        user.http.post(f"/v1/jobs/{job}/cancel"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_another_projects_job_is_as_if_it_were_not_there(api: Api, user: User) -> None:
    other = User(api)
    job = other.submit()["id"]

    assert user.http.get(f"/v1/jobs/{job}").status_code == 404
    assert user.http.get(f"/v1/jobs/{job}/suggestions").status_code == 404
    assert user.http.post(f"/v1/jobs/{job}/cancel").status_code == 404
    assert listed(user) == []
    assert other.http.get(f"/v1/jobs/{job}").json()["state"] == "queued"
    other.http.close()


def test_the_list_is_newest_first_and_goes_on_from_its_cursor(user: User) -> None:
    made = [user.submit()["id"] for _ in range(5)]

    first = user.http.get("/v1/jobs", params={"limit": 2}).json()
    second = user.http.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    third = user.http.get("/v1/jobs", params={"limit": 2, "cursor": second["next_cursor"]}).json()

    pages = [[job["id"] for job in page["data"]] for page in (first, second, third)]
    assert pages == [made[4:2:-1], made[2:0:-1], made[:1]]
    assert third["next_cursor"] is None


def test_the_list_is_narrowed_by_every_filter(user: User) -> None:
    queued = user.submit(fix_request(findings=[finding(rule="E501")], labels={"team": "a.b"}))["id"]
    ended = user.submit(
        fix_request(
            file={"path": "lib/100%_sure.py", "content": "x = 1\n"},
            findings=[finding(start_line=1, end_line=1)],
            origin={"repository": "acme/app"},
        )
    )["id"]
    user.run(ended)
    user.succeed(ended, outcome="partial")
    annotated = user.submit({"kind": "annotate", "file": {"path": "a.py", "content": ""}, "what": ["types"]})[
        "id"
    ]

    assert listed(user, state="succeeded") == [ended]
    assert listed(user, kind="annotate") == [annotated]
    assert listed(user, outcome="partial") == [ended]
    assert listed(user, rule="E501") == [queued]
    assert listed(user, repository="acme/app") == [ended]
    assert listed(user, **{"label.team": "a.b"}) == [queued]
    assert listed(user, **{"label.team": "other"}) == []
    assert listed(user, q="100%_") == [ended]
    assert listed(user, project=f"prj_{user.project_id.hex}") == [annotated, ended, queued]
    assert listed(user, project=f"prj_{new_id().hex}") == []
    assert listed(user, run=f"run_{new_id().hex}") == []
    assert listed(user, state="queued", kind="fix") == [queued]


def test_the_list_is_narrowed_by_time(user: User) -> None:
    first, second = user.submit(), user.submit()

    assert listed(user, created_after=first["created_at"]) == [second["id"]]
    assert listed(user, created_before=second["created_at"]) == [first["id"]]
    assert listed(user, created_after="2020-01-01T00:00:00+02:00") == [second["id"], first["id"]]


@pytest.mark.parametrize(
    ("parameters", "pointer", "code"),
    [
        ({"stat": "queued"}, "/query/stat", "unknown_field"),
        ({"label.": "x"}, "/query/label.", "unknown_field"),
        ({"state": "sleeping"}, "/query/state", "not_allowed"),
        ({"limit": "0"}, "/query/limit", "out_of_range"),
        ({"limit": "201"}, "/query/limit", "out_of_range"),
        ({"limit": "many"}, "/query/limit", "wrong_type"),
        ({"limit": "9" * 5000}, "/query/limit", "wrong_type"),
        ({"cursor": "!"}, "/query/cursor", "not_allowed"),
        ({"cursor": base64.b64encode(b"short").decode()}, "/query/cursor", "not_allowed"),
        ({"cursor": "\u00e4"}, "/query/cursor", "not_allowed"),
        ({"run": "1"}, "/query/run", "not_allowed"),
        ({"project": "default"}, "/query/project", "not_allowed"),
        ({"created_after": "2026-11-22T12:00:00"}, "/query/created_after", "wrong_type"),
        ({"created_after": "1763812800"}, "/query/created_after", "wrong_type"),
        ({"created_before": "2026-02-30T12:00:00Z"}, "/query/created_before", "out_of_range"),
        ({"created_before": "0001-01-01T00:00:00+10:00"}, "/query/created_before", "out_of_range"),
        ({"q": "\0"}, "/query/q", "not_allowed"),
        ({"label.a": "\0"}, "/query/label.a", "not_allowed"),
        ({"q": "x" * 201}, "/query/q", "too_long"),
    ],
)
def test_a_wrong_filter_is_refused(user: User, parameters: dict[str, str], pointer: str, code: str) -> None:
    response = user.http.get("/v1/jobs", params=parameters)

    assert response.status_code == 422, response.text
    errors = response.json()["errors"]
    assert [(error["pointer"], error["code"]) for error in errors] == [(pointer, code)]


@pytest.mark.parametrize("query", ["kind=fix&kind=annotate", "limit=1&limit=2", "label.a=1&label.a=2"])
def test_a_filter_that_is_there_twice_is_refused(user: User, query: str) -> None:
    response = user.http.get(f"/v1/jobs?{query}")

    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"


def test_an_unknown_filter_is_answered_with_the_nearest_known_one(user: User) -> None:
    errors = user.http.get("/v1/jobs", params={"stat": "queued"}).json()["errors"]

    assert errors[0]["detail"].endswith("did you mean `state`?")


def test_a_queued_job_is_cancelled_at_once(user: User) -> None:
    job = user.submit()["id"]

    cancelled = user.http.post(f"/v1/jobs/{job}/cancel").json()

    assert (cancelled["state"], cancelled["cancel_requested"]) == ("cancelled", True)
    assert cancelled["finished_at"] is not None


def test_a_running_job_is_asked_to_stop(user: User) -> None:
    job = user.submit()["id"]
    user.run(job)

    asked = user.http.post(f"/v1/jobs/{job}/cancel").json()

    assert (asked["state"], asked["cancel_requested"], asked["attempt"]) == ("running", True, 1)


def test_a_job_that_has_ended_stays_as_it_is(user: User) -> None:
    job = user.submit()["id"]
    user.run(job)
    user.succeed(job)

    assert user.http.post(f"/v1/jobs/{job}/cancel").json()["state"] == "succeeded"


def test_a_waiting_job_says_why_and_until_when(user: User) -> None:
    job = user.submit()["id"]
    user.run(job)
    user.move(job, State.RUNNING, State.QUEUED, worker_id=None, wait_reason="budget")

    waiting = user.http.get(f"/v1/jobs/{job}").json()

    assert (waiting["state"], waiting["wait_reason"]) == ("queued", "budget")
    assert waiting["run_at"] is not None


def test_a_failed_job_says_why(user: User) -> None:
    job = user.submit()["id"]
    error = {"code": "over_budget", "message": "no", "retryable": False, "details": {"budget": "bud_1"}}
    user.run(job)
    user.move(job, State.RUNNING, State.FAILED, worker_id=None, error=error, finished_at="now()")

    assert user.http.get(f"/v1/jobs/{job}").json()["error"] == error


def timed(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    response = ask()
    return response, time.monotonic() - began


def test_waiting_for_a_job_that_has_ended_answers_at_once(user: User) -> None:
    job = user.submit()["id"]
    user.http.post(f"/v1/jobs/{job}/cancel")

    response, seconds = timed(lambda: user.http.get(f"/v1/jobs/{job}", params={"wait": 60}))

    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert seconds < 30


def test_waiting_ends_with_the_current_document_when_the_time_is_over(user: User) -> None:
    job = user.submit()["id"]

    response, seconds = timed(lambda: user.http.get(f"/v1/jobs/{job}", params={"wait": 0.4}))

    assert (response.status_code, response.json()["state"]) == (200, "queued")
    assert 0.4 <= seconds < 30


def test_all_who_wait_are_told_when_the_job_ends(user: User) -> None:
    job = user.submit()["id"]
    user.run(job)
    answers: list[tuple[httpx.Response, float]] = []

    def wait() -> None:
        answers.append(timed(lambda: user.http.get(f"/v1/jobs/{job}", params={"wait": 30})))

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    user.succeed(job)
    for thread in threads:
        thread.join()

    assert [response.json()["state"] for response, _ in answers] == ["succeeded"] * 20
    assert max(seconds for _, seconds in answers) < 25


@pytest.mark.parametrize("wait", ["-1", "60.1", "nan", "inf", "soon"])
def test_a_wrong_wait_is_refused(user: User, wait: str) -> None:
    job = user.submit()["id"]

    response = user.http.get(f"/v1/jobs/{job}", params={"wait": wait})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/query/wait")
