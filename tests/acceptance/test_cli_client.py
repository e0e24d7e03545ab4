import json
from typing import Any

import pytest

from patchmill.client.http import Client
from patchmill.client.problem import ApiError
from patchmill.errors import Unavailable
from tests.support.api import User, fix_request
from tests.support.raw_server import Cut, RawServer, Reset, Script, response

JOB = {"id": "job_1", "state": "queued", "attempt": 0, "wait_reason": None}
PROBLEM = {
    "type": "/problems/invalid_field",
    "title": "Invalid field",
    "status": 422,
    "code": "invalid_field",
    "detail": "1 mistake in the request",
    "request_id": "req_1",
    "errors": [{"pointer": "/findings/0/start_line", "code": "out_of_range", "detail": "the file ends at 2"}],
}


def answer(document: Any, status: str = "200 OK") -> bytes:
    return response(json.dumps(document).encode(), status=status)


def idempotency_keys(server: RawServer) -> list[str]:
    """The keys of the requests, in order."""
    return [
        line.partition(":")[2].strip()
        for request in server.requests
        for line in request.head.splitlines()
        if line.lower().startswith("idempotency-key:")
    ]


def client_of(server: RawServer, **options: int) -> Client:
    return Client(server.url.removesuffix("/v1"), "pm_key", **options)


def test_a_submission_whose_connection_breaks_is_sent_again_under_the_same_key() -> None:
    scripts: list[Script] = [[Reset()], [Cut()], [answer(JOB, "202 Accepted")]]
    with RawServer(*scripts) as server, client_of(server) as client:
        document = client.submit({"kind": "fix"})

    keys = idempotency_keys(server)
    assert document == JOB
    assert (len(keys), len(set(keys))) == (3, 1)


def test_two_submissions_have_two_keys() -> None:
    with RawServer([answer(JOB)]) as server, client_of(server) as client:
        client.submit({"kind": "fix"})
        client.submit({"kind": "fix"})

    assert len(set(idempotency_keys(server))) == 2


def test_a_server_that_never_answers_is_unavailable_after_a_few_attempts() -> None:
    with RawServer([Reset()]) as server, client_of(server, attempts=3) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            client.submit({"kind": "fix"})
        assert len(server.requests) == 3


def test_a_server_that_is_not_ready_is_asked_again() -> None:
    not_now = answer({"code": "unavailable", "detail": "no database"}, "503 Service Unavailable")
    with RawServer([not_now], [answer(JOB)]) as server, client_of(server) as client:
        assert client.job("job_1") == JOB


def test_a_problem_says_what_is_wrong_and_where() -> None:
    with RawServer([answer(PROBLEM, "422 Unprocessable Entity")]) as server, client_of(server) as client:
        with pytest.raises(ApiError) as caught:
            client.submit({"kind": "fix"})
        assert len(server.requests) == 1

    assert (caught.value.status, caught.value.code) == (422, "invalid_field")
    assert caught.value.request_id == "req_1"
    assert caught.value.pointers == ["/findings/0/start_line"]
    assert "/findings/0/start_line: the file ends at 2" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>nope</html>", b"[]", b'"text"'])
def test_an_answer_that_is_not_patchmills_is_told_apart(body: bytes) -> None:
    with (
        RawServer([response(body)]) as server,
        client_of(server) as client,
        pytest.raises(ApiError, match="is it Patchmill") as caught,
    ):
        client.job("job_1")

    assert caught.value.code == "unexpected_answer"


def test_waiting_tells_of_each_change_and_ends_with_the_job() -> None:
    states = ["queued", "running", "running", "succeeded"]
    scripts: list[Script] = [[answer({**JOB, "state": state})] for state in states]
    seen: list[str] = []
    with RawServer(*scripts) as server, client_of(server) as client:
        ended = client.wait("job_1", timeout_s=30, on_change=lambda document: seen.append(document["state"]))

    assert ended["state"] == "succeeded"
    assert seen == ["queued", "running", "succeeded"]


def test_waiting_gives_up_at_its_deadline() -> None:
    with (
        RawServer([answer(JOB)]) as server,
        client_of(server) as client,
        pytest.raises(TimeoutError, match="job_1 has not ended after 1 s; it is queued"),
    ):
        client.wait("job_1", timeout_s=1)


def test_a_restart_while_one_waits_is_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    not_now = answer({"code": "unavailable", "detail": "no database"}, "503 Service Unavailable")
    ended = answer({**JOB, "state": "succeeded"})
    scripts: list[Script] = [[answer(JOB)], *[[Reset()]] * 5, [not_now], [ended]]
    with RawServer(*scripts) as server, client_of(server, attempts=2) as client:
        assert client.wait("job_1", timeout_s=60)["state"] == "succeeded"

    [told] = caplog.messages
    assert "does not answer" in told
    assert "job_1 goes on there" in told


def test_a_server_that_stays_away_while_one_waits_is_told_when_the_time_is_over() -> None:
    expected = r"job_1 is not known to have ended after 1 s: .*does not answer.*goes on there"
    with (
        RawServer([answer(JOB)], [Reset()]) as server,
        client_of(server, attempts=1) as client,
        pytest.raises(TimeoutError, match=expected),
    ):
        client.wait("job_1", timeout_s=1)


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    with RawServer([Reset()]) as server, client_of(server, attempts=2) as client:
        with pytest.raises(Unavailable):
            client.wait("job_1", timeout_s=60)
        assert len(server.requests) == 2


def test_an_id_cannot_lead_to_another_path() -> None:
    with RawServer([answer(JOB)]) as server, client_of(server) as client:
        client.job("../keys?x=1")

    assert server.requests[0].head.startswith("GET /v1/jobs/..%2Fkeys%3Fx%3D1 ")


def test_jobs_come_page_by_page_and_a_cancelled_one_says_so(user: User) -> None:
    with Client(user.api.url, user.secret.text()) as client:
        ids = [client.submit(fix_request())["id"] for _ in range(3)]
        client.cancel(ids[0])

        assert [job["id"] for job in client.jobs(limit="1")] == ids[::-1]
        assert [job["id"] for job in client.jobs(state="cancelled")] == [ids[0]]


def test_a_key_that_does_not_exist_is_refused_by_the_api(user: User) -> None:
    with Client(user.api.url, "pm_nobody") as client, pytest.raises(ApiError) as caught:
        client.job("job_1")

    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")
