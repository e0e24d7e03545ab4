"""Identical work end to end: the stand-in's own ledger says how often a model was asked."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from patchmill.store import key_secret
from patchmill.store.access import add_key, ensure_project
from tests.support import invariants
from tests.support.command import run_process
from tests.support.requests import SOURCE, mutable_default, unique
from tests.support.stack import Stack, until

pytestmark = pytest.mark.timeout(300)

SHOWN = ("start_line", "end_line", "original", "replacement", "title", "explanation", "status", "safety")


@pytest.fixture(autouse=True)
def plain_stand_in(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "service" in request.fixturenames:
        service: Stack = request.getfixturevalue("service")
        service.release()
        service.behave()


def asked(stack: Stack) -> int:
    """Count the requests that the stand-in was sent."""
    return int(stack.truth()["requests"])


def submit(stack: Stack, body: dict[str, Any]) -> str:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


def at_once(stack: Stack, bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Submit jobs from many threads, and give their documents once they have ended."""
    with ThreadPoolExecutor(10) as pool:
        return [stack.ended(identity) for identity in pool.map(lambda body: submit(stack, body), bodies)]


def answer_of(job: dict[str, Any]) -> Any:
    """Give what a job says, without its identities."""
    offered = [{name: one[name] for name in SHOWN} for one in job["suggestions"]]
    evidence = [one["evidence"] for one in job["suggestions"]]
    findings = [(each["status"], each["reason"], len(each["suggestions"])) for each in job["findings"]]
    return job["state"], job["outcome"], offered, evidence, findings


def test_of_twenty_at_once_one_is_done_and_all_get_its_answer(service: Stack) -> None:
    body = mutable_default(unique())
    before = asked(service)

    jobs = at_once(service, [body | {"labels": {"number": str(number)}} for number in range(20)])

    assert asked(service) - before == 1
    assert [answer_of(job) for job in jobs] == [answer_of(jobs[0])] * 20
    assert jobs[0]["outcome"] == "verified"
    [doer] = [job for job in jobs if job["served_from"] is None]
    served = [job for job in jobs if job is not doer]
    assert {job["served_from"] for job in served} == {doer["id"]}
    assert doer["usage"]["calls"] == 1
    for job in served:
        assert set(job["usage"].values()) == {0, "0"}
        assert (job["timings"]["model_ms"], job["timings"]["verify_ms"]) == (0, 0)
        assert job["timings"]["queued_ms"] == job["timings"]["total_ms"]
        assert [one["source"] for one in job["suggestions"]] == ["stand-in"]  # its mark goes with the copy
        assert not {one["id"] for one in job["suggestions"]} & {one["id"] for one in doer["suggestions"]}
    assert sorted(job["labels"]["number"] for job in jobs) == sorted(map(str, range(20)))


def test_a_copy_of_what_a_tool_offered_comes_from_the_store_and_mends_the_file_at_its_own_path(
    service: Stack,
) -> None:
    edit = {"start_line": 1, "start_column": 1, "end_line": 2, "end_column": 1, "text": ""}
    unused = {"tool": "ruff", "rule": "F401", "message": "`os` imported but unused"}
    finding = {**unused, "start_line": 1, "end_line": 1, "fixes": [{"safe": True, "edits": [edit]}]}
    content = f"import os\n\nNUMBER = {unique()}\n"
    first, second = (
        service.run({"kind": "fix", "file": {"path": path, "content": content}, "findings": [finding]})
        for path in ("one/a.py", "other/a.py")
    )

    assert (first["served_from"], second["served_from"]) == (None, first["id"])
    assert [one["source"] for one in first["suggestions"]] == ["tool"]
    assert [(one["source"], one["path"]) for one in second["suggestions"]] == [("store", "other/a.py")]
    assert "+++ b/other/a.py" in service.patch(second["id"])


def test_whoever_refuses_what_is_stored_gets_the_work_done_anew(service: Stack) -> None:
    body = mutable_default(unique())
    first = service.run(body)
    before = asked(service)

    second = service.run(body | {"options": {"reuse": False}})

    assert asked(service) - before == 1
    assert (second["served_from"], second["usage"]["calls"]) == (None, 1)
    third = service.run(body)
    assert third["served_from"] == first["id"]
    assert asked(service) - before == 1


@pytest.mark.parametrize(
    "change",
    [
        {"findings": [{"tool": "ruff", "rule": "B006", "message": "m", "start_line": 4, "end_line": 4}]},
        {"scope": {"start_line": 1, "end_line": 7}},
        {"context": [{"path": "a.py", "content": "x = 1\n"}]},
        {"options": {"edit_format": "json"}},
        {"options": {"max_calls": 2}},
    ],
    ids=["findings", "scope", "context", "edit format", "calls"],
)
def test_other_work_is_done(service: Stack, change: dict[str, Any]) -> None:
    body = mutable_default(unique())
    service.run(body)
    before = asked(service)

    other = service.run(body | change)

    assert other["served_from"] is None
    assert asked(service) > before


def test_who_asks_when_and_how_urgently_makes_no_other_work(service: Stack) -> None:
    body = mutable_default(unique())
    first = service.run(body)
    options = {"priority": "bulk", "deadline_s": 100, "max_cost_usd": "0.5"}

    second = service.run(
        body | {"options": options, "origin": {"repository": "acme/app"}, "labels": {"a": "b"}}
    )

    assert second["served_from"] == first["id"]
    assert (second["origin"], second["labels"]) == ({"repository": "acme/app"}, {"a": "b"})


def key_of_another_project(stack: Stack, engine: Engine) -> str:
    secret = key_secret.make()
    with engine.begin() as connection:
        add_key(
            connection,
            project_id=ensure_project(connection, "another"),
            name="test",
            public_id=secret.public_id,
            secret_hash=key_secret.digest(secret, key_secret.load_pepper(None, stack.data_dir)),
            scopes=("jobs:read", "jobs:write"),
            expires_at=None,
        )
    return secret.text()


def test_another_project_is_never_served(stack: Stack, engine: Engine) -> None:
    stack.start_api()
    stack.start("worker")
    body = mutable_default(unique())
    assert stack.run(body)["usage"]["calls"] == 1
    stack.key = key_of_another_project(stack, engine)

    other = stack.run(body)

    assert (other["served_from"], other["usage"]["calls"]) == (None, 1)
    assert asked(stack) == 2


def test_a_second_job_waits_for_the_first_and_says_so(service: Stack) -> None:
    service.behave(faults=[{"fault": "hold", "times": 1}])
    body = mutable_default(unique())
    first = submit(service, body)
    until(lambda: service.truth()["in_flight"] == 1, "the call of the first one")
    second = submit(service, body)
    until(lambda: state(service, second) == ("queued", "same_work"), "the second one waiting")

    service.release()

    assert service.ended(first)["outcome"] == "verified"
    job = service.ended(second)
    assert (job["served_from"], job["attempt"]) == (first, 1)


def state(stack: Stack, job_id: str) -> tuple[str, str | None]:
    with stack.http() as http:
        job = http.get(f"/v1/jobs/{job_id}").json()
    return job["state"], job["wait_reason"]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_when_the_first_comes_to_nothing_the_second_does_the_work(service: Stack, how: str) -> None:
    script = [{"match": None, "content": "NO CHANGE: not now", "times": 1}] if how == "fails" else []
    service.behave(faults=[{"fault": "hold", "times": 1}], script=script)
    body = mutable_default(unique())
    first = submit(service, body)
    until(lambda: service.truth()["in_flight"] == 1, "the call of the first one")
    others = [submit(service, body) for _ in range(3)]
    waiting = [("queued", "same_work")] * 3
    until(lambda: [state(service, other) for other in others] == waiting, "the others waiting")
    if how == "is cancelled":
        with service.http() as http:
            http.post(f"/v1/jobs/{first}/cancel")
    service.release()

    ended = service.ended(first)
    jobs = [service.ended(other) for other in others]

    assert ended["state"] == ("failed" if how == "fails" else "cancelled")
    assert [job["outcome"] for job in jobs] == ["verified"] * 3
    assert sorted(job["usage"]["calls"] for job in jobs) == [0, 0, 1]


def test_a_job_that_is_asked_for_again_is_not_served(service: Stack) -> None:
    decline = {"match": None, "content": "NO CHANGE: not now", "times": 1}
    service.behave(script=[decline])
    body = mutable_default(unique())
    first = service.run(body)
    assert first["error"]["code"] == "model_declined"
    second = service.run(body)
    assert second["outcome"] == "verified"
    with service.http() as http:
        assert http.post(f"/v1/jobs/{first['id']}/retry").status_code in {200, 202}

    again = service.ended(first["id"])

    assert (again["outcome"], again["served_from"], again["usage"]["calls"]) == ("verified", None, 2)


def test_people_are_told_whose_result_it_is(service: Stack) -> None:
    body = mutable_default(unique())
    first, second = service.run(body), service.run(body)
    settings = {"PATCHMILL_SERVER_URL": service.api_url, "PATCHMILL_SERVER_KEY": service.key}

    told = [run_process("status", job["id"], settings=settings).data for job in (first, second)]

    line = f"served from the store: {first['id']} did the same work"
    assert [line in each for each in told] == [False, True]


def test_the_calls_of_a_served_job_are_none_and_nothing_is_changed_twice(service: Stack) -> None:
    file = {"path": "a.py", "content": f"x = {unique()}\n"}
    body = {"kind": "fix", "file": file, "instruction": "write a poem"}
    first, second = service.run(body), service.run(body)

    assert (first["outcome"], second["outcome"]) == ("no_change", "no_change")
    assert second["served_from"] == first["id"]
    with service.http() as http:
        answer = http.get(f"/v1/jobs/{second['id']}/calls")
    assert answer.status_code == 200
    assert (answer.json()["data"], answer.json()["skipped_rungs"]) == ([], [])


def test_after_its_code_is_erased_a_job_serves_nobody_and_copies_stay(service: Stack) -> None:
    body = mutable_default(unique())
    first, second = service.run(body), service.run(body)
    with service.http() as http:
        assert http.delete(f"/v1/jobs/{first['id']}/source").status_code == 204
        copy = http.get(f"/v1/jobs/{second['id']}").json()

    third = service.run(body)

    assert copy["suggestions"] == second["suggestions"] != []
    assert (third["served_from"], third["usage"]["calls"]) == (None, 1)


def test_of_the_same_files_in_a_run_one_is_done(service: Stack) -> None:
    number = unique()
    places = [f"{folder}/module.py" for folder in "abcdef"]
    results = [
        {
            "filename": f"/repo/{path}",
            "code": "B006",
            "message": "Do not use mutable data structures for argument defaults",
            "location": {"row": 4, "column": 24},
            "end_location": {"row": 4, "column": 26},
            "fix": None,
            "noqa_row": 4,
            "url": None,
        }
        for path in places
    ]
    body = {
        "kind": "fix",
        "reports": [{"format": "ruff", "content": json.dumps(results)}],
        "files": [{"path": path, "content": SOURCE.format(number=number)} for path in places],
    }
    before = asked(service)
    with service.http() as http:
        made = http.post("/v1/runs", json=body)
        assert made.status_code == 202, made.text
        run_id = made.json()["id"]

        def ended() -> Any:
            run = http.get(f"/v1/runs/{run_id}", params={"wait": "10"}).json()
            return run if run["finished_at"] else None

        run = until(ended, "the run finished")
        jobs = http.get("/v1/jobs", params={"run": run_id}).json()["data"]

    assert asked(service) - before == 1
    assert (run["outcome"], run["jobs"]["succeeded"], run["findings"]["verified"]) == ("verified", 6, 6)
    assert sorted(one["path"] for job in jobs for one in job["suggestions"]) == places
    assert run["usage"]["calls"] == 1


def test_a_worker_that_is_killed_in_the_middle_keeps_nobody_waiting(stack: Stack, engine: Engine) -> None:
    stack.settings["PATCHMILL_CALL_DEADLINE_S"] = "8"  # until the others wait
    stack.start_api()
    worker = stack.start("worker")
    stack.behave(faults=[{"fault": "hold", "times": 1}])
    body = mutable_default(unique())
    made = [submit(stack, body) for _ in range(12)]
    waiting = "SELECT 1 FROM jobs WHERE state = 'queued' AND wait_reason = 'same_work'"
    until(lambda: len(invariants.rows(engine, waiting)) == 11, "all but one waiting")
    os.kill(worker.pid, signal.SIGKILL)
    stack.start("worker")

    jobs = [stack.ended(identity) for identity in made]

    assert [answer_of(job) for job in jobs] == [answer_of(jobs[0])] * 12
    assert jobs[0]["outcome"] == "verified"
    assert asked(stack) == 2  # the call that was lost with its worker, and the one that took its place
    assert sum(job["served_from"] is None for job in jobs) == 1
    stack.release()
    invariants.check(engine, stack.truth())
