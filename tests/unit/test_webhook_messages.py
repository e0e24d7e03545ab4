import json
import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from patchmill.deliver import signature, webhook
from patchmill.job.retry import DELIVERY_WAITS_S, LONGEST_ASKED_WAIT_S, after_failed_delivery

PEPPER = b"p" * 32
ID = uuid.UUID(int=7)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_delivery_is_tried_ten_times_in_about_three_days() -> None:
    rng = random.Random(1)
    waits = [after_failed_delivery(attempts, rng) for attempts in range(1, 11)]

    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert len(known) == 9
    assert 68 * 3600 < sum(known) < 84 * 3600
    assert sum(DELIVERY_WAITS_S) == pytest.approx(75.6 * 3600, rel=0.01)


def test_waits_are_spread_so_that_what_failed_together_does_not_come_back_together() -> None:
    rng = random.Random(1)
    waits = [after_failed_delivery(3, rng) for _ in range(200)]

    assert len(set(waits)) == 200
    assert all(wait is not None and 1_620 <= wait <= 1_980 for wait in waits)


def test_an_endpoint_can_ask_for_a_longer_wait_and_not_for_a_shorter_one() -> None:
    rng = random.Random(1)

    assert after_failed_delivery(1, rng, asked_s=600) == 600
    assert (after_failed_delivery(5, rng, asked_s=1) or 0) >= 16_000
    assert after_failed_delivery(1, rng, asked_s=10**9) == LONGEST_ASKED_WAIT_S
    assert after_failed_delivery(10, rng, asked_s=600) is None


def test_a_secret_is_derived_and_long_enough() -> None:
    secret = signature.secret(PEPPER, ID, 1)

    assert secret == signature.secret(PEPPER, ID, 1)
    others = [
        signature.secret(PEPPER, ID, 2),
        signature.secret(PEPPER, uuid.UUID(int=8), 1),
        signature.secret(b"q" * 32, ID, 1),
    ]
    assert len({secret, *others}) == 4
    assert len(Webhook(secret)._whsecret) == 32  # the library has no public way to ask


def test_the_old_secret_is_valid_for_a_day_after_a_rotation() -> None:
    just_before = NOW + timedelta(hours=24) - timedelta(seconds=1)

    assert signature.secret_numbers(1, None, NOW) == [1]
    assert signature.secret_numbers(3, NOW, NOW) == [3, 2]
    assert signature.secret_numbers(3, NOW, just_before) == [3, 2]
    assert signature.secret_numbers(3, NOW, NOW + timedelta(hours=24)) == [3]


def test_a_message_has_the_same_bytes_each_time_and_headers_of_each_attempt() -> None:
    data = {"id": "job_1", "origin": {"repository": "acme/\u00e4pp \U0001f600"}, "url": "/v1/jobs/job_1"}
    body = webhook.body("job.failed", NOW, data)
    secrets = [signature.secret(PEPPER, ID, 2), signature.secret(PEPPER, ID, 1)]

    headers = webhook.headers("msg_1", NOW, body, secrets)

    assert body.isascii()
    assert body == webhook.body("job.failed", NOW, dict(data))
    assert json.loads(body) == {
        "type": "job.failed",
        "timestamp": "2026-11-22T12:00:00.000000Z",
        "data": data,
    }
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert [each.split(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1", "v1"]
    assert headers["User-Agent"].startswith("Patchmill/")
