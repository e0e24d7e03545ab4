"""Webhooks over HTTP: make, list, read, change, delete, and what is refused."""

import json
import threading
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from patchmill.deliver.webhook import TYPES
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import audit, webhooks
from tests.support.api import Api, User

URL = "https://hooks.example/patchmill?token=t0ken"
JSON = {"Content-Type": "application/json"}


def create(user: User, **changes: Any) -> dict[str, Any]:
    response = user.http.post("/v1/webhooks", json={"url": URL, "events": ["job.succeeded"], **changes})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def pointers(response: httpx.Response) -> dict[str, str]:
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_field"), response.text
    return {error["pointer"]: error["detail"] for error in problem["errors"]}


def test_a_webhook_shows_its_secret_once(user: User) -> None:
    response = user.http.post("/v1/webhooks", json={"url": URL, "events": ["job.failed", "run.finished"]})
    made = response.json()

    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert len(secret) == len("whsec_") + 44
    assert made == {
        "id": made["id"],
        "url": URL,
        "events": ["job.failed", "run.finished"],
        "enabled": True,
        "failing_since": None,
    }
    assert response.headers["location"] == f"/v1/webhooks/{made['id']}"
    assert user.http.get(response.headers["location"]).json() == made
    assert user.http.get("/v1/webhooks").json() == {"data": [made], "next_cursor": None}


def test_no_secret_is_stored(api: Api, user: User) -> None:
    made = create(user)

    with api.engine.connect() as connection:
        rows = connection.execute(select(webhooks).where(webhooks.c.project_id == user.project_id)).all()
    assert made["secret"].removeprefix("whsec_") not in str(rows)


def test_secrets_differ_by_webhook_and_by_rotation(user: User) -> None:
    first, second = create(user), create(user)

    rotated = user.http.post(f"/v1/webhooks/{first['id']}/rotate")

    assert rotated.status_code == 200
    assert len({first["secret"], second["secret"], rotated.json()["secret"]}) == 3
    assert "secret" not in user.http.get(f"/v1/webhooks/{first['id']}").json()


def test_webhooks_are_listed_in_pages_newest_first(user: User) -> None:
    made = [create(user)["id"] for _ in range(3)]

    first = user.http.get("/v1/webhooks", params={"limit": 2}).json()
    second = user.http.get("/v1/webhooks", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert sorted(each["id"] for each in [*first["data"], *second["data"]]) == sorted(made)
    assert (len(first["data"]), second["next_cursor"]) == (2, None)


def test_a_change_leaves_what_it_does_not_name(user: User) -> None:
    made = create(user)
    place = f"/v1/webhooks/{made['id']}"

    assert user.http.patch(place, json={}).json() == _without_secret(made)
    changed = user.http.patch(place, json={"events": ["run.finished", "run.finished"]}).json()
    assert changed == {**_without_secret(made), "events": ["run.finished"]}
    changed = user.http.patch(place, json={"url": "http://other.example:8080/", "enabled": False}).json()
    assert changed == user.http.get(place).json()
    assert (changed["url"], changed["enabled"]) == ("http://other.example:8080/", False)


def _without_secret(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "secret"}


def test_a_deleted_webhook_is_gone(user: User) -> None:
    place = f"/v1/webhooks/{create(user)['id']}"

    deleted = user.http.delete(place)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert user.http.get("/v1/webhooks").json()["data"] == []
    assert user.http.get(place).status_code == 404
    assert user.http.delete(place).status_code == 404
    assert user.http.get(f"{place}/deliveries").status_code == 404


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("DELETE", "", None),
        ("POST", "/rotate", None),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", f"/deliveries/dlv_{'0' * 32}/replay", None),
        ("POST", "/replay", {"since": "2026-01-01T00:00:00Z"}),
    ],
)
def test_a_webhook_of_another_project_is_not_found(
    api: Api, user: User, method: str, rest: str, body: dict[str, Any] | None
) -> None:
    made = create(user)
    stranger = User(api)

    for identity in (made["id"], to_edge("whk", new_id()), "whk_1", made["id"].replace("whk", "job")):
        response = stranger.http.request(method, f"/v1/webhooks/{identity}{rest}", json=body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    stranger.http.close()

    assert user.http.get(f"/v1/webhooks/{made['id']}").json() == _without_secret(made)


def test_webhooks_need_the_scope_admin(api: Api) -> None:
    worker = User(api, scopes=["jobs:read", "jobs:write"])

    for method, path in [("GET", ""), ("POST", ""), ("GET", f"/{to_edge('whk', new_id())}/deliveries")]:
        assert worker.http.request(method, f"/v1/webhooks{path}", json={}).status_code == 403
    worker.http.close()


def test_a_project_has_twenty_webhooks_at_most_even_when_made_at_once(user: User) -> None:
    for _ in range(17):
        create(user)
    statuses: list[int] = []

    def make() -> None:
        body = {"url": URL, "events": ["job.failed"]}
        statuses.append(user.http.post("/v1/webhooks", json=body).status_code)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [201] * 3 + [409] * 5
    assert len(user.http.get("/v1/webhooks").json()["data"]) == 20


def test_changes_are_on_record_without_what_may_be_secret(api: Api, user: User) -> None:
    made = create(user)
    place = f"/v1/webhooks/{made['id']}"
    user.http.patch(place, json={"events": ["run.finished"]})
    user.http.post(f"{place}/rotate")
    user.http.delete(place)

    with api.engine.connect() as connection:
        rows = connection.execute(select(audit).where(audit.c.subject == made["id"]).order_by("id")).all()
    assert [row.action for row in rows] == [
        "webhook.create",
        "webhook.change",
        "webhook.rotate",
        "webhook.delete",
    ]
    assert {row.actor for row in rows} == {to_edge("key", user.key_id)}
    assert rows[0].details == {"host": "hooks.example", "events": ["job.succeeded"], "enabled": True}
    assert "t0ken" not in str(rows)
    assert "whsec_" not in str(rows)


REFUSED_URLS = {
    "no URL": "hooks.example",
    "nothing": "",
    "another scheme": "ftp://hooks.example/",
    "a file": "file:///etc/passwd",
    "a script": "javascript:alert(1)",
    "no host": "https:///path",
    "what is no name of a host": "https://xn--a/",
    "a user": "https://user@hooks.example/",
    "a password": "https://user:password@hooks.example/",
    "an empty user": "https://@hooks.example/",
    "a backslash before the host": "https://hooks.example\\@127.0.0.1/",
    "a fragment": "https://hooks.example/#part",
    "an empty fragment": "https://hooks.example/#",
    "a line end": "https://hooks.example/\r\nX: y",
    "a blank": "https://hooks example/",
    "NUL": "https://hooks.example/\0",
    "half a character": "https://hooks.example/\ud800",
    "port zero": "https://hooks.example:0/",
    "the port of mail": "http://hooks.example:25/",
    "the port of ssh": "http://hooks.example:22/",
    "a port that is none": "http://hooks.example:65536/",
    "a port that is a word": "http://hooks.example:web/",
    "an open bracket": "http://[::1",
    "an escaped host": "http://%31%32%37.0.0.1/",
    "a long one": f"https://hooks.example/{'x' * 2_000}",
    "a number": 1,
    "nothing at all": None,
    "loopback": "http://127.0.0.1/",
    "loopback and a port": "https://127.0.0.1:8443/",
    "loopback as a number": "http://2130706433/",
    "loopback in hexadecimal": "http://0x7f.1/",
    "loopback, short": "http://127.1/",
    "loopback in octal": "http://00000177.1/",
    "loopback in full width": "http://127\u30020\u30020\u30021/",
    "loopback in circles": "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",
    "loopback 6": "http://[::1]/",
    "loopback, mapped": "http://[::ffff:127.0.0.1]/",
    "loopback by NAT64": "http://[64:ff9b::7f00:1]/",
    "unspecified": "http://0/",
    "private": "http://10.1.2.3:9000/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "metadata by IPv6": "http://[fd00:ec2::254]/",
    "link-local with a zone": "http://[fe80::1%25eth0]/",
    "this machine by name": "http://localhost:8080/",
    "this machine in capitals": "https://LOCALHOST/",
    "this machine with the root's dot": "http://localhost./",
    "a name below it": "http://hooks.localhost:9000/",
    "this machine and its domain": "http://localhost.localdomain/",
    "this machine by IPv6": "http://ip6-localhost/",
    "this machine in full width": "http://\uff4c\uff4fcalhost/",
}


@pytest.mark.parametrize("case", REFUSED_URLS)
def test_a_url_that_may_not_be_reached_is_refused_with_its_reason(user: User, case: str) -> None:
    given = REFUSED_URLS[case]
    made = create(user)

    asked = json.dumps({"url": given, "events": ["job.failed"]}).encode()
    changed = json.dumps({"url": given}).encode()
    for response in (
        user.http.post("/v1/webhooks", content=asked, headers=JSON),
        user.http.patch(f"/v1/webhooks/{made['id']}", content=changed, headers=JSON),
    ):
        if given is None and response.request.method == "PATCH":
            continue
        found = pointers(response)
        assert list(found) == ["/url"]
        assert found["/url"]
        (error,) = response.json()["errors"]
        assert error["code"] in {"not_allowed", "wrong_type", "missing", "too_short", "too_long"}
    assert user.http.get(f"/v1/webhooks/{made['id']}").json()["url"] == URL


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254"])
def test_a_refused_host_is_told_with_the_setting_that_allows_it(user: User, host: str) -> None:
    response = user.http.post("/v1/webhooks", json={"url": f"http://{host}:9000/", "events": ["job.failed"]})

    assert "PATCHMILL_WEBHOOK_ALLOWED_NETWORKS" in pointers(response)["/url"]


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost.example/",
        "https://mylocalhost/",
        "https://hooks.example",
        "http://hooks.example/",
        "https://hooks.example:8443/a/b?c=d&e=%20",
        "https://b\u00fccher.example/\u00fc",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]:8443/",
        "http://hooks.internal:8080/",
    ],
)
def test_a_url_at_a_name_or_a_public_address_is_accepted(user: User, url: str) -> None:
    assert create(user, url=url)["url"] == url


def test_an_unknown_event_is_refused_with_the_nearest_one(user: User) -> None:
    response = user.http.post("/v1/webhooks", json={"url": URL, "events": ["job.failed", "job.suceeded"]})

    assert pointers(response) == {"/events/1": "there is no such event; did you mean `job.succeeded`?"}


def test_every_event_of_the_contract_is_accepted(user: User) -> None:
    assert create(user, events=list(TYPES))["events"] == list(TYPES)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"events": ["job.failed"]}, "/url"),
        ({"url": URL}, "/events"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": "job.failed"}, "/events"),
        ({"url": URL, "events": ["job.failed"] * 51}, "/events"),
        ({"url": URL, "events": [None]}, "/events/0"),
        ({"url": URL, "events": ["job.failed"], "enabled": 1}, "/enabled"),
        ({"url": URL, "events": ["job.failed"], "secret": "mine"}, "/secret"),
    ],
)
def test_a_request_with_a_mistake_is_refused_where_it_is(
    user: User, body: dict[str, Any], pointer: str
) -> None:
    assert list(pointers(user.http.post("/v1/webhooks", json=body))) == [pointer]


@pytest.mark.parametrize("since", [None, "yesterday", "2026-01-01", 0, "2026-13-01T00:00:00Z"])
def test_a_replay_needs_a_time(user: User, since: Any) -> None:
    place = f"/v1/webhooks/{create(user)['id']}/replay"

    assert list(pointers(user.http.post(place, json={"since": since}))) == ["/since"]


def test_a_disabled_webhook_sends_nothing_by_hand(user: User) -> None:
    place = f"/v1/webhooks/{create(user, enabled=False)['id']}"

    for rest, body in (("test", None), ("replay", {"since": "2026-01-01T00:00:00Z"})):
        response = user.http.post(f"{place}/{rest}", json=body)
        assert (response.status_code, response.json()["code"]) == (409, "state_conflict")


def test_an_unknown_parameter_or_state_is_refused(user: User) -> None:
    place = f"/v1/webhooks/{create(user)['id']}/deliveries"

    assert list(pointers(user.http.get(place, params={"stat": "failed"}))) == ["/query/stat"]
    assert list(pointers(user.http.get(place, params={"state": "lost"}))) == ["/query/state"]
    assert list(pointers(user.http.get(place, params={"cursor": "x"}))) == ["/query/cursor"]
