from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.api import Api, User, fix_request
from tests.support.event_writing import cancel, new_run
from tests.support.requests import mutable_default, unique
from tests.support.stack import Stack

SECRET = "the_secret_of_this_file"


@pytest.fixture
def plain_stand_in(service: Stack) -> Iterator[None]:
    service.behave()
    yield
    service.behave()


def answer(search: str, replace: str) -> str:
    return f"A title\n\nWhy.\n\n```python\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n```\n"


def all_text(api: Api, user: User) -> str:
    """Give everything that is stored of the project's jobs, as text."""
    of_jobs = "job_id IN (SELECT id FROM jobs WHERE project_id = :project)"
    tables = {
        "jobs": "project_id = :project",
        "sources": "project_id = :project",
        "runs": "project_id = :project",
        **dict.fromkeys(("calls", "checks", "findings", "suggestions", "events"), of_jobs),
    }
    with api.engine.connect() as connection:
        return "\n".join(
            str(dict(row))
            for table, condition in tables.items()
            for row in connection.execute(
                text(f"SELECT * FROM {table} WHERE {condition}"), {"project": user.project_id}
            ).mappings()
        )


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.usefixtures("plain_stand_in")
def test_a_failed_job_is_asked_for_again_and_the_models_are_asked_anew(service: Stack) -> None:
    useless = answer("def absent():\n", "def present():\n")
    service.behave(script=[{"match": None, "content": useless, "times": 3}])
    failed = service.run(mutable_default(unique()))
    assert (failed["error"]["code"], failed["usage"]["calls"]) == ("unverified", 3)
    with service.http() as http:
        before = http.get(f"/v1/jobs/{failed['id']}/calls").json()["data"]

        asked = http.post(f"/v1/jobs/{failed['id']}/retry")

        assert asked.status_code == 202, asked.text
        assert (asked.json()["state"], asked.json()["error"]) == ("queued", None)
        job = service.ended(failed["id"])
        after = http.get(f"/v1/jobs/{failed['id']}/calls").json()["data"]

    assert (job["outcome"], job["usage"]["calls"], job["attempt"]) == ("verified", 4, 2)
    assert job["timings"]["total_ms"] < 60_000
    assert [call["reply"] for call in before] == [useless] * 3
    assert {rejected["check"] for call in before for rejected in call["rejected"]} == {"applies"}
    assert [call["attempt"] for call in after] == [1, 1, 1, 2]
    first, last = after[0], after[3]
    assert first["messages"] == last["messages"]
    assert (last["number"], last["outcome"], last["failure"], last["rejected"]) == (4, "answered", None, [])
    assert last["usage"]["output_tokens"] > 0
    assert float(last["held_usd"]) > float(last["cost_usd"]) > 0
    assert last["timings"]["total_ms"] is not None


@pytest.mark.usefixtures("plain_stand_in")
def test_after_a_failure_of_the_gateway_what_was_paid_is_not_bought_again(service: Stack) -> None:
    useless = answer("def absent():\n", "def present():\n")
    service.behave(
        script=[{"match": None, "content": useless, "times": 1}],
        faults=[{"fault": "400", "match": "not_found", "times": 1}],
    )
    failed = service.run(mutable_default(unique()))
    assert failed["error"]["code"] == "gateway_rejected"
    with service.http() as http:
        assert http.post(f"/v1/jobs/{failed['id']}/retry").status_code == 202
        job = service.ended(failed["id"])
        calls = http.get(f"/v1/jobs/{failed['id']}/calls").json()["data"]

    assert job["outcome"] == "verified"
    assert [(call["attempt"], call["outcome"]) for call in calls] == [
        (1, "answered"),
        (1, "rejected"),
        (2, "answered"),
    ]
    assert (calls[1]["failure"]["code"], calls[1]["failure"]["status"]) == ("request", 400)


def test_a_job_that_has_not_ended_is_neither_asked_for_again_nor_erased(user: User) -> None:
    job = user.submit()["id"]

    for _ in range(2):
        assert code(user.http.post(f"/v1/jobs/{job}/retry")) == (409, "state_conflict")
        assert code(user.http.delete(f"/v1/jobs/{job}/source")) == (409, "state_conflict")
        if user.http.get(f"/v1/jobs/{job}").json()["state"] == "queued":
            user.run(job)


@pytest.mark.parametrize("job", ["job_1", "x", "job_" + "0" * 32])
def test_what_is_not_there_is_not_found(api: Api, user: User, job: str) -> None:
    assert code(user.http.post(f"/v1/jobs/{job}/retry")) == (404, "not_found")
    assert code(user.http.delete(f"/v1/jobs/{job}/source")) == (404, "not_found")
    assert code(user.http.get(f"/v1/jobs/{job}/calls")) == (404, "not_found")
    other = User(api)
    theirs = other.submit()["id"]
    other.http.post(f"/v1/jobs/{theirs}/cancel")
    assert code(user.http.post(f"/v1/jobs/{theirs}/retry")) == (404, "not_found")
    assert code(user.http.delete(f"/v1/jobs/{theirs}/source")) == (404, "not_found")
    assert code(user.http.get(f"/v1/jobs/{theirs}/calls")) == (404, "not_found")
    other.http.close()


def test_reading_does_not_allow_to_ask_again_or_to_erase(api: Api, user: User) -> None:
    job = user.submit()["id"]
    reader = User(api, scopes=["jobs:read"])

    assert reader.http.post(f"/v1/jobs/{job}/retry").status_code == 403
    assert reader.http.delete(f"/v1/jobs/{job}/source").status_code == 403
    reader.http.close()


def test_a_job_without_calls_has_an_empty_list_of_them(user: User) -> None:
    job = user.submit()["id"]

    document = user.http.get(f"/v1/jobs/{job}/calls").json()

    assert document == {"data": [], "skipped_rungs": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"cursor": "x"}, "/query/cursor"),
        ({"cursor": "-1"}, "/query/cursor"),
        ({"cursor": "9999999999"}, "/query/cursor"),
        ({"limit": "0"}, "/query/limit"),
        ({"page": "2"}, "/query/page"),
    ],
)
def test_a_wrong_page_of_calls_is_refused(user: User, parameters: dict[str, str], pointer: str) -> None:
    response = user.http.get(f"/v1/jobs/{user.submit()['id']}/calls", params=parameters)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.usefixtures("plain_stand_in")
def test_erasing_leaves_no_code_and_everything_else(service: Stack) -> None:
    body = mutable_default(unique())
    body["file"]["content"] += f"\n\n{SECRET} = 1\n"
    body["context"] = [{"path": "src/other.py", "content": f"{SECRET} = 2\n"}]
    job = service.run(body)
    path = f"/v1/jobs/{job['id']}"
    with service.http() as http:
        assert SECRET in http.get(f"{path}/calls").text
        assert http.get(f"{path}/suggestions", params={"format": "patch"}).status_code == 200

        erased = [http.delete(f"{path}/source") for _ in range(2)]

        assert [(answer.status_code, answer.content) for answer in erased] == [(204, b"")] * 2
        left = http.get(path).json()
        calls = http.get(f"{path}/calls").json()["data"]
        suggestions = http.get(f"{path}/suggestions", params={"format": "patch"})
        again = http.post(f"{path}/retry")

    kept = {"file", "usage", "timings", "state", "outcome", "created_at", "finished_at"}
    assert {name: left[name] for name in kept} == {name: job[name] for name in kept}
    assert left["findings"] == [{**finding, "message": ""} for finding in job["findings"]]
    assert [(each["start_line"], each["original"], each["replacement"]) for each in left["suggestions"]] == [
        (each["start_line"], "", "") for each in job["suggestions"]
    ]
    assert [each["committable"] for each in left["suggestions"]] == [False]  # it would look like a deletion
    assert (job["erased_at"] is None, left["erased_at"] is None) == (True, False)
    assert [(call["messages"], call["reply"]) for call in calls] == [([], None)]
    assert calls[0]["usage"]["output_tokens"] > 0
    assert (suggestions.status_code, suggestions.json()["code"]) == (404, "not_found")
    assert "was erased" in suggestions.json()["detail"]
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")


def test_after_erasing_nothing_stored_holds_the_code(api: Api, user: User) -> None:
    fix = {"start_line": 4, "start_column": 21, "end_line": 4, "end_column": 23, "text": SECRET}
    body = fix_request(context=[{"path": "b.py", "content": SECRET}])
    body["file"]["content"] += f"{SECRET} = 1\n"
    body["findings"][0] |= {"message": f"{SECRET} is bad", "fixes": [{"safe": True, "edits": [fix]}]}
    job = user.submit(body)["id"]
    user.http.post(f"/v1/jobs/{job}/cancel")
    assert SECRET in all_text(api, user)

    assert user.http.delete(f"/v1/jobs/{job}/source").status_code == 204

    assert SECRET not in all_text(api, user)
    with api.engine.connect() as connection:
        entries = connection.execute(
            text("SELECT actor, action FROM audit WHERE subject = :job"), {"job": job}
        ).all()
    assert [tuple(entry) for entry in entries] == [(f"key_{user.key_id.hex}", "job.erase")]


def test_a_file_that_another_job_has_too_stays_until_that_one_is_erased(api: Api, user: User) -> None:
    first, second = user.submit()["id"], user.submit()["id"]
    for job in (first, second):
        user.http.post(f"/v1/jobs/{job}/cancel")

    def status(job: str) -> int:
        return user.http.get(f"/v1/jobs/{job}/suggestions", params={"format": "patch"}).status_code

    user.http.delete(f"/v1/jobs/{first}/source")
    assert (status(first), status(second)) == (404, 200)
    user.http.delete(f"/v1/jobs/{second}/source")
    assert (status(first), status(second)) == (404, 404)
    assert "def add" not in all_text(api, user)


def test_erased_code_that_is_submitted_again_is_there_for_the_new_job_alone(user: User) -> None:
    first = user.submit()["id"]
    user.http.post(f"/v1/jobs/{first}/cancel")
    user.http.delete(f"/v1/jobs/{first}/source")
    second = user.submit()["id"]
    user.http.post(f"/v1/jobs/{second}/cancel")

    assert user.http.get(f"/v1/jobs/{first}/suggestions").status_code == 404
    assert user.http.get(f"/v1/jobs/{second}/suggestions").status_code == 200


def test_a_run_goes_on_when_one_of_its_jobs_is_asked_for_again(api: Api, user: User) -> None:
    run_id, (first, second) = new_run(api.engine, user.project_id, 2)
    for job in (first, second):
        cancel(api.engine, user.project_id, job)

    def state() -> str:
        with api.engine.connect() as connection:
            return str(connection.scalar(text("SELECT state FROM runs WHERE id = :id"), {"id": run_id}))

    assert state() == "finished"
    assert user.http.post(f"/v1/jobs/job_{first.hex}/retry").status_code == 202
    assert state() == "running"
    cancel(api.engine, user.project_id, first)
    assert state() == "finished"
