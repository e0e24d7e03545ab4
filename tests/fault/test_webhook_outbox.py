"""What ends is told, whatever dies between the commit and the receiver's door."""

import json
import signal
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update

from api.courier import Pace
from patchmill.store.engine import open_engine
from patchmill.store.tables import deliveries
from tests.support.api import User, fix_request, running_api
from tests.support.receiver import Receiver, Reply
from tests.support.services import cut_off
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

LOOPBACK = "127.0.0.0/8"


def subscribe(stack: Stack, url: str) -> tuple[str, str]:
    """Make a webhook; give its place and its secret."""
    with stack.http() as http:
        answer = http.post("/v1/webhooks", json={"url": url, "events": ["job.succeeded", "job.failed"]})
    assert answer.status_code == 201, answer.text
    return f"/v1/webhooks/{answer.json()['id']}/deliveries", answer.json()["secret"]


def submit(stack: Stack) -> str:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=fix_request())
    assert answer.status_code == 202, answer.text
    identity: str = answer.json()["id"]
    return identity


def kill(stack: Stack, number: int) -> None:
    stack.processes[number].send_signal(signal.SIGKILL)
    stack.processes[number].wait()


def in_outbox(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(deliveries)) or 0


def test_a_job_that_ends_while_no_api_runs_is_told_when_one_does(stack: Stack) -> None:
    stack.settings["PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    engine = open_engine(stack.database_url, pool_size=1)
    with Receiver() as receiver:
        stack.start_api()
        place, secret = subscribe(stack, receiver.url())
        job = submit(stack)
        kill(stack, 0)

        stack.start("worker")
        until(lambda: in_outbox(engine) == 1, "the news in the outbox")
        assert receiver.messages == []

        stack.start_api()
        (message,) = receiver.wait_for(1)
        with stack.http() as http:
            delivery = until(
                lambda: next((d for d in http.get(place).json()["data"] if d["state"] == "delivered"), None),
                "delivered",
            )
    engine.dispose()

    assert message.verified(secret)["data"]["id"] == job
    assert delivery["message"] == message.headers["webhook-id"]
    assert len(receiver.messages) == 1


def test_an_api_that_dies_while_it_sends_leaves_the_message_to_the_next_one(stack: Stack) -> None:
    stack.settings["PATCHMILL_WEBHOOK_ALLOWED_NETWORKS"] = LOOPBACK
    engine = open_engine(stack.database_url, pool_size=1)
    held = threading.Event()
    with Receiver(Reply(before=lambda: held.wait(60)), Reply()) as receiver:
        stack.start_api()
        place, secret = subscribe(stack, receiver.url())
        stack.start("worker")
        submit(stack)
        receiver.wait_for(1)
        kill(stack, 0)
        held.set()

        stack.start_api()
        with engine.begin() as connection:  # as if the time of the lease had passed
            moved = connection.execute(
                update(deliveries)
                .where(deliveries.c.next_attempt_at > func.now())
                .values(next_attempt_at=func.now())
            )
        assert moved.rowcount == 1
        first, second = receiver.wait_for(2)
        with stack.http() as http:
            (delivery,) = until(
                lambda: [d for d in http.get(place).json()["data"] if d["state"] == "delivered"], "delivered"
            )
    engine.dispose()

    assert first.verified(secret) == second.verified(secret)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]


def test_an_attempt_outlives_an_outage_of_postgres_and_is_made_once(
    postgres_url: str, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    sent, held = threading.Event(), threading.Event()

    def hold() -> None:
        sent.set()
        held.wait(60)

    pace = Pace(poll_s=0.05)
    with (
        Receiver(Reply(before=hold)) as receiver,
        running_api(database_url, redis_url, tmp_path, pace=pace, webhook_allowed_networks=LOOPBACK) as api,
    ):
        user = User(api)
        answer = user.http.post("/v1/webhooks", json={"url": receiver.url(), "events": ["job.cancelled"]})
        job = user.submit()["id"]
        user.http.post(f"/v1/jobs/{job}/cancel")
        assert sent.wait(60)
        with cut_off(postgres_url, database_url):
            held.set()
            until(lambda: user.http.get("/readyz").status_code == 503, "the outage noticed")
        api.engine.dispose()
        place = f"/v1/webhooks/{answer.json()['id']}/deliveries"

        def delivered() -> bool:
            listed = user.http.get(place)
            return listed.status_code == 200 and listed.json()["data"][0]["state"] == "delivered"

        until(delivered, "the attempt written")
        user.http.close()

    assert [json.loads(message.body)["type"] for message in receiver.messages] == ["job.cancelled"]
