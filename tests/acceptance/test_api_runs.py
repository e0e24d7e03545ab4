import json
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, update

from patchmill.job.state import State
from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import deliveries, events, findings, jobs, runs, sources, webhooks
from patchmill.store.transitions import Move
from tests.support.api import Api, User, job_uuid

PROBLEM = "application/problem+json"
DIFF = """\
--- a/src/app_0.py
+++ b/src/app_0.py
@@ -1,3 +1,4 @@
 import os
+import sys

 def f(x=[]):
"""


def source(number: int) -> str:
    return f"import os\nimport sys\n\ndef f(x=[]):\n    return x, {number}\n"


def diagnostic(path: str, row: int = 1, code: str = "F401", **more: Any) -> dict[str, Any]:
    return {
        "code": code,
        "message": "found",
        "filename": path,
        "location": {"row": row, "column": 8},
        "end_location": {"row": row, "column": 10},
        "fix": None,
        **more,
    }


def report(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {"format": "ruff", "content": json.dumps(found)}


def run_request(size: int = 2, /, **changes: Any) -> dict[str, Any]:
    """Build a valid request: two findings in each file."""
    paths = [f"src/app_{number}.py" for number in range(size)]
    found = [diagnostic(path, row) for path in paths for row in (1, 2)]
    return {
        "kind": "fix",
        "reports": [report(found)],
        "files": [{"path": path, "content": source(number)} for number, path in enumerate(paths)],
        **changes,
    }


def submit(user: User, body: dict[str, Any] | None = None, *, key: str | None = None) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = user.http.post("/v1/runs", json=body or run_request(), headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    document: dict[str, Any] = answer.json()
    return document


def read(user: User, run: str, **query: Any) -> dict[str, Any]:
    answer = user.http.get(f"/v1/runs/{run}", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def jobs_of(user: User, run: str) -> list[dict[str, Any]]:
    answer = user.http.get("/v1/jobs", params={"run": run, "limit": 200})
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["data"]
    return sorted(listed, key=lambda job: str(job["file"]["path"]))


def run_uuid(text: str) -> uuid.UUID:
    found = from_edge("run", text)
    assert found is not None
    return found


def events_of(user: User, run: str, kind: str) -> list[dict[str, Any]]:
    wanted = select(events.c.data).where(
        events.c.run_id == run_uuid(run), events.c.job_id.is_(None), events.c.type == kind
    )
    with user.api.engine.connect() as connection:
        return list(connection.scalars(wanted.order_by(events.c.id)))


def errors_of(user: User, body: dict[str, Any]) -> list[tuple[str, str, str]]:
    answer = user.http.post("/v1/runs", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == PROBLEM
    return [(error["pointer"], error["code"], error["detail"]) for error in answer.json()["errors"]]


def test_a_run_is_a_job_for_each_file_with_findings(user: User) -> None:
    body = run_request(3, origin={"repository": "acme/app"}, labels={"team": "core"})
    body["files"].append({"path": "src/clean.py", "content": "x = 1\n"})

    answer = user.http.post("/v1/runs", json=body)

    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/runs/{run['id']}"
    assert run["jobs"] == {
        "total": 3, "queued": 3, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0
    }  # fmt: skip
    assert run["findings"] == {"total": 6, "verified": 0, "unchecked": 0, "unresolved": 0, "skipped": 0}
    assert (run["state"], run["outcome"], run["skipped"]) == ("queued", None, [])
    assert run["origin"] == {"repository": "acme/app"}
    made = jobs_of(user, run["id"])
    assert [(job["file"]["path"], job["run"], len(job["findings"])) for job in made] == [
        (f"src/app_{number}.py", run["id"], 2) for number in range(3)
    ]
    assert all(job["labels"] == {"team": "core"} for job in made)
    assert read(user, run["id"]) == run


def test_what_was_asked_is_stored_with_the_run_and_with_each_job(user: User) -> None:
    body = run_request(
        checkers={"ruff": {"select": ["F"]}},
        diff=DIFF,
        filter="nofilter",
        max_cost_usd="0.50",
        options={"max_cost_usd": "0.05", "priority": "bulk", "deadline_s": 60, "max_calls": 2},
    )

    run = submit(user, body)

    with user.api.engine.connect() as connection:
        row = connection.execute(select(runs).where(runs.c.id == run_uuid(run["id"]))).one()
        made = connection.execute(select(jobs).where(jobs.c.run_id == row.id)).all()
        first = connection.execute(
            select(events.c.seq, events.c.data)
            .where(events.c.run_id == row.id, events.c.job_id.is_not(None))
            .order_by(events.c.id)
        ).all()
    assert (row.max_cost_picos, row.diff, row.key_id, row.kind) == (500_000_000_000, DIFF, user.key_id, "fix")
    assert {(job.max_cost_picos, job.priority, job.request["options"]["max_calls"]) for job in made} == {
        (50_000_000_000, "bulk", 2)
    }
    assert {(job.deadline_at - job.created_at).total_seconds() for job in made} == {60}
    assert all(job.request["checkers"] == {"ruff": {"select": ["F"]}} for job in made)
    assert [(each.seq, each.data["to"]) for each in first] == [(1, "queued"), (1, "queued")]
    assert events_of(user, run["id"], "run.state") == [{"from": None, "to": "queued"}]


def test_the_rules_that_reports_name_are_stored_once_and_not_with_each_job(user: User) -> None:
    size = 60
    found = [diagnostic(f"src/app_{number}.py", code=f"RULE{number:04}") for number in range(size)]
    run = submit(user, run_request(size, reports=[report(found)]))

    with user.api.engine.connect() as connection:
        reported = connection.scalars(select(runs.c.reported).where(runs.c.id == run_uuid(run["id"]))).one()
        requests = connection.scalars(
            select(jobs.c.request).where(jobs.c.run_id == run_uuid(run["id"]))
        ).all()
    assert reported == {"ruff": [f"RULE{number:04}" for number in range(size)]}
    assert len(requests) == size
    assert "RULE" not in json.dumps(requests)


def test_each_skipped_finding_says_why(user: User) -> None:
    found = [
        diagnostic("src/app_0.py"),
        diagnostic("src/app_0.py"),
        diagnostic("src/gone.py"),
        diagnostic("src/app_0.py", row=900),
        diagnostic("vendor/app.py"),
        diagnostic("notes.unknown"),
    ]
    body = run_request(1, reports=[report([diagnostic("src/app_0.py")]), report(found)])
    body["files"] += [{"path": path, "content": source(9)} for path in ("vendor/app.py", "notes.unknown")]

    run = submit(user, body)

    assert [
        (entry["report"], entry["finding"], entry["path"], entry["reason"]) for entry in run["skipped"]
    ] == [
        (1, 0, "src/app_0.py", "duplicate"),
        (1, 1, "src/app_0.py", "duplicate"),
        (1, 2, "src/gone.py", "no_file"),
        (1, 3, "src/app_0.py", "no_file"),
        (1, 4, "vendor/app.py", "generated_file"),
        (1, 5, "notes.unknown", "unsupported_language"),
    ]
    assert (run["findings"]["total"], run["findings"]["skipped"], run["jobs"]["total"]) == (7, 6, 1)


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        pytest.param({"diff": DIFF}, [1], id="added lines by default"),
        pytest.param({"diff": DIFF, "filter": "added"}, [1], id="added"),
        pytest.param({"diff": DIFF, "filter": "diff_context"}, [2], id="the hunk's lines"),
        pytest.param({"diff": DIFF, "filter": "file"}, [2], id="the file"),
        pytest.param({"diff": DIFF, "filter": "nofilter"}, [2, 2], id="all"),
        pytest.param({}, [2, 2], id="all without a diff"),
    ],
)
def test_a_diff_narrows_a_run(user: User, filters: dict[str, Any], kept: list[int]) -> None:
    run = submit(user, run_request(**filters))

    assert [len(job["findings"]) for job in jobs_of(user, run["id"])] == kept
    assert {entry["reason"] for entry in run["skipped"]} <= {"outside_diff"}
    assert run["findings"]["skipped"] == 4 - sum(kept)
    assert run["coverage"] == ("all" if sum(kept) == 4 else "some")


def test_a_run_with_nothing_to_do_is_finished_at_once_and_told(user: User) -> None:
    with user.api.engine.begin() as connection:
        hook = new_id()
        connection.execute(
            webhooks.insert().values(
                id=hook, project_id=user.project_id, url="https://example.org/", events=["run.finished"]
            )
        )

    run = submit(user, run_request(reports=[report([diagnostic("elsewhere.py")])]))

    assert (run["state"], run["outcome"], run["jobs"]["total"]) == ("finished", "no_change", 0)
    assert run["finished_at"] is not None
    assert [one["to"] for one in events_of(user, run["id"], "run.state")] == ["queued", "finished"]
    with user.api.engine.connect() as connection:
        told = connection.execute(select(deliveries).where(deliveries.c.webhook_id == hook)).one()
    assert (told.type, told.data["id"], told.data["outcome"]) == ("run.finished", run["id"], "no_change")


def test_the_same_key_and_body_give_the_same_run_and_another_body_a_conflict(user: User) -> None:
    made = submit(user, key="one")

    again = user.http.post("/v1/runs", json=run_request(), headers={"Idempotency-Key": "one"})
    other = user.http.post("/v1/runs", json=run_request(3), headers={"Idempotency-Key": "one"})
    a_job = user.submit(None, **{"Idempotency-Key": "one"})

    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["id"] == made["id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert a_job["run"] is None
    assert user.stored()[0] == 2 + 1


def test_many_submissions_with_one_key_make_one_run(user: User) -> None:
    def send(_: int) -> tuple[int, str]:
        with user.api.client(dict(user.http.headers)) as http:
            answer = http.post("/v1/runs", json=run_request(), headers={"Idempotency-Key": "race"})
        return answer.status_code, answer.json().get("id", "")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))

    assert sorted(status for status, _ in answers) == [200] * 5 + [202]
    assert len({identity for _, identity in answers}) == 1
    assert user.stored()[0] == 2


def test_runs_with_the_same_files_in_any_order_do_not_block_each_other(user: User) -> None:
    def send(number: int) -> int:
        body = run_request(12)
        if number % 2:
            body["files"].reverse()
        with user.api.client(dict(user.http.headers)) as http:
            return http.post("/v1/runs", json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(12))) == {202}
    assert user.stored() == (12 * 12, 12)


@pytest.mark.parametrize(
    ("changes", "pointer", "code", "says"),
    [
        ({"kind": "annotate"}, "/kind", "not_allowed", "annotate"),
        ({"kind": "mend"}, "/kind", "not_allowed", "fix"),
        ({"reports": []}, "/reports", "too_short", "must have at least 1 item"),
        ({"files": []}, "/files", "too_short", ""),
        ({"archive": "UEsDBA=="}, "/archive", "not_allowed", "files"),
        ({"filter": "added"}, "/diff", "missing", "needs a diff"),
        ({"filter": "new"}, "/filter", "not_allowed", ""),
        ({"diff": "@@ nonsense"}, "/diff", "not_allowed", "line 1"),
        ({"checkers": {"ruff": {"exec": "rm"}}}, "/checkers/ruff/exec", "not_allowed", ""),
        ({"max_cost_usd": "-1"}, "/max_cost_usd", "out_of_range", ""),
        ({"what": ["types"]}, "/what", "unknown_field", ""),
        (
            {"reports": [{"format": "checkstyle", "content": ""}]},
            "/reports/0/format",
            "not_allowed",
            "known: sarif, ruff, rdjson, rdjsonl",
        ),
        (
            {"reports": [{"format": "ruff", "content": "[{}]"}]},
            "/reports/0/content",
            "not_allowed",
            "is no ruff report that can be read: at /0: lacks `filename`",
        ),
        (
            {"reports": [{"format": "sarif", "content": "no"}]},
            "/reports/0/content",
            "not_allowed",
            "line 1, column 1",
        ),
        (
            {"files": [{"path": "a.py", "content": ""}, {"path": "a.py", "content": ""}]},
            "/files/1/path",
            "not_allowed",
            "same path",
        ),
        ({"files": [{"path": "../a.py", "content": ""}]}, "/files/0/path", "not_allowed", ""),
    ],
)
def test_what_is_wrong_with_a_run_is_said_where_it_is(
    user: User, changes: dict[str, Any], pointer: str, code: str, says: str
) -> None:
    ((where, which, detail),) = errors_of(user, run_request(**changes))

    assert (where, which) == (pointer, code)
    assert says in detail
    assert user.stored() == (0, 0)


def test_mistakes_in_reports_and_diff_are_told_together(user: User) -> None:
    broken = {"format": "sarif", "content": "{}"}

    told = errors_of(user, run_request(reports=[report([]), broken, broken], diff="@@"))

    assert [pointer for pointer, _, _ in told] == ["/diff", "/reports/1/content", "/reports/2/content"]


def test_a_file_that_is_too_large_is_refused_by_its_place(user: User) -> None:
    body = run_request()
    body["files"][1]["content"] = "x" * 20_001

    answer = user.http.post("/v1/runs", json=body)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["errors"][0]["pointer"] == "/files/1/content"


def test_runs_belong_to_their_project(user: User, api: Api) -> None:
    run = submit(user)
    other = User(api)

    answers = [
        other.http.get(f"/v1/runs/{run['id']}"),
        other.http.post(f"/v1/runs/{run['id']}/cancel"),
        other.http.get(f"/v1/runs/{run['id']}/suggestions"),
        other.http.get("/v1/runs/run_nonsense"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 4
    assert other.http.get("/v1/runs").json()["data"] == []
    other.http.close()
    assert read(user, run["id"])["state"] == "queued"


def test_a_list_of_runs_is_narrowed_and_paged(user: User) -> None:
    made = [
        submit(user, run_request(1, labels={"team": team}, origin={"repository": repository}))["id"]
        for team, repository in (("core", "acme/app"), ("web", "acme/app"), ("core", "acme/web"))
    ]
    user.http.post(f"/v1/runs/{made[0]}/cancel")

    def listed(**query: Any) -> list[str]:
        answer = user.http.get("/v1/runs", params=query)
        assert answer.status_code == 200, answer.text
        return [run["id"] for run in answer.json()["data"]]

    assert listed() == made[::-1]
    assert listed(state="cancelled") == [made[0]]
    assert listed(repository="acme/app") == [made[1], made[0]]
    assert listed(**{"label.team": "core"}) == [made[2], made[0]]
    assert listed(created_after="2999-01-01T00:00:00Z") == []
    first = user.http.get("/v1/runs", params={"limit": 2}).json()
    assert listed(limit=2, cursor=first["next_cursor"]) == [made[0]]
    assert user.http.get("/v1/runs", params={"states": "x"}).status_code == 422
    assert user.http.get("/v1/runs", params={"state": "done"}).status_code == 422


def test_a_list_shows_the_first_skipped_findings_alone_and_counts_all(user: User) -> None:
    run = submit(user, run_request(reports=[report([diagnostic("gone.py")] * 30)]))

    (listed,) = user.http.get("/v1/runs").json()["data"]

    assert len(listed["skipped"]) == 20
    assert listed["findings"] == run["findings"]
    assert len(read(user, run["id"])["skipped"]) == 30


def end(user: User, job: str, outcome: str = "verified") -> None:
    """End a job as a worker does, findings first."""
    user.run(job)
    with user.api.engine.begin() as connection:
        connection.execute(
            update(findings).where(findings.c.job_id == job_uuid(job)).values(status="verified")
        )
    user.succeed(job, outcome)


def test_a_run_goes_on_with_its_jobs_and_ends_with_the_last(user: User) -> None:
    run = submit(user, run_request(2))["id"]
    first, second = (job["id"] for job in jobs_of(user, run))

    user.run(first)
    running = read(user, run)
    user.succeed(first, "verified")
    half = read(user, run)
    end(user, second)
    ended = read(user, run)

    assert (running["state"], running["jobs"]["running"]) == ("running", 1)
    assert (half["state"], half["findings"]["unresolved"]) == ("running", 2)
    assert (ended["state"], ended["outcome"]) == ("finished", "verified")
    assert (ended["findings"]["verified"], ended["jobs"]["succeeded"]) == (2, 2)
    assert [one["to"] for one in events_of(user, run, "run.state")] == ["queued", "running", "finished"]


def test_those_who_wait_are_answered_when_the_last_job_ends(user: User) -> None:
    run = submit(user, run_request(1))["id"]
    (job,) = jobs_of(user, run)
    began = time.perf_counter()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(read, user, run, wait="20")
        end(user, job["id"])
        document = waiting.result()

    assert document["state"] == "finished"
    assert time.perf_counter() - began < 15


def test_jobs_that_end_at_once_end_their_run_once(user: User) -> None:
    run = submit(user, run_request(12))["id"]
    made = [job["id"] for job in jobs_of(user, run)]
    for job in made:
        user.run(job)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(user.succeed, made))

    document = read(user, run)
    assert (document["state"], document["jobs"]["succeeded"]) == ("finished", 12)
    assert [one["to"] for one in events_of(user, run, "run.state")] == ["queued", "running", "finished"]
    told = events_of(user, run, "run.progress")
    assert [one["jobs"]["succeeded"] for one in told] == list(range(1, 13))


def test_cancelling_ends_what_waits_at_once(user: User) -> None:
    run = submit(user, run_request(3))["id"]

    answer = user.http.post(f"/v1/runs/{run}/cancel")

    document = answer.json()
    assert (answer.status_code, document["state"], document["outcome"]) == (200, "cancelled", None)
    assert (document["jobs"]["cancelled"], document["findings"]["unresolved"]) == (3, 6)
    assert [one["to"] for one in events_of(user, run, "run.state")] == ["queued", "cancelled"]


def test_cancelling_asks_what_runs_to_stop_and_the_run_is_cancelled_with_it(user: User) -> None:
    run = submit(user, run_request(3))["id"]
    done, running, _ = (job["id"] for job in jobs_of(user, run))
    end(user, done)
    user.run(running)

    document = user.http.post(f"/v1/runs/{run}/cancel").json()
    asked = user.http.get(f"/v1/jobs/{running}").json()
    user.move(running, State.RUNNING, State.CANCELLED, worker_id=None, finished_at=func.now())

    assert (document["state"], document["jobs"]["running"], document["jobs"]["cancelled"]) == (
        "running",
        1,
        1,
    )
    assert asked["cancel_requested"] is True
    after = read(user, run)
    assert (after["state"], after["outcome"], after["jobs"]["succeeded"]) == ("cancelled", None, 1)
    assert [one["to"] for one in events_of(user, run, "run.state")] == ["queued", "running", "cancelled"]


def test_a_run_that_has_ended_cannot_be_cancelled_any_more(user: User) -> None:
    run = submit(user, run_request(1))["id"]
    (job,) = jobs_of(user, run)
    end(user, job["id"])
    before = read(user, run)

    answer = user.http.post(f"/v1/runs/{run}/cancel")

    assert (answer.status_code, answer.json()) == (200, before)
    with user.api.engine.connect() as connection:
        assert not connection.scalar(select(runs.c.cancel_requested).where(runs.c.id == run_uuid(run)))


def test_cancelling_while_jobs_end_leaves_every_job_and_the_run_ended_once(user: User) -> None:
    for _ in range(4):
        run = submit(user, run_request(8))["id"]
        made = [job["id"] for job in jobs_of(user, run)]
        for job in made[:5]:
            user.run(job)
        ends = Move(
            State.RUNNING,
            State.SUCCEEDED,
            {"outcome": "no_change", "worker_id": None, "finished_at": func.now()},
        )

        def finish(job: str, move: Move = ends) -> None:
            with user.api.engine.begin() as connection:
                move.apply(connection, [job_uuid(job)])

        with ThreadPoolExecutor(4) as pool:
            finished = [pool.submit(finish, job) for job in made[:5]]
            cancelled = pool.submit(user.http.post, f"/v1/runs/{run}/cancel")
            assert cancelled.result().status_code == 200
            for each in finished:
                each.result()

        document = read(user, run)
        assert (document["state"], document["jobs"]["cancelled"]) == ("cancelled", 3)
        assert [one["to"] for one in events_of(user, run, "run.state")] == ["queued", "running", "cancelled"]


def test_a_run_without_an_ended_job_offers_nothing_yet(user: User) -> None:
    run = submit(user)["id"]

    as_json = user.http.get(f"/v1/runs/{run}/suggestions")
    as_patch = user.http.get(f"/v1/runs/{run}/suggestions", params={"format": "patch"})
    unknown = user.http.get(f"/v1/runs/{run}/suggestions", params={"format": "pdf"})

    assert as_json.json() == {"data": []}
    assert as_patch.text == ""
    assert (unknown.status_code, unknown.json()["code"]) == (406, "not_acceptable")


def test_code_that_was_erased_comes_back_with_its_next_submission(user: User) -> None:
    submit(user, run_request(1))
    with user.api.engine.begin() as connection:
        connection.execute(
            update(sources).where(sources.c.project_id == user.project_id).values(content=None)
        )

    submit(user, run_request(1))

    with user.api.engine.connect() as connection:
        kept = connection.scalars(
            select(sources.c.content).where(sources.c.project_id == user.project_id)
        ).all()
    assert [bytes(content or b"").decode() for content in kept] == [source(0)]
