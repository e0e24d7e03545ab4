import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from patchmill.call.account import AccountClient, AccountUnavailable, AllowedModel, ListedModel
from patchmill.call.address import endpoint, management
from patchmill.call.reply import Answered
from patchmill.dev.standin.gateway import Options
from patchmill.dev.standin.server import running
from patchmill.errors import ConfigurationError
from patchmill.job.failure import FailureClass
from tests.support import plain_http
from tests.support.answers import KEY, NOW, ask
from tests.support.raw_server import Cut, Hold, RawServer, chunk, chunked_head, response


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Options(keys=frozenset({KEY}))) as root:
        yield f"{root}/v1"


def client(url: str, key: str = KEY, timeout_s: float = 5.0) -> AccountClient:
    return AccountClient(base_url=url, api_key=key, now=lambda: NOW, timeout_s=timeout_s)


def test_the_account_tells_what_is_left_and_what_the_key_reaches(url: str) -> None:
    with client(url) as it:
        account = it.account()

    assert account.available_usd is not None
    assert account.available_usd > 0
    assert not account.low_balance
    assert (
        AllowedModel(
            model="deepseek-v4-flash", context_tokens=65_536, output_tokens=8_192, spend_cap_usd=None
        )
        in account.allowed_models
    )


def test_use_is_told_in_buckets_that_add_up_to_the_ledger(url: str) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    outcomes = ask(url, times=2, stream=True)
    with client(url) as it:
        buckets = it.usage(since=since, until=datetime.now(UTC) + timedelta(minutes=1))
        [whole] = it.usage(since=since, until=datetime.now(UTC) + timedelta(minutes=1), group_by=())
    rows = plain_http.get(f"{url.removesuffix('/v1')}/standin/ledger").json()["rows"]

    assert {type(outcome) for outcome in outcomes} == {Answered}
    assert {bucket.model for bucket in buckets} == {"deepseek-v4-flash"}
    assert all(bucket.hour is not None and bucket.hour.minute == 0 for bucket in buckets)
    assert whole.calls == sum(bucket.calls for bucket in buckets) == len(rows)
    assert whole.input_tokens == sum(row["input_tokens"] for row in rows)
    assert whole.output_tokens == sum(row["output_tokens"] for row in rows)
    assert whole.total_usd == Decimal(sum(row["cost_picos"] for row in rows)) / 10**12


def test_payments_and_catalogue_are_listed(url: str) -> None:
    with client(url) as it:
        [top_up] = it.transactions()
        listed = it.models()

    assert top_up.kind == "top_up"
    assert top_up.amount_usd > 0
    assert top_up.at is not None
    assert ListedModel(model="deepseek-v4-pro", context_tokens=65_536, output_tokens=16_384) in listed


def refused(url: str, key: str = KEY, timeout_s: float = 5.0) -> AccountUnavailable:
    with client(url, key, timeout_s) as it, pytest.raises(AccountUnavailable) as caught:
        it.transactions()
    return caught.value


def test_a_wrong_key_is_a_failure_of_the_account(url: str) -> None:
    failed = refused(url, "sk-byts-invalid")

    assert failed.failure.failure is FailureClass.ACCOUNT
    assert failed.http_status == 401


def test_a_gateway_that_is_not_there_is_a_failure_to_connect() -> None:
    with RawServer([Cut()]) as server:
        gone = server.url
    failed = refused(gone)

    assert failed.failure.failure is FailureClass.CONNECT
    assert failed.http_status is None


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([response(b"<html>")], FailureClass.BROKEN, id="HTML"),
        pytest.param([response(b"[1]")], FailureClass.BROKEN, id="a list"),
        pytest.param([response(b'{"data": {}}')], FailureClass.BROKEN, id="no list of data"),
        pytest.param([response(b"x" * 9_000_000)], FailureClass.BROKEN, id="too large"),
        pytest.param([response(b"", status="404 X")], FailureClass.REQUEST, id="no such API"),
        pytest.param([response(b"", status="503 X")], FailureClass.SERVER, id="down"),
        pytest.param([response(b"{}")[:-1], Cut()], FailureClass.CONNECT, id="cut"),
        pytest.param([Hold()], FailureClass.CONNECT, id="silent"),
        pytest.param(
            [chunked_head(), *[chunk(b" "), Cut()]], FailureClass.CONNECT, id="cut between two chunks"
        ),
    ],
)
def test_whatever_else_comes_is_a_typed_failure(script: list[Any], expected: FailureClass) -> None:
    with RawServer(script) as server:
        failed = refused(server.url, timeout_s=3)

    assert failed.failure.failure is expected


def test_what_cannot_be_read_is_left_out_and_the_rest_is_told(caplog: pytest.LogCaptureFixture) -> None:
    entries = [
        {"id": "t1", "type": "refund", "amount_usd": 1.5, "created_at": "yesterday"},
        {"id": "t2", "amount_usd": "many"},
        "t3",
        {"id": "t4", "type": 4, "amount_usd": "-0.25", "created_at": "2026-11-22T12:00:00Z", "new": {}},
    ]
    with RawServer([response(json.dumps({"data": entries}).encode())]) as server, client(server.url) as it:
        told = it.transactions()

    assert [(entry.id, entry.amount_usd, entry.kind) for entry in told] == [
        ("t1", Decimal("1.5"), "refund"),
        ("t4", Decimal("-0.25"), ""),
    ]
    assert told[1].at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert caplog.text.count("cannot be read") == 2


def test_the_key_goes_with_every_question_and_into_no_message() -> None:
    body = json.dumps({"error": {"code": "invalid_api_key", "message": f"{KEY} is unknown"}}).encode()
    with RawServer([response(body, status="401 X")]) as server:
        failed = refused(server.url)
        [received] = server.requests

    assert received.head.startswith("GET /api/v1/me/billing/transactions HTTP/1.1\r\n")
    assert f"\r\nauthorization: bearer {KEY}\r\n" in received.head.lower()
    assert KEY not in str(failed)


@pytest.mark.parametrize(
    ("base", "chat", "account"),
    [
        (
            "https://a.example/v1",
            "https://a.example/v1/chat/completions",
            "https://a.example/api/v1/me/account",
        ),
        (
            "https://a.example/v1/",
            "https://a.example/v1/chat/completions",
            "https://a.example/api/v1/me/account",
        ),
        (
            "http://a.example:8000",
            "http://a.example:8000/chat/completions",
            "http://a.example:8000/api/v1/me/account",
        ),
        (
            "https://a.example/proxy/v1/chat/completions",
            "https://a.example/proxy/v1/chat/completions",
            "https://a.example/proxy/api/v1/me/account",
        ),
        (
            "https://a.example/openai/deployments/d?api-version=2",
            "https://a.example/openai/deployments/d/chat/completions?api-version=2",
            "https://a.example/openai/deployments/d/api/v1/me/account?api-version=2",
        ),
    ],
)
def test_endpoints_stand_below_any_base_url(base: str, chat: str, account: str) -> None:
    assert str(endpoint(base, "chat/completions")) == chat
    assert str(management(base, "account")) == account


@pytest.mark.parametrize(
    "base", ["ftp://a.example", "a.example/v1", "https://user:secret@a.example/v1", "https://a/#x"]
)
def test_a_base_url_that_cannot_work_is_refused_without_its_password(base: str) -> None:
    with pytest.raises(ConfigurationError) as refused_:
        endpoint(base, "models")

    assert "secret" not in str(refused_.value)
