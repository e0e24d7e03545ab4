import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from patchmill.store.tables import findings, jobs, sources
from tests.support.api import SOURCE, Api, User, finding, fix_request, job_uuid


def test_a_submitted_job_is_answered_with_202_and_its_place(user: User) -> None:
    response = user.http.post("/v1/jobs", json=fix_request())

    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    assert "idempotent-replayed" not in response.headers


def test_a_new_job_document_says_what_was_submitted(user: User) -> None:
    job = user.submit(fix_request(labels={"team": "core"}, origin={"forge": "github", "pull_request": 12}))

    assert job["state"] == "queued"
    assert job["kind"] == "fix"
    assert job["project"] == f"prj_{user.project_id.hex}"
    assert job["file"] == {
        "path": "src/app.py",
        "sha256": hashlib.sha256(SOURCE.encode()).hexdigest(),
        "language": "python",
        "bytes": len(SOURCE),
        "encoding": "utf-8",
    }
    assert [(item["index"], item["rule"], item["status"]) for item in job["findings"]] == [
        (0, "B006", "pending")
    ]
    assert job["labels"] == {"team": "core"}
    assert job["origin"] == {"forge": "github", "pull_request": 12}
    assert job["usage"]["cost_usd"] == "0"
    assert job["created_at"].endswith("Z")
    assert [job[name] for name in ("outcome", "error", "run_at", "wait_reason", "finished_at")] == [None] * 5


def test_source_findings_and_options_are_stored_as_sent(user: User) -> None:
    fix = {
        "safe": True,
        "edits": [{"start_line": 4, "start_column": 21, "end_line": 4, "end_column": 23, "text": "None"}],
    }
    options = {"max_cost_usd": "0.05", "deadline_s": 120, "priority": "bulk", "max_calls": 3}

    job = user.submit(fix_request(findings=[finding(fixes=[fix])], options=options))

    with user.api.engine.connect() as connection:
        row = connection.execute(select(jobs).where(jobs.c.id == job_uuid(job["id"]))).one()
        kept = connection.execute(select(findings).where(findings.c.job_id == row.id)).one()
        content = connection.scalar(select(sources.c.content).where(sources.c.sha256 == row.sha256))
    assert bytes(content or b"").decode() == SOURCE
    assert (row.max_cost_picos, row.priority, row.key_id) == (50_000_000_000, "bulk", user.key_id)
    assert (row.deadline_at - row.created_at).total_seconds() == 120
    assert row.request["options"]["max_calls"] == 3
    assert kept.fixes == [fix]


def test_an_annotate_job_needs_no_finding(user: User) -> None:
    job = user.submit({"kind": "annotate", "file": {"path": "a.py", "content": "x = 1\n"}, "what": ["types"]})

    assert (job["kind"], job["findings"]) == ("annotate", [])


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        pytest.param("", {"start_line": 1, "end_line": 1}, id="an empty file's only place"),
        pytest.param("x = 1\n", {"start_line": 2, "end_line": 2}, id="the end of the file after a line end"),
        pytest.param("x = 1\r\n", {"start_line": 2, "end_line": 2}, id="the same after CRLF"),
        pytest.param("x = 1\ry = 2", {"start_line": 2, "end_line": 2}, id="CR ends a line too"),
        pytest.param(
            "x = 1\n", {"start_line": 1, "end_line": 1, "start_column": 900}, id="a column as tools count"
        ),
        pytest.param(
            "x = 1\n",
            {
                "start_line": 1,
                "end_line": 1,
                "fixes": [
                    {
                        "safe": True,
                        "edits": [
                            {"start_line": 1, "start_column": 6, "end_line": 2, "end_column": 1, "text": ""}
                        ],
                    }
                ],
            },
            id="an edit that takes the last line end away",
        ),
    ],
)
def test_places_at_the_end_of_a_file_are_accepted(user: User, content: str, changes: dict[str, Any]) -> None:
    place = {"start_column": None, "end_column": None, **changes}

    job = user.submit(fix_request(file={"path": "a.py", "content": content}, findings=[finding(**place)]))

    assert job["state"] == "queued"


def test_text_of_every_kind_comes_back_unchanged(user: User) -> None:
    text = "{{7*7}} <b>&amp; ' \" \\ \N{GRINNING FACE} \u202e \t"

    job = user.submit(fix_request(labels={text: text}, origin={"repository": text}))

    assert (job["labels"], job["origin"]) == ({text: text}, {"repository": text})


def test_a_replay_answers_200_with_the_same_job(user: User) -> None:
    first = user.http.post("/v1/jobs", json=fix_request(), headers={"Idempotency-Key": "one"})

    again = user.http.post("/v1/jobs", json=fix_request(), headers={"Idempotency-Key": "one"})

    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.headers["location"] == first.headers["location"]
    assert user.stored() == (1, 1)


def test_a_replay_may_write_the_same_request_differently(user: User) -> None:
    first = user.submit(fix_request(), **{"Idempotency-Key": "one"})
    spelled_out = fix_request(labels={}, context=[], options={"reuse": True, "priority": "interactive"})
    spelled_out["file"]["language"] = "python"

    assert user.submit(spelled_out, **{"Idempotency-Key": "one"})["id"] == first["id"]


def test_the_same_key_with_another_body_is_a_conflict(user: User) -> None:
    user.submit(fix_request(), **{"Idempotency-Key": "one"})

    response = user.http.post(
        "/v1/jobs", json=fix_request(labels={"a": "b"}), headers={"Idempotency-Key": "one"}
    )

    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")
    assert user.stored() == (1, 1)


def test_keys_of_two_projects_do_not_meet(api: Api, user: User) -> None:
    other = User(api)

    first = user.submit(fix_request(), **{"Idempotency-Key": "one"})
    second = other.submit(fix_request(labels={"a": "b"}), **{"Idempotency-Key": "one"})

    assert first["id"] != second["id"]
    other.http.close()


def test_twenty_submissions_at_once_with_one_key_make_one_job(user: User) -> None:
    headers = {"Idempotency-Key": "one"}

    def post(_: int) -> tuple[int, str]:
        response = user.http.post("/v1/jobs", json=fix_request(), headers=headers)
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(post, range(20)))

    assert len({job for _, job in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 19 + [202]
    assert user.stored() == (1, 1)


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there", "schl\u00fcssel"])
def test_an_unusable_idempotency_key_is_refused(user: User, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]

    response = user.http.post("/v1/jobs", json=fix_request(), headers=headers)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/headers/Idempotency-Key"]
    assert user.stored() == (0, 0)


@pytest.mark.parametrize("key", ["k", "k" * 255, "with space; and/punctuation"])
def test_every_printable_idempotency_key_is_accepted(user: User, key: str) -> None:
    assert user.submit(fix_request(), **{"Idempotency-Key": key})["state"] == "queued"
