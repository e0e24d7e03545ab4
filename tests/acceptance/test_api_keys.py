from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine, select, update

from patchmill.store import key_secret
from patchmill.store.tables import keys
from tests.support.api import Api, User, fix_request

ROUTES = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("GET", "/v1/jobs/job_1/suggestions"),
    ("POST", "/v1/budgets"),
    ("GET", "/v1/budgets"),
    ("GET", "/v1/budgets/bud_1"),
    ("PATCH", "/v1/budgets/bud_1"),
    ("DELETE", "/v1/budgets/bud_1"),
    ("GET", "/v1/prices"),
    ("POST", "/v1/prices"),
    ("POST", "/v1/estimate"),
    ("GET", "/v1/usage"),
    ("POST", "/v1/keys"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys/key_1/revoke"),
    ("POST", "/v1/jobs/job_1/retry"),
    ("POST", "/v1/jobs/retry"),
    ("POST", "/v1/jobs/cancel"),
    ("GET", "/v1/jobs/job_1/events"),
    ("GET", "/v1/jobs/job_1/calls"),
    ("DELETE", "/v1/jobs/job_1/source"),
    ("POST", "/v1/runs"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/run_1"),
    ("POST", "/v1/runs/run_1/cancel"),
    ("GET", "/v1/runs/run_1/events"),
    ("GET", "/v1/runs/run_1/suggestions"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/gateway"),
    ("POST", "/v1/gateway/pause"),
    ("POST", "/v1/gateway/resume"),
    ("GET", "/v1/gateway/uncertain"),
    ("POST", "/v1/gateway/uncertain/call_1/decision"),
    ("GET", "/v1/models"),
    ("GET", "/v1/projects"),
    ("GET", "/v1/projects/prj_1"),
    ("PATCH", "/v1/projects/prj_1"),
    ("POST", "/v1/projects/prj_1/pause"),
    ("POST", "/v1/projects/prj_1/resume"),
    ("GET", "/v1/queues"),
    ("POST", "/v1/queues/bulk/pause"),
    ("POST", "/v1/queues/bulk/resume"),
    ("GET", "/v1/workers"),
    ("POST", "/v1/webhooks"),
    ("GET", "/v1/webhooks"),
    ("GET", "/v1/webhooks/whk_1"),
    ("PATCH", "/v1/webhooks/whk_1"),
    ("DELETE", "/v1/webhooks/whk_1"),
    ("POST", "/v1/webhooks/whk_1/rotate"),
    ("POST", "/v1/webhooks/whk_1/test"),
    ("GET", "/v1/webhooks/whk_1/deliveries"),
    ("POST", "/v1/webhooks/whk_1/replay"),
    ("POST", "/v1/webhooks/whk_1/deliveries/dlv_1/replay"),
]
STRANGE = key_secret.KeySecret(public_id="0" * 8, secret="1" * 32).text()
OPEN = {"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/problems/{code}"}


@contextmanager
def holder_of(api: Api, *scopes: str) -> Iterator[User]:
    user = User(api, scopes)
    yield user
    user.http.close()


def set_columns(engine: Engine, user: User, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(keys).where(keys.c.id == user.key_id).values(**values))


def test_every_route_but_six_needs_a_key(api: Api) -> None:
    with api.client() as client:
        document = client.get("/openapi.json").json()
        described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
        for method, path in described:
            status = client.request(method, path.replace("{", "").replace("}", "")).status_code
            assert (status == 401) == (path not in OPEN), (method, path, status)
        assert client.get("/docs").status_code == 200
    assert len(described) == len(ROUTES) + len(OPEN - {"/docs", "/openapi.json"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer pm_",
        "Basic dXNlcjpwYXNz",
        "Bearer " + "pm_" + "0" * 46,
        f"Bearer {STRANGE}",
        f"Bearer {STRANGE[:-1]}",
        "Bearer \u00e4",
    ],
)
def test_what_is_no_key_opens_nothing(api: Api, header: str) -> None:
    with api.client() as client:
        for method, path in ROUTES:
            headers = [(b"Authorization", header.encode("latin-1"))]
            response = client.request(method, path, headers=headers)
            assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


def test_a_key_with_another_secret_opens_nothing(user: User) -> None:
    forged = key_secret.KeySecret(public_id=user.secret.public_id, secret="A" * 32).text()

    response = user.http.get("/v1/jobs", headers={"Authorization": f"Bearer {forged}"})

    assert response.status_code == 401


def test_the_stored_hash_is_no_key(api: Api, user: User) -> None:
    with api.engine.connect() as connection:
        stored = connection.scalars(select(keys.c.secret_hash).where(keys.c.id == user.key_id)).one()

    response = user.http.get("/v1/jobs", headers={"Authorization": f"Bearer pm_{stored.hex()}"})

    assert response.status_code == 401


def test_the_word_bearer_may_be_written_in_any_case(user: User) -> None:
    response = user.http.get("/v1/jobs", headers={"Authorization": f"bearer {user.secret.text()}"})

    assert response.status_code == 200


def test_a_revoked_key_is_dead_at_once(user: User) -> None:
    own = user.http.get("/v1/keys").json()["data"][0]

    revoked = user.http.post(f"/v1/keys/{own['id']}/revoke").json()

    assert revoked["revoked_at"] is not None
    response = user.http.get("/v1/jobs")
    assert (response.status_code, response.json()["detail"]) == (401, "this key is revoked")


def test_an_expired_key_opens_nothing(api: Api, user: User) -> None:
    set_columns(api.engine, user, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    response = user.http.get("/v1/jobs")

    assert (response.status_code, response.json()["detail"]) == (401, "this key has expired")


def test_the_use_of_a_key_is_remembered_to_the_minute(api: Api, user: User) -> None:
    user.http.get("/v1/jobs")
    (first,) = user.http.get("/v1/keys").json()["data"]
    earlier = datetime.now(UTC) - timedelta(minutes=5)
    set_columns(api.engine, user, last_used_at=earlier)

    (second,) = user.http.get("/v1/keys").json()["data"]

    assert first["last_used_at"] is not None
    assert datetime.fromisoformat(second["last_used_at"]) > earlier


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("jobs:read", {("GET", "/v1/jobs"), ("GET", "/v1/budgets")}),
        ("jobs:write", {("POST", "/v1/jobs")}),
        (
            "admin",
            {("GET", "/v1/jobs"), ("GET", "/v1/budgets"), ("POST", "/v1/jobs"), ("GET", "/v1/keys")},
        ),
    ],
)
def test_a_key_does_what_its_scopes_allow(api: Api, scope: str, allowed: set[tuple[str, str]]) -> None:
    with holder_of(api, scope) as user:
        for method, path in [
            ("GET", "/v1/jobs"),
            ("GET", "/v1/budgets"),
            ("POST", "/v1/jobs"),
            ("GET", "/v1/keys"),
        ]:
            response = user.http.request(method, path, json=fix_request() if method == "POST" else None)
            assert (response.status_code != 403) == ((method, path) in allowed), (method, path)
            if response.status_code == 403:
                assert response.json()["code"] == "forbidden"


def test_a_new_key_shows_its_secret_once_and_works(api: Api, user: User) -> None:
    response = user.http.post("/v1/keys", json={"name": "ci", "scopes": ["jobs:read"]})

    made = response.json()
    assert response.status_code == 201
    assert made["secret"].startswith(made["prefix"])
    assert made["project"] == f"prj_{user.project_id.hex}"
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {made['secret']}"}) as other:
        assert other.get("/v1/jobs").status_code == 200
        assert other.post("/v1/jobs", json=fix_request()).status_code == 403
    listed = user.http.get("/v1/keys").json()["data"]
    assert [key["name"] for key in listed] == ["ci", "test"]
    assert all("secret" not in key for key in listed)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["root"]}, "/scopes/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2099-01-01"}, "/expires_at"),
        ({"expires_at": 4102444800}, "/expires_at"),
        ({"project": "other"}, "/project"),
    ],
)
def test_a_wrong_key_request_is_refused(user: User, changes: dict[str, object], pointer: str) -> None:
    response = user.http.post("/v1/keys", json={"name": "ci", **changes})

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


def test_another_projects_key_cannot_be_revoked(api: Api, user: User) -> None:
    with holder_of(api, "jobs:read") as other:
        response = user.http.post(f"/v1/keys/key_{other.key_id.hex}/revoke")

        assert response.status_code == 404
        assert other.http.get("/v1/jobs").status_code == 200
