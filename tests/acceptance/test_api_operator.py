"""Workers, queues and pauses over HTTP: what an operator with an `admin` key sees and does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from patchmill import __version__
from patchmill.job.slots import SlotReport
from patchmill.queue.slots import SlotLeases
from patchmill.store import access, workers
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import audit
from patchmill.store.tables import workers as workers_table
from tests.support.api import Api, User, fix_request, running_api
from tests.support.claimed import dispatched

PRICE = {
    "model": "model-of-nobody",
    "input_usd_per_million": "0.14",
    "cached_usd_per_million": "0.0028",
    "output_usd_per_million": "0.28",
}


@pytest.fixture
def own_api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """An API of this test alone, since queues are everybody's."""
    with running_api(database_url, redis_url, tmp_path, lease_ttl_s=30) as running:
        yield running


@pytest.fixture
def operator(own_api: Api) -> Iterator[User]:
    made = User(own_api, project=access.INSTALLATION)
    yield made
    made.http.close()


def audited(api: Api) -> list[tuple[str, str, str]]:
    with api.engine.connect() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id))
        return [(row.actor, row.action, row.subject) for row in rows]


def job_of(user: User, job_id: str) -> Any:
    return user.http.get(f"/v1/jobs/{job_id}").json()


def test_workers_are_listed_as_they_stand_with_their_jobs_and_slots(
    own_api: Api, operator: User, redis_url: str
) -> None:
    made = {name: new_id() for name in ("long gone", "stopped", "silent", "draining", "working")}
    old = func.now() - func.make_interval(0, 0, 0, 0, 2)
    lately = func.now() - func.make_interval(0, 0, 0, 0, 0, 5)
    with own_api.engine.begin() as connection:
        for name, worker_id in made.items():
            workers.register(connection, worker_id, name, __version__ if name == "working" else None)
        changes: dict[str, dict[str, Any]] = {
            "long gone": {"heartbeat_at": old, "stopped_at": old},
            "stopped": {"stopped_at": lately},
            "silent": {"heartbeat_at": lately},
            "draining": {"draining": True},
        }
        for name, values in changes.items():
            connection.execute(
                workers_table.update().where(workers_table.c.id == made[name]).values(**values)
            )
        for number, worker_id in enumerate(made.values()):
            started = func.now() - func.make_interval(0, 0, 0, 0, 3, -number)
            connection.execute(
                workers_table.update().where(workers_table.c.id == worker_id).values(started_at=started)
            )
    job = operator.submit()["id"]
    operator.run(job)
    with own_api.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET worker_id = :id"), {"id": made["working"]})
        connection.execute(text("DELETE FROM workers WHERE name = 'test'"))
    leases = SlotLeases(redis_url)
    report = SlotReport(limit=0, used=0, urgent_used=0, urgent_waiting=3, bulk_waiting=0, refused=None)
    leases.share(str(made["working"]), report, cap=8, mark="")
    leases.close()

    answer = operator.http.get("/v1/workers").json()

    listed = [(each["name"], each["state"], each["jobs"], each["slots"]) for each in answer["data"]]
    assert listed == [
        ("working", "working", 1, 3),
        ("draining", "draining", 0, 0),
        ("silent", "silent", 0, 0),
        ("stopped", "stopped", 0, 0),
    ]
    assert [each["version"] for each in answer["data"][:2]] == [__version__, None]
    assert answer["data"][3]["stopped_at"].endswith("Z")


def test_queues_count_everybodys_jobs_and_show_the_keys_own_project(own_api: Api, operator: User) -> None:
    other = User(own_api)
    for number in range(3):
        operator.submit(fix_request(options={"priority": "bulk"}, labels={"n": str(number)}))
    other.submit(fix_request(options={"priority": "interactive"}))
    with own_api.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE jobs SET wait_reason = 'budget', run_at = now() + interval '1 hour'"
                " WHERE labels ->> 'n' = '2'"
            )
        )
    operator.http.patch(f"/v1/projects/{to_edge('prj', operator.project_id)}", json={"share": {"weight": 3}})

    seen = operator.http.get("/v1/queues").json()

    interactive, bulk = seen["queues"]
    assert (interactive["name"], interactive["due"], interactive["waiting"]) == ("interactive", 1, {})
    assert (bulk["name"], bulk["due"], bulk["waiting"]) == ("bulk", 2, {"budget": 1})
    assert (bulk["rate_per_min"], bulk["paused"]) == ({"in": 3, "out": 0}, None)
    assert bulk["oldest_due_s"] > 0
    [own] = seen["projects"]
    assert (own["project"], own["weight"], own["dispatched_ever"]) == (
        to_edge("prj", operator.project_id),
        3,
        0,
    )
    assert [queue["due"] for queue in own["queues"]] == [0, 2]

    dispatched(own_api.engine)

    seen = operator.http.get("/v1/queues").json()
    assert [queue["dispatched"] for queue in seen["queues"]] == [1, 2]
    assert seen["projects"][0]["dispatched_ever"] == 2
    other.http.close()


def test_a_project_is_paused_and_resumed_once_each(own_api: Api, operator: User) -> None:
    other = User(own_api)
    job, others_job = operator.submit()["id"], other.submit()["id"]
    path = f"/v1/projects/{to_edge('prj', operator.project_id)}"

    for reason in ("the bill", "again"):
        paused = operator.http.post(f"{path}/pause", json={"reason": reason})
        assert paused.status_code == 200, paused.text

    actor = to_edge("key", operator.key_id)
    told = paused.json()["paused"]
    assert (told["what"], told["reason"], told["actor"]) == ("project", "the bill", actor)
    waiting = job_of(operator, job)
    assert (waiting["state"], waiting["wait_reason"], waiting["run_at"]) == ("queued", "paused", None)
    assert waiting["paused_by"] == told
    assert job_of(other, others_job)["wait_reason"] is None
    assert operator.submit()["wait_reason"] == "paused"
    assert operator.http.get("/v1/gateway").json()["pauses"] == [told]
    assert other.http.get("/v1/gateway").json()["pauses"] == []
    numbers = operator.http.get("/v1/stats").json()["jobs"]
    assert (numbers["queued"], numbers["waiting"]) == (0, 2)
    assert [job_id for job_id, _, _ in dispatched(own_api.engine)] == [
        each for each in own_api_jobs(own_api) if to_edge("job", each) == others_job
    ]

    for _ in range(2):
        resumed = operator.http.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["paused"]) == (200, None)

    assert (job_of(operator, job)["wait_reason"], job_of(operator, job)["paused_by"]) == (None, None)
    assert len(dispatched(own_api.engine)) == 2
    subject = to_edge("prj", operator.project_id)
    assert audited(own_api) == [(actor, "project.pause", subject), (actor, "project.resume", subject)]
    other.http.close()


def own_api_jobs(api: Api) -> list[Any]:
    with api.engine.connect() as connection:
        return list(connection.scalars(text("SELECT id FROM jobs")))


def test_a_queue_and_all_calls_are_paused_and_resumed(own_api: Api, operator: User) -> None:
    job = operator.submit(fix_request(options={"priority": "bulk"}))["id"]
    actor = to_edge("key", operator.key_id)

    queues = operator.http.post("/v1/queues/bulk/pause", json={"reason": "the night"}).json()
    assert [queue["paused"] is not None for queue in queues["queues"]] == [False, True]
    assert queues["queues"][1]["waiting"] == {"paused": 1}
    assert job_of(operator, job)["paused_by"]["name"] == "bulk"

    gateway = operator.http.post("/v1/gateway/pause", json={"reason": "the bill"}).json()
    assert (gateway["state"], gateway["reason"], gateway["message"]) == ("paused", "operator", "the bill")
    assert (gateway["actor"], [each["what"] for each in gateway["pauses"]]) == (actor, ["queue"])

    queues = operator.http.post("/v1/queues/bulk/resume").json()
    assert [queue["paused"] for queue in queues["queues"]] == [None, None]
    with own_api.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET wait_reason = 'paused', run_at = now() + interval '1 hour'"))
    waiting = job_of(operator, job)
    assert (waiting["paused_by"]["what"], waiting["paused_by"]["actor"]) == ("installation", actor)
    assert waiting["run_at"] is not None

    gateway = operator.http.post("/v1/gateway/resume").json()
    assert (gateway["state"], gateway["actor"]) == ("ok", None)
    assert [(action, subject) for _, action, subject in audited(own_api)] == [
        ("queue.pause", "bulk"),
        ("gateway.pause", "gateway"),
        ("queue.resume", "bulk"),
        ("gateway.resume", "gateway"),
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/workers"),
        ("GET", "/v1/queues"),
        ("POST", "/v1/queues/bulk/pause"),
        ("POST", "/v1/queues/bulk/resume"),
        ("POST", "/v1/gateway/pause"),
        ("POST", "/v1/gateway/resume"),
        ("POST", "/v1/projects/{own}/pause"),
        ("POST", "/v1/projects/{own}/resume"),
    ],
)
def test_an_operators_routes_need_an_admin_key(api: Api, method: str, path: str) -> None:
    user = User(api, ("jobs:read", "jobs:write"))
    address = path.format(own=to_edge("prj", user.project_id))

    answer = user.http.request(method, address, json={} if method == "POST" else None)

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    user.http.close()


def test_what_cannot_be_paused_is_refused_with_the_place(own_api: Api, operator: User) -> None:
    other = User(own_api)

    refusals = [
        operator.http.post(path, json=body)
        for path, body in (
            (f"/v1/projects/{to_edge('prj', other.project_id)}/pause", {}),
            ("/v1/projects/prj_x/resume", None),
            ("/v1/queues/fast/pause", {}),
            ("/v1/queues/fast/resume", None),
            ("/v1/gateway/resume?model=no-such-model", None),
            ("/v1/gateway/pause", {"reason": "x" * 301}),
            ("/v1/queues/bulk/pause", {"because": "x"}),
        )
    ]

    assert [each.status_code for each in refusals] == [404, 404, 404, 404, 404, 422, 422]
    assert [each.json()["errors"][0]["pointer"] for each in refusals[5:]] == ["/reason", "/because"]
    other.http.close()


def test_what_concerns_the_whole_installation_takes_a_key_of_its_own_project(
    own_api: Api, operator: User
) -> None:
    user = User(own_api)
    name = f"everybody's {new_id()}"
    everybodys = {
        "name": name,
        "scope": {"kind": "installation"},
        "window": {"kind": "day"},
        "limit": {"usd": "900"},
    }
    budget = operator.http.post("/v1/budgets", json=everybodys).json()["id"]
    own = f"/v1/projects/{to_edge('prj', user.project_id)}"

    refusals = [
        user.http.request(method, path, json=body)
        for method, path, body in (
            ("POST", "/v1/gateway/pause", {}),
            ("POST", "/v1/gateway/resume", None),
            ("POST", "/v1/queues/bulk/pause", {}),
            ("POST", "/v1/queues/bulk/resume", None),
            ("POST", "/v1/prices", PRICE),
            ("POST", "/v1/budgets", {**everybodys, "name": f"{name}, too"}),
            ("PATCH", f"/v1/budgets/{budget}", {"limit": {"usd": "901"}}),
            ("DELETE", f"/v1/budgets/{budget}", None),
            ("PATCH", own, {"share": {"weight": 100}, "policy": {"repairs": 0}}),
        )
    ]

    assert [each.status_code for each in refusals] == [403] * len(refusals)
    for each in refusals:
        assert each.json()["detail"] == (
            "this concerns the whole installation: it needs an admin key of the project `default`, "
            "or the command line on the host"
        )
    assert user.http.get("/v1/gateway").json()["state"] == "ok"
    assert user.http.get(f"/v1/budgets/{budget}").json()["limit"]["usd"] == "900"
    assert user.http.get(own).json()["own_policy"] == {}
    assert user.http.get(own).json()["share"]["weight"] == 1
    assert user.http.post(f"{own}/pause", json={}).status_code == 200
    assert operator.http.delete(f"/v1/budgets/{budget}").status_code == 204
    user.http.close()
