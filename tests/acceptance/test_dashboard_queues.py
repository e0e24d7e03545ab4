"""The page of queues, projects and workers, and the hands on it; those who only look have none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import audit
from tests.support.api import Api, User, fix_request, running_api
from tests.support.claimed import worker
from tests.support.visitor import Visitor, visible


@pytest.fixture
def own_api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API of this test alone, since queues are everybody's."""
    with running_api(database_url, redis_url, tmp_path) as running:
        yield running


@pytest.fixture
def owner(own_api: Api) -> Iterator[User]:
    made = User(own_api, project="core <b>")
    yield made
    made.http.close()


@pytest.fixture
def operator(own_api: Api) -> Iterator[Visitor]:
    made = Visitor(own_api)
    yield made
    made.http.close()


@pytest.fixture
def onlooker(own_api: Api) -> Iterator[Visitor]:
    made = Visitor(own_api, role="viewer")
    yield made
    made.http.close()


def test_queues_projects_and_workers_are_shown_to_all_and_hands_to_administrators(
    own_api: Api, owner: User, operator: Visitor, onlooker: Visitor
) -> None:
    empty = visible(onlooker.text("/queues"))
    assert "No worker has run within the hour." in empty
    owner.submit(fix_request(options={"priority": "bulk"}))
    worker(own_api.engine)

    page = onlooker.text("/queues")

    text = visible(page)
    assert "bulk everybody 1" in text
    assert "bulk core <b> 1" in text
    assert "test:1 working 0 0" in text
    assert "/queues/pause" not in page
    assert operator.text("/queues").count('action="/queues/pause"') == 3


def test_a_project_is_paused_and_everybody_is_told_until_it_is_resumed(
    own_api: Api, owner: User, operator: Visitor, onlooker: Visitor
) -> None:
    job = owner.submit()["id"]
    project = to_edge("prj", owner.project_id)
    assert onlooker.send("/queues/pause", project=project, reason="no").status_code == 403

    back = operator.send("/queues/pause", project=project, reason="the <i>bill</i>")

    assert (back.status_code, back.headers["location"]) == (303, "/queues")
    for address in ("/", "/jobs", "/queues", "/gateway", f"/jobs/{job}"):
        text = visible(onlooker.text(address))
        assert "The project core <b> is paused: its jobs wait." in text, address
        assert f"by user:{operator.name}" in text
        assert "the <i>bill</i>" in text
    assert "/queues/resume" not in onlooker.text("/")
    assert "The project core <b> is paused; goes on when that is resumed" in visible(
        onlooker.text(f"/jobs/{job}")
    )
    assert "paused" in visible(onlooker.text("/jobs"))
    assert owner.http.get(f"/v1/jobs/{job}").json()["paused_by"]["actor"] == f"user:{operator.name}"
    assert onlooker.send("/queues/resume", project=project).status_code == 403

    back = operator.send("/queues/resume", project=project, back="/jobs")

    assert (back.status_code, back.headers["location"]) == (303, "/jobs")
    assert "is paused" not in visible(onlooker.text("/queues"))
    with own_api.engine.connect() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action).order_by(audit.c.id)).all()
    assert [tuple(row) for row in rows] == [
        (f"user:{operator.name}", "project.pause"),
        (f"user:{operator.name}", "project.resume"),
    ]


def test_a_queue_is_paused_and_resumed(owner: User, operator: Visitor) -> None:
    operator.send("/queues/pause", queue="bulk", reason="the night")

    text = visible(operator.text("/queues"))
    assert "The queue bulk is paused: its jobs wait." in text
    assert owner.submit(fix_request(options={"priority": "bulk"}))["wait_reason"] == "paused"
    assert operator.text("/queues").count('action="/queues/resume"') == 2

    operator.send("/queues/resume", queue="bulk")

    assert "is paused" not in visible(operator.text("/queues"))


def test_what_is_not_there_cannot_be_paused(operator: Visitor) -> None:
    nobodys = to_edge("prj", new_id())
    for fields in ({"queue": "fast"}, {"project": "prj_x"}, {}, {"project": nobodys}):
        assert operator.send("/queues/pause", reason="x", **fields).status_code == 404
