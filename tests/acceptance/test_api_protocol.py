import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import MAX_BODY_BYTES, Api, User, finding, fix_request

JSON = {"Content-Type": "application/json"}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["status"], problem["type"]) == (status, f"/problems/{code}")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["instance"] == response.request.url.path
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_every_answer_has_a_request_id_of_its_own(user: User) -> None:
    answers = [
        user.http.post("/v1/jobs", json=fix_request()),
        user.http.get("/v1/jobs"),
        user.http.get("/nowhere"),
        user.http.delete("/v1/jobs"),
        user.http.post("/v1/jobs", content=b"{", headers=JSON),
        user.http.get("/v1/jobs", headers={"Authorization": "none", "X-Request-Id": "mine"}),
        user.http.get("/healthz"),
    ]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", request_id) for request_id in ids)


def test_an_unknown_path_is_a_problem(user: User) -> None:
    assert_problem(user.http.get("/v2/jobs"), 404, "not_found")
    assert_problem(user.http.get("/v1/jobs/"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/jobs", "GET, HEAD, POST"),
        ("/v1/stats", "GET, HEAD"),
        ("/v1/jobs/job_1/cancel", "POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
def test_another_method_is_a_problem_that_names_the_allowed_ones(user: User, path: str, allowed: str) -> None:
    response = user.http.delete(path)

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/jobs", "/v1/jobs/{job}", "/v1/jobs/{job}/suggestions?format=patch", "/v1/jobs?state=x"),
        *("/v1/jobs/job_1", "/v1/nothing", "/metrics", "/docs", "/jobs"),
    ],
)
def test_head_is_answered_as_get_without_the_content(user: User, path: str) -> None:
    path = path.format(job=user.submit()["id"])

    asked, told = user.http.head(path), user.http.get(path)

    assert asked.status_code == told.status_code
    assert asked.content == b""
    own = {"date", "x-request-id", "content-length"}  # problems carry the request's id, a page may its own
    assert {k: v for k, v in asked.headers.items() if k not in own} == {
        k: v for k, v in told.headers.items() if k not in own
    }
    assert int(asked.headers.get("content-length", "0")) > 0 or told.content == b""


def test_head_of_a_stream_tells_that_it_is_one_and_ends(user: User) -> None:
    path = f"/v1/jobs/{user.submit()['id']}/events"

    heads = [user.http.head(path) for _ in range(3)]

    assert {(head.status_code, head.content) for head in heads} == {(200, b"")}
    assert {head.headers["content-type"] for head in heads} == {"text/event-stream; charset=utf-8"}
    assert user.api.app.state.parts.waiting.watchers() == 0


def test_head_where_there_is_no_get_is_a_problem_without_content(user: User) -> None:
    head = user.http.head("/v1/jobs/job_1/cancel")

    assert (head.status_code, head.headers["allow"], head.content) == (405, "POST", b"")


INVALID_JSON = {
    "nothing": b"",
    "blanks": b" \n",
    "half": b'{"kind": "fix"',
    "not JSON": b"kind: fix",
    "not UTF-8": b'{"kind": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "NaN": b'{"options": {"deadline_s": NaN}}',
    "Infinity": b'{"options": {"deadline_s": -Infinity}}',
    "a bomb of lists": b"[" * 100_000,
    "a bomb of objects": b'{"a":' * 30_000,
    "a number with 100,000 digits": b'{"kind": ' + b"9" * 100_000 + b"}",
    "a key twice": b'{"kind": "fix", "kind": "annotate"}',
    "two values": b"{} {}",
    "a raw control character": b'{"kind": "\x01"}',
}


@pytest.mark.parametrize("case", INVALID_JSON)
def test_a_body_that_is_not_json_is_a_problem(user: User, case: str) -> None:
    response = user.http.post("/v1/jobs", content=INVALID_JSON[case], headers=JSON)

    assert_problem(response, 400, "invalid_json")
    assert user.stored() == (0, 0)


def test_invalid_json_says_where(user: User) -> None:
    response = user.http.post("/v1/jobs", content=b'{"kind":\n  fix}', headers=JSON)

    assert response.json()["detail"].startswith("line 2, column 3:")


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"fix"', b"true", b"1e400"])
def test_json_that_is_no_object_is_a_wrong_type(user: User, body: bytes) -> None:
    problem = assert_problem(user.http.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_field")

    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("", "wrong_type")]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e308", "10000000000000000000000000000000"])
@pytest.mark.parametrize("field", ["max_calls", "deadline_s"])
def test_a_number_that_fits_nowhere_is_out_of_range(user: User, number: str, field: str) -> None:
    body = json.dumps(fix_request(options={field: "NUMBER"})).replace('"NUMBER"', number)

    problem = assert_problem(user.http.post("/v1/jobs", content=body, headers=JSON), 422, "invalid_field")

    assert [error["pointer"] for error in problem["errors"]] == [f"/options/{field}"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_media_type_is_a_problem(user: User, headers: dict[str, str]) -> None:
    response = user.http.post("/v1/jobs", content=json.dumps(fix_request()), headers=headers)

    assert_problem(response, 415, "unsupported_media_type")
    assert user.stored() == (0, 0)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_announced_in_other_words(user: User, media_type: str) -> None:
    body = json.dumps(fix_request())

    response = user.http.post("/v1/jobs", content=body, headers={"Content-Type": media_type})

    assert response.status_code == 202


def test_a_body_over_the_limit_is_refused(user: User) -> None:
    response = user.http.post("/v1/jobs", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)

    problem = assert_problem(response, 413, "too_large")
    assert "200,000" in problem["detail"]


def test_a_body_over_the_limit_is_refused_without_an_announced_length(user: User) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1_000 + 1):
            yield b" " * 1_000

    response = user.http.post("/v1/jobs", content=chunks(), headers=JSON)

    assert_problem(response, 413, "too_large")


def test_a_body_of_exactly_the_limit_is_read(user: User) -> None:
    body = json.dumps(fix_request()).encode().ljust(MAX_BODY_BYTES)

    assert user.http.post("/v1/jobs", content=body, headers=JSON).status_code == 202


def test_an_object_of_very_many_fields_is_refused(user: User) -> None:
    body = json.dumps(fix_request(labels={str(number): "" for number in range(151)}))

    assert_problem(user.http.post("/v1/jobs", content=body, headers=JSON), 413, "too_large")


def test_a_request_without_a_key_is_refused_before_its_body_is_looked_at(api: Api) -> None:
    with api.client() as client:
        response = client.post("/v1/jobs", content=b"{", headers=JSON)

    assert_problem(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats()
    | st.text(st.characters(), max_size=10)
    | st.sampled_from(["fix", "annotate", "python", "src/app.py", "utf-8", "types", "0.05"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def _requests(draw: st.DrawFn) -> Any:
    """A valid request with some of its values, at any depth, replaced by any JSON."""
    body = fix_request(
        findings=[
            finding(
                fixes=[
                    {
                        "safe": True,
                        "edits": [
                            {"start_line": 4, "start_column": 1, "end_line": 4, "end_column": 2, "text": ""}
                        ],
                    }
                ]
            )
        ],
        scope={"start_line": 1, "end_line": 2},
        context=[{"path": "b.py", "content": ""}],
        checkers={"ruff": {"select": ["B"], "line-length": 100}},
        origin={"repository": "acme/app", "pull_request": 1},
        labels={"team": "core"},
        options={"max_cost_usd": "0.05", "deadline_s": 120, "max_calls": 2},
    )

    def mutated(value: Any) -> Any:
        if draw(st.integers(0, 9)) == 0:
            return draw(_json)
        if isinstance(value, dict):
            return {name: mutated(item) for name, item in value.items()}
        if isinstance(value, list):
            return [mutated(item) for item in value]
        return value

    return mutated(body)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=_requests() | _json)
def test_no_json_whatsoever_is_an_internal_error(user: User, body: Any) -> None:
    response = user.http.post("/v1/jobs", content=json.dumps(body), headers=JSON)

    if response.status_code != 202:
        assert_problem(response, response.status_code, response.json()["code"])
        assert response.status_code in {400, 413, 422}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60))
def test_no_bytes_whatsoever_are_an_internal_error(user: User, body: bytes) -> None:
    response = user.http.post("/v1/jobs", content=body, headers=JSON)

    assert response.status_code in {400, 422}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["state", "q", "rule", "label.x", "cursor", "limit", "created_after", "run", "project"]
    ),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_no_filter_whatsoever_is_an_internal_error(user: User, name: str, value: str) -> None:
    assert user.http.get("/v1/jobs", params={name: value}).status_code in {200, 422}
