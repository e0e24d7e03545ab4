"""The newest run of a pull request supersedes those before it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, select

from patchmill.job.state import State
from patchmill.store.ids import new_id
from patchmill.store.tables import deliveries, webhooks
from tests.acceptance.test_api_runs import events_of, jobs_of, read, run_request, submit
from tests.support.api import Api, User

ORIGIN = {"forge": "github", "repository": "acme/app", "pull_request": 12, "head": "aaa"}


def of(size: int = 2, /, **origin: Any) -> dict[str, Any]:
    return run_request(size, origin={**ORIGIN, **origin})


def states(user: User, run: str) -> list[str]:
    return [job["state"] for job in jobs_of(user, run)]


def test_a_newer_run_cancels_what_nobody_has_begun_and_says_so(user: User) -> None:
    with user.api.engine.begin() as connection:
        values = {"id": new_id(), "project_id": user.project_id, "url": "https://example.com"}
        kinds = ["job.cancelled", "run.finished"]
        connection.execute(insert(webhooks).values(**values, events=kinds))
    older = submit(user, of(3))
    on_its_way, running, _ = [job["id"] for job in jobs_of(user, older["id"])]
    user.run(running)
    user.move(on_its_way, State.QUEUED, State.DISPATCHED, dispatch_no=1)

    newer = submit(user, of(2, head="bbb"))

    assert states(user, older["id"]) == ["cancelled", "running", "cancelled"]
    assert states(user, newer["id"]) == ["queued", "queued"]
    now = read(user, older["id"])
    assert (now["state"], now["superseded_by"]) == ("running", newer["id"])
    assert (newer["state"], newer["superseded_by"]) == ("queued", None)
    user.succeed(running)
    ended = read(user, older["id"])
    assert (ended["state"], ended["superseded_by"], ended["jobs"]["succeeded"]) == (
        "cancelled",
        newer["id"],
        1,
    )
    assert events_of(user, older["id"], "run.state")[-1] == {"from": "running", "to": "cancelled"}
    with user.api.engine.connect() as connection:
        of_ours = select(deliveries.c.type).where(deliveries.c.webhook_id == values["id"])
        told = connection.scalars(of_ours).all()
    assert sorted(told) == ["job.cancelled", "job.cancelled", "run.finished"]


def test_a_run_all_of_whose_jobs_run_finishes_and_knows_its_successor(user: User) -> None:
    older = submit(user, of(1))
    [job] = jobs_of(user, older["id"])
    user.run(job["id"])

    newer = submit(user, of(1, head="bbb"))

    user.succeed(job["id"])
    ended = read(user, older["id"])
    assert (ended["state"], ended["outcome"], ended["superseded_by"]) == ("finished", "verified", newer["id"])


def test_a_run_with_nothing_to_do_supersedes_too(user: User) -> None:
    older = submit(user, of(1))

    newer = submit(user, {**of(1, head="bbb"), "reports": [{"format": "ruff", "content": "[]"}]})

    assert newer["state"] == "finished"
    assert read(user, older["id"])["superseded_by"] == newer["id"]


@pytest.mark.parametrize(
    "origin",
    [
        {"pull_request": 13},
        {"repository": "acme/other"},
        {"forge": "gitlab"},
        {"pull_request": None},
        {"repository": None},
    ],
)
def test_runs_of_something_else_stay_as_they_are(user: User, origin: dict[str, Any]) -> None:
    for first, second in ((of(1), of(1, **origin)), (of(1, **origin), of(1))):
        older = submit(user, first)
        newer = submit(user, second)

        assert states(user, older["id"]) == ["queued"]
        assert read(user, older["id"])["superseded_by"] is None
        user.http.post(f"/v1/runs/{older['id']}/cancel")
        user.http.post(f"/v1/runs/{newer['id']}/cancel")


def test_two_runs_without_a_pull_request_do_not_touch_each_other(user: User) -> None:
    older = submit(user, of(1, pull_request=None))
    submit(user, of(1, pull_request=None))

    assert states(user, older["id"]) == ["queued"]


def test_another_project_and_an_ended_run_are_not_touched(api: Api, user: User) -> None:
    other = User(api)
    elsewhere = submit(other, of(1))
    ended = submit(user, of(1))
    user.http.post(f"/v1/runs/{ended['id']}/cancel")

    submit(user, of(1))

    assert states(other, elsewhere["id"]) == ["queued"]
    assert read(user, ended["id"])["superseded_by"] is None
    other.http.close()


def test_a_replay_supersedes_nothing(user: User) -> None:
    first = submit(user, of(1), key="first")
    second = submit(user, of(1, head="bbb"), key="second")

    replayed = submit(user, of(1), key="first")

    assert replayed["id"] == first["id"]
    assert states(user, second["id"]) == ["queued"]
    assert read(user, second["id"])["superseded_by"] is None


def test_of_many_runs_at_once_exactly_the_newest_is_left(user: User) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(6) as pool:
            made = list(pool.map(lambda number: submit(user, of(3, head=str(number))), range(6)))

        ids = sorted(run["id"] for run in made)
        assert states(user, ids[-1]) == ["queued"] * 3
        assert read(user, ids[-1])["superseded_by"] is None
        for run in ids[:-1]:
            now = read(user, run)
            assert set(states(user, run)) == {"cancelled"}
            assert now["state"] == "cancelled"
            assert now["superseded_by"] in ids
            assert now["superseded_by"] > run
