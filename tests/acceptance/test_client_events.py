import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from patchmill.client import ApiError, Client, Event, Unavailable
from tests.support.api import User
from tests.support.project import FILES, Project
from tests.support.raw_server import Cut, RawServer, Reset, Script, response
from tests.support.requests import mutable_default
from tests.support.stack import Stack

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def frame(number: int, seq: int, **changes: Any) -> bytes:
    event: dict[str, Any] = {
        "id": str(number),
        "type": "job.state",
        "job": "job_1",
        "run": None,
        "seq": seq,
        "at": "",
        "data": {},
    }
    text = json.dumps({**event, **changes})
    return f"id: {number}\nevent: {event['type']}\ndata: {text}\n\n".encode()


def client_of(server: RawServer) -> Client:
    return Client(server.url.removesuffix("/v1"), "pm_key", attempts=3)


def last_ids(server: RawServer) -> list[str | None]:
    """What each request said was the last event that came."""
    return [
        next(
            (
                line.partition(":")[2].strip()
                for line in request.head.splitlines()
                if line.lower().startswith("last-event-id:")
            ),
            None,
        )
        for request in server.requests
    ]


def test_a_broken_stream_goes_on_after_the_last_event_and_gives_none_twice() -> None:
    scripts: list[Script] = [
        [HEAD + frame(5, 1) + frame(6, 2) + b"id: 7\nevent: job.state\nda", Reset()],
        [HEAD + b": keep-alive\n\n" + frame(6, 2), Cut()],
        [HEAD + frame(6, 2) + frame(7, 3) + b"event: end\ndata: {}\n\n", Cut()],
    ]
    with RawServer(*scripts) as server, client_of(server) as client:
        seen = [event.id for event in client.events("job_1")]

    assert seen == ["5", "6", "7"]
    assert last_ids(server) == [None, "6", "6"]


def test_one_may_begin_after_an_event() -> None:
    with RawServer([HEAD + b"event: end\ndata:\n\n", Cut()]) as server, client_of(server) as client:
        assert list(client.events("job_1", after="41")) == []

    assert last_ids(server) == ["41"]


def test_events_that_nobody_knows_yet_are_passed_on_and_nonsense_is_not() -> None:
    stream = (
        frame(1, 1, type="job.of_next_year", more="field")
        + b"event: job.state\ndata: nonsense\n\n"
        + b"event: job.state\ndata: []\n\n"
        + frame(2, 1, job=None, run="run_1")
        + b"event: end\ndata:\n\n"
    )
    with RawServer([HEAD + stream, Cut()]) as server, client_of(server) as client:
        seen = [(event.type, event.job, event.run) for event in client.run_events("run_1")]

    assert seen == [("job.of_next_year", "job_1", None), ("job.state", None, "run_1")]


def test_a_server_that_is_away_after_an_event_has_more_than_a_few_attempts() -> None:
    scripts: list[Script] = [
        [HEAD + frame(5, 1), Cut()],
        *[[Reset()]] * 5,
        [HEAD + frame(6, 2) + b"event: end\ndata: {}\n\n", Cut()],
    ]
    with RawServer(*scripts) as server, client_of(server) as client:
        assert [event.id for event in client.events("job_1")] == ["5", "6"]


def test_a_server_that_stays_away_is_told_with_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchmill.client.events.PATIENCE_S", 0.1)
    with (
        RawServer([HEAD + frame(5, 1), Cut()], [Reset()]) as server,
        client_of(server) as client,
        pytest.raises(Unavailable, match="goes on there, and can be followed again after='5'"),
    ):
        list(client.events("job_1"))


def test_a_server_that_never_ends_a_stream_well_is_given_up() -> None:
    with RawServer([HEAD, Cut()]) as server, client_of(server) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            list(client.events("job_1"))
        assert len(server.requests) == 3


def test_a_refused_stream_is_not_asked_for_again() -> None:
    problem = json.dumps({"code": "not_found", "detail": "there is no job job_1"}).encode()
    with RawServer([response(problem, status="404 Not Found")]) as server, client_of(server) as client:
        with pytest.raises(ApiError, match="there is no job job_1"):
            list(client.events("job_1"))
        assert len(server.requests) == 1


def test_a_job_is_followed_live_to_its_end(service: Stack) -> None:
    with Client(service.api_url, service.key) as client:
        job = client.submit(mutable_default(number=71))
        events = list(client.events(job["id"]))

        states = [event.data["to"] for event in events if event.type == "job.state"]
        assert states[-1] == "succeeded"
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        assert {event.job for event in events} == {job["id"]}
        later = list(client.events(job["id"], after=events[2].id))
    assert later == events[3:]


def test_a_run_is_followed_with_all_its_jobs(service: Stack, project: Project) -> None:
    with Client(service.api_url, service.key) as client:
        run = client.submit_run(
            {
                "kind": "fix",
                "reports": [{"format": "ruff", "content": project.lint("json")}],
                "files": [{"path": path, "content": content} for path, content in FILES.items()],
            }
        )
        events: list[Event] = list(client.run_events(run["id"]))
        jobs = {job["id"] for job in client.jobs(run=run["id"])}
        ended = client.wait_run(run["id"], timeout_s=1)

        assert {event.job for event in events if event.job} == jobs
        assert events[-1].type == "run.state"
        assert ended["outcome"] == "verified"
        assert "+++ b/src/app.py" in client.run_suggestions(run["id"], format="patch")
        assert {one["status"] for one in client.run_suggestions(run["id"])} == {"verified"}
        assert ended["id"] in [each["id"] for each in client.runs(state="finished")]


def test_calls_are_shown_with_prompt_and_answer(service: Stack) -> None:
    with Client(service.api_url, service.key) as client:
        job = client.wait(client.submit(mutable_default(number=72))["id"], timeout_s=40)
        calls = client.calls(job["id"])

    assert [call["outcome"] for call in calls] == ["answered"]
    assert calls[0]["reply"]
    assert "def collect" in "".join(message["content"] for message in calls[0]["messages"])


def test_the_same_key_makes_one_job_however_often_it_is_sent(user: User) -> None:
    request = mutable_default(number=73)
    with Client(user.api.url, user.secret.text()) as client:
        ids = {client.submit(request, idempotency_key="once")["id"] for _ in range(3)}

        with pytest.raises(ApiError) as caught:
            client.submit(mutable_default(number=74), idempotency_key="once")

    assert len(ids) == 1
    assert (caught.value.status, caught.value.code) == (409, "idempotency_conflict")


def test_a_retry_that_may_have_arrived_is_not_sent_again() -> None:
    with RawServer([Cut()]) as server, client_of(server) as client:
        with pytest.raises(Unavailable):
            client.retry("job_1")
        assert len(server.requests) == 1


def test_a_server_that_has_too_much_to_do_is_asked_again_when_it_says() -> None:
    busy = response(
        b'{"code": "rate_limited", "detail": "too many"}',
        status="429 Too Many Requests",
        more="Retry-After: 1\r\n",
    )
    job = response(b'{"id": "job_1", "state": "queued"}')
    with RawServer([busy], [job]) as server, client_of(server) as client:
        assert client.job("job_1")["id"] == "job_1"
        assert len(server.requests) == 2


def test_a_client_follows_two_jobs_from_two_threads(service: Stack) -> None:
    with Client(service.api_url, service.key) as client, ThreadPoolExecutor(2) as threads:
        jobs = [client.submit(mutable_default(number=number))["id"] for number in (75, 76)]
        followed = list(threads.map(lambda job: list(client.events(job)), jobs, timeout=40))

    assert [{event.job for event in events} for events in followed] == [{job} for job in jobs]
    assert [events[-1].data.get("to") for events in followed] == ["succeeded", "succeeded"]
