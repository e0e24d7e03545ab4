import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.api import Api, User
from tests.support.command import Command, Done


@pytest.fixture
def run(api: Api, patchmill: Command) -> Iterator[Callable[..., Done]]:
    user = User(api, ("admin",))
    settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}
    yield lambda *words: patchmill("projects", *words, settings=settings)
    user.http.close()


def shown(done: Done) -> Any:
    assert done.code == 0, done.talk
    return json.loads(done.data)


def test_a_policy_is_set_shown_and_taken_back(run: Callable[..., Done]) -> None:
    before = shown(run("--json"))[0]
    changed = shown(run("policy", "--repairs", "2", "--no-escalate", "--json"))
    text = run().data
    reset = shown(run("policy", "--reset", "repairs", "--json"))

    assert before["own_policy"] == {}
    assert (changed["policy"]["repairs"], changed["policy"]["escalate"]) == (2, False)
    assert "repairs           2  (set by the project)" in text
    assert "escalate          no  (set by the project)" in text
    assert reset["own_policy"] == {"escalate": False}
    assert reset["policy"]["repairs"] == before["policy"]["repairs"]


def test_a_share_is_set_shown_and_taken_back(run: Callable[..., Done]) -> None:
    changed = shown(run("share", "--weight", "2", "--max-in-flight", "10", "--json"))
    text = run().data
    reset = shown(run("share", "--reset", "max-in-flight", "--tokens-per-minute", "9000", "--json"))

    assert changed["share"] == {"weight": 2, "max_in_flight": 10, "tokens_per_minute": None}
    assert "weight            2" in text
    assert "tokens_per_minute -" in text
    assert reset["share"] == {"weight": 2, "max_in_flight": None, "tokens_per_minute": 9000}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--weight", "101"), "--weight"),
        (("--max-in-flight", "0"), "--max-in-flight"),
        (("--reset", "repairs"), "--reset repairs: there is no such field"),
    ],
)
def test_a_share_that_cannot_work_is_refused(
    run: Callable[..., Done], words: tuple[str, ...], said: str
) -> None:
    done = run("share", *words)

    assert done.code == 2
    assert said in done.talk


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repairs", "9"), "--repairs"),
        (("--model", "no-such"), "--model"),
        (("--reset", "speed"), "--reset speed: there is no such field"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(
    run: Callable[..., Done], words: tuple[str, ...], said: str
) -> None:
    done = run("policy", *words)

    assert done.code == 2
    assert said in done.talk
