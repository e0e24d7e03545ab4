"""The operator's commands: workers, queues, pausing a project or a queue, and many jobs at once."""

import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func

from patchmill.job.state import State
from tests.support.api import Api, User, fix_request, running_api
from tests.support.claimed import worker
from tests.support.command import Command, Done, arguments, environment

ERROR = {"code": "gateway_unavailable", "message": "it was away", "retryable": True, "details": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody on the host with an `admin` key of a project named core."""

    user: User
    api: Api
    patchmill: Command
    settings: dict[str, str]

    def run(self, *words: str) -> Done:
        return self.patchmill(*words, settings=self.settings)

    def failed(self, count: int) -> list[str]:
        made = []
        for _ in range(count):
            job = self.user.submit(fix_request(origin={"repository": "acme/app"}))["id"]
            self.user.run(job)
            self.user.move(
                job, State.RUNNING, State.FAILED, error=ERROR, worker_id=None, finished_at=func.now()
            )
            made.append(job)
        return made

    def states(self) -> list[str]:
        return sorted(job["state"] for job in self.user.http.get("/v1/jobs").json()["data"])


@pytest.fixture
def operator(database_url: str, redis_url: str, tmp_path: Path, patchmill: Command) -> Iterator[Operator]:
    with running_api(database_url, redis_url, tmp_path) as api:
        user = User(api, project="core")
        settings = {
            "PATCHMILL_SERVER_URL": api.url,
            "PATCHMILL_SERVER_KEY": user.secret.text(),
            "PATCHMILL_DATABASE_URL": database_url,
            "PATCHMILL_DATA_DIR": str(tmp_path),
        }
        yield Operator(user=user, api=api, patchmill=patchmill, settings=settings)
        user.http.close()


def test_workers_are_shown_or_it_is_said_how_to_start_one(operator: Operator) -> None:
    none = operator.run("workers")
    assert (none.code, none.data) == (0, "")
    assert "start one with `python -m worker`" in none.talk
    worker(operator.api.engine)

    shown = operator.run("workers")
    documents = json.loads(operator.run("workers", "--json").data)

    head = ["name", "state", "jobs", "slots", "version", "started", "last", "heard"]
    assert shown.data.splitlines()[0].split() == head
    assert shown.data.splitlines()[1].split()[:5] == ["test:1", "working", "0", "0", "?"]
    assert [each["state"] for each in documents] == ["working"]


def test_queues_are_shown_with_the_keys_project_or_on_the_host_with_all(operator: Operator) -> None:
    other = User(operator.api, project="web")
    operator.user.submit(fix_request(options={"priority": "bulk"}))
    operator.run("pause", "--queue", "bulk", "--reason", "the night")

    own = operator.run("queues").data
    every_one = operator.run("queues", "--all").data
    one = json.loads(operator.run("queues", "--project", "web", "--json").data)

    assert "core bulk" in own
    assert "1 paused" in own
    assert "the queue bulk is paused by host since" in own
    assert own.rstrip().endswith(": the night")
    assert "web bulk" not in own
    assert "web bulk" in every_one
    assert [each["name"] for each in one["projects"]] == ["web"]
    assert one["queues"][1]["paused"]["since"].endswith("Z")
    other.http.close()


def test_a_project_is_paused_told_of_and_resumed(operator: Operator) -> None:
    job = operator.user.submit()["id"]

    paused = operator.run("pause", "--project", "core", "--reason", "the bill")
    again = operator.run("pause", "--project", "core")

    assert paused.talk.strip() == (
        "the project core is paused; `patchmill resume --project core` lets it go on"
    )
    assert again.talk.strip() == "the project core was paused already"
    standing = operator.run("status", job).data
    assert "waits: the project core is paused by host since" in standing
    assert "the bill; goes on with `patchmill resume --project core`" in " ".join(standing.split())
    doctor = {line["name"]: line for line in json.loads(operator.run("doctor", "--json").data)}
    assert "the project core is paused by host since" in doctor["paused"]["detail"]
    assert doctor["paused"]["advice"] == "`patchmill resume --project core` lets its jobs begin again"
    remote = {name: value for name, value in operator.settings.items() if "DATABASE" not in name}
    told = json.loads(operator.patchmill("doctor", "--json", settings=remote).data)
    assert [line["name"] for line in told].count("paused") == 1

    resumed = operator.run("resume", "--project", "core")

    assert resumed.talk.strip() == "the project core goes on"
    assert operator.run("resume", "--project", "core").talk.strip().endswith("nothing was paused")
    assert operator.user.http.get(f"/v1/jobs/{job}").json()["wait_reason"] is None


def remote(operator: Operator, *, of: str) -> Callable[..., Done]:
    """Give commands of another machine, which has a key of a project and no database."""
    key = User(operator.api, project=of).secret.text()
    settings = {name: value for name, value in operator.settings.items() if "DATABASE" not in name}
    return lambda *words: operator.patchmill(*words, settings=settings | {"PATCHMILL_SERVER_KEY": key})


def test_elsewhere_all_calls_and_a_queue_are_paused_by_a_key_of_the_installation(operator: Operator) -> None:
    run = remote(operator, of="default")
    for words in ((), ("--queue", "bulk"), ("--project", "default")):
        told = [
            run(verb, *words, *reason).talk.strip()
            for verb, reason in (
                ("pause", ("--reason", "the bill")),
                ("pause", ()),
                ("resume", ()),
                ("resume", ()),
            )
        ]

        name = f"the {words[0][2:]} {words[1]} was" if words else "calls were"
        assert "paused; `patchmill resume" in told[0]
        assert told[1] == f"{name} paused already"
        assert told[2].endswith((" on", " goes on"))
        assert told[3].endswith("on already; nothing was paused")
    assert operator.user.http.get("/v1/gateway").json()["state"] == "ok"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause",), 5, "needs an admin key of the project `default`"),
        (("resume",), 5, "needs an admin key of the project `default`"),
        (("pause", "--queue", "bulk"), 5, "needs an admin key of the project `default`"),
        (("pause", "--project", "default"), 2, "the key is of the project `core`"),
        (("pause", "--queue", "bulk", "--project", "core"), 2, "not both"),
        (("resume", "--queue", "bulk", "--model", "x"), 2, "not two of them"),
        (
            ("prices", "add", "m", "--input", "1", "--cached", "1", "--output", "1"),
            5,
            "the project `default`",
        ),
    ],
)
def test_elsewhere_a_key_of_another_project_is_refused(
    operator: Operator, words: tuple[str, ...], code: int, said: str
) -> None:
    done = remote(operator, of="core")(*words)

    assert (done.code, said in done.talk) == (code, True), done.talk
    assert done.talk.count("\n") == 1


def test_elsewhere_a_model_that_was_never_away_is_no_model_to_resume(operator: Operator) -> None:
    done = remote(operator, of="default")("resume", "--model", "nobody")

    assert (done.code, "has never been down" in done.talk) == (2, True)


def test_elsewhere_prices_are_listed_by_any_key_and_added_by_one_of_the_installation(
    operator: Operator,
) -> None:
    rates = ("--input", "0.14", "--cached", "0.0028", "--output", "0.28")
    words = ("prices", "add", "flash", *rates, "--peak", "Asia/Shanghai 9-12,14-18", "--from", "2999-01-01")

    added = remote(operator, of="default")(*words, "--json")

    assert added.code == 0, added.talk
    made = json.loads(added.data)
    assert (made["status"], made["peak"]["hours"]) == ("upcoming", ["9-12", "14-18"])
    listed = json.loads(remote(operator, of="core")("prices", "--model", "flash", "--json").data)
    assert listed == [made]
    assert "flash" in remote(operator, of="core")("prices").data


def test_who_paused_all_calls_is_told(operator: Operator) -> None:
    operator.run("pause", "--reason", "the bill")

    lines = {line["name"]: line for line in json.loads(operator.run("doctor", "--json").data)}

    assert "operator by host since" in lines["calls"]["detail"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pause", "--project", "none"), "there is no project `none`"),
        (("pause", "--queue", "fast"), "there is no queue `fast`"),
        (("pause", "--queue", "bulk", "--project", "core"), "not both"),
        (("resume", "--queue", "bulk", "--model", "x"), "not two of them"),
        (("queues", "--all", "--project", "core"), "not both"),
        (("queues", "--project", "none"), "there is no project `none`"),
        (("jobs", "retry"), "by a filter such as --state failed"),
        (("jobs", "retry", "job_1", "--state", "failed"), "not both"),
        (("jobs", "cancel", "--state", "lost", "--expect", "1"), "--state"),
    ],
)
def test_what_cannot_be_meant_is_refused(operator: Operator, words: tuple[str, ...], said: str) -> None:
    done = operator.run(*words)

    assert done.code == 2
    assert said in " ".join(done.talk.split())


def test_many_jobs_are_retried_once_their_number_is_confirmed(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patchmill.cli.many_jobs.CHUNK", 2)
    operator.failed(5)
    words = ("jobs", "retry", "--state", "failed", "--error", "gateway_unavailable", "--since", "1d")

    unconfirmed = operator.run(*words[:-1], "2026-01-01")
    wrong = operator.run(*words, "--expect", "4")

    assert (unconfirmed.code, wrong.code) == (2, 2)
    assert "5 jobs match" in unconfirmed.talk
    assert "5  failed: gateway_unavailable" in unconfirmed.talk
    assert "--expect 5 confirms the number" in unconfirmed.talk
    assert "5 jobs match, not 4" in wrong.talk
    assert operator.states() == ["failed"] * 5

    done = operator.run(*words, "--expect", "5", "--json")

    assert done.code == 0, done.talk
    document = json.loads(done.data)
    assert (document["matched"], document["done"], document["left"]) == (5, 5, 0)
    assert "2 of 5" in done.talk
    assert "5 jobs queued again" in done.talk
    assert operator.states() == ["queued"] * 5
    assert "0 jobs match" in operator.run(*words).talk


def test_many_jobs_are_cancelled_by_repository(operator: Operator) -> None:
    operator.failed(1)
    for _ in range(2):
        operator.user.submit(fix_request(origin={"repository": "acme/app"}))
    operator.user.submit()

    done = operator.run("jobs", "cancel", "--repository", "acme/app", "--expect", "2")

    assert done.code == 0, done.talk
    assert operator.states() == ["cancelled", "cancelled", "failed", "queued"]
    assert "gateway_unavailable" not in operator.run("jobs", "--error", "model_declined").data


@pytest.mark.parametrize(("typed", "code"), [("2\n", 0), ("yes\n", 2)])
def test_at_a_terminal_the_number_is_typed(operator: Operator, typed: str, code: int) -> None:
    operator.failed(2)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments("jobs", "retry", "--state", "failed"),
        env=environment(operator.settings),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    os.close(theirs)
    os.write(ours, typed.encode())

    _, talk = process.communicate(timeout=120)
    os.close(ours)

    assert process.returncode == code, talk
    assert "type 2 to retry them: " in talk
    assert operator.states() == (["queued"] if code == 0 else ["failed"]) * 2
