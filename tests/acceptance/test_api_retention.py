"""What a project keeps, set over the API and the command line, and what its clients see of what is pruned."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from patchmill.store.ids import to_edge
from patchmill.store.tables import audit, jobs
from tests.support.api import Api, User, fix_request, job_uuid
from tests.support.command import Command, Done
from worker.sweepers.retention import Sweeper


def path(user: User) -> str:
    return f"/v1/projects/{to_edge('prj', user.project_id)}"


def keep(user: User, days: int | None) -> dict[str, Any]:
    answer = user.http.patch(path(user), json={"retention_days": days})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def end(user: User, job: str, *, days_ago: float) -> None:
    user.run(job)
    user.succeed(job)
    with user.api.engine.begin() as connection:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_uuid(job))
            .values(finished_at=datetime.now(UTC) - timedelta(days=days_ago))
        )


def prune(api: Api) -> None:
    """Prune what projects do not want to keep; those that set nothing keep all."""
    sweeper = Sweeper(api.engine, days=0)
    while sweeper.sweep():
        pass


@pytest.fixture
def pruned(user: User) -> str:
    """Give a job that was pruned."""
    job: str = user.submit(None, **{"Idempotency-Key": "once"})["id"]
    end(user, job, days_ago=31)
    keep(user, 30)
    prune(user.api)
    return job


def test_the_age_of_a_project_is_set_shown_and_taken_back(user: User) -> None:
    before = user.http.get(path(user)).json()
    changed = keep(user, 30)
    for_ever = keep(user, 0)
    reset = keep(user, None)

    assert (before["retention_days"], before["own_retention_days"]) == (90, None)
    assert (changed["retention_days"], changed["own_retention_days"]) == (30, 30)
    assert (for_ever["retention_days"], for_ever["own_retention_days"]) == (0, 0)
    assert reset == before
    with user.api.engine.connect() as connection:
        told = connection.execute(
            select(audit.c.action, audit.c.details)
            .where(audit.c.subject == to_edge("prj", user.project_id))
            .order_by(audit.c.id)
        )
        assert [tuple(row) for row in told] == [
            ("project.retention", {"days": days}) for days in (30, 0, None)
        ]


@pytest.mark.parametrize(
    ("given", "code"),
    [(-1, "out_of_range"), (36_501, "out_of_range"), ("long", "wrong_type"), (1.5, "wrong_type")],
)
def test_an_age_that_cannot_be_is_refused_with_its_place(user: User, given: object, code: str) -> None:
    answer = user.http.patch(path(user), json={"retention_days": given, "share": {"weight": 2}})

    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/retention_days", code)
    assert user.http.get(path(user)).json()["share"]["weight"] == 1


def test_only_a_key_with_the_scope_admin_sets_an_age(api: Api, user: User) -> None:
    writer = User(api, ("jobs:read", "jobs:write"))
    assert writer.http.patch(path(writer), json={"retention_days": 1}).status_code == 403
    assert writer.http.patch(path(user), json={"retention_days": 1}).status_code == 403
    writer.http.close()


@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("GET", ""),
        ("GET", "/suggestions"),
        ("GET", "/calls"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", "/source"),
    ],
)
def test_a_pruned_job_is_there_for_nobody(user: User, pruned: str, method: str, tail: str) -> None:
    answer = user.http.request(method, f"/v1/jobs/{pruned}{tail}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert user.http.get("/v1/jobs").json()["data"] == []


def test_an_idempotency_key_is_free_again_once_its_job_is_pruned(user: User, pruned: str) -> None:
    again = user.submit(fix_request(labels={"team": "core"}), **{"Idempotency-Key": "once"})

    assert again["id"] != pruned
    assert [job["id"] for job in user.http.get("/v1/jobs").json()["data"]] == [again["id"]]


def test_whoever_goes_on_after_an_event_that_is_pruned_is_given_what_is_there(user: User) -> None:
    old, young = user.submit()["id"], user.submit(fix_request(labels={"n": "2"}))["id"]
    old_ids = [event["id"] for event in streamed(user, old, end_first=40)]
    ids = [event["id"] for event in streamed(user, young, end_first=1)]
    keep(user, 30)
    prune(user.api)

    resumed = streamed(user, young, after=old_ids[0])

    assert [event["id"] for event in resumed] == [each for each in ids if int(each) > int(old_ids[0])]
    assert resumed[-1]["data"]["to"] == "succeeded"


def streamed(
    user: User, job: str, *, after: str | None = None, end_first: float | None = None
) -> list[dict[str, Any]]:
    """Read the whole stream of a job that has ended, or is ended first, so many days ago."""
    if end_first is not None:
        end(user, job, days_ago=end_first)
    headers = {} if after is None else {"Last-Event-ID": after}
    answer = user.http.get(f"/v1/jobs/{job}/events", headers=headers)
    assert answer.status_code == 200, answer.text
    told = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in told if each != "{}"]


@pytest.fixture
def run(api: Api, patchmill: Command) -> Iterator[Any]:
    """Give `patchmill projects` for a fresh project."""
    user = User(api, ("admin",))
    settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}
    yield lambda *words: patchmill("projects", *words, settings=settings)
    user.http.close()


def test_the_command_sets_shows_and_takes_back_an_age(run: Any) -> None:
    changed: Done = run("retention", "--days", "30", "--json")
    text = run().data
    run("retention", "--days", "0")
    for_ever = run("retention").data
    reset = run("retention", "--reset").data

    assert json.loads(changed.data)["own_retention_days"] == 30
    assert "keeps what ended  30 days  (set by the project)" in text
    assert "keeps what ended  for ever  (set by the project)" in for_ever
    assert "keeps what ended  90 days\n" in reset


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--days", "-1"), "--days"),
        (("--days", "36501"), "--days"),
        (("--days", "5", "--reset"), "give either --days or --reset"),
    ],
)
def test_the_command_refuses_an_age_that_cannot_be(run: Any, words: tuple[str, ...], said: str) -> None:
    done = run("retention", *words)

    assert done.code == 2
    assert said in done.talk


def test_what_is_due_is_told_at_metrics_and_by_the_doctor(user: User, patchmill: Command) -> None:
    job = user.submit()["id"]
    end(user, job, days_ago=40)
    keep(user, 30)

    def due() -> float:
        lines = user.http.get("/metrics").text.splitlines()
        [line] = [line for line in lines if line.startswith("patchmill_retention_due ")]
        return float(line.split(" ")[1])

    def doctor() -> tuple[str, str]:
        settings = {
            "PATCHMILL_DATABASE_URL": user.api.engine.url.render_as_string(hide_password=False),
            "PATCHMILL_SERVER_URL": user.api.url,
            "PATCHMILL_SERVER_KEY": user.secret.text(),
            "PATCHMILL_RETENTION_DAYS": "0",
        }
        [line] = [
            line
            for line in json.loads(patchmill("doctor", "--json", settings=settings).data)
            if line["name"] == "retention"
        ]
        return line["state"], line["detail"]

    assert due() >= 1
    assert doctor()[0] == "warn"
    assert "due to be pruned" in doctor()[1]

    prune(user.api)
    assert due() == 0
    assert doctor()[0] == "ok"
    assert "kept for ever where a project sets nothing else" in doctor()[1]
