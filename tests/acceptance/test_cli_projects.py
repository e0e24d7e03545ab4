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
    changed = shown(run("policy", "--repairs", "3", "--no-escalate", "--json"))
    text = run().data
    reset = shown(run("policy", "--reset", "repairs", "--json"))

    assert before["own_policy"] == {}
    assert (changed["policy"]["repairs"], changed["policy"]["escalate"]) == (3, False)
    assert "repairs           3  (set by the project)" in text
    assert "escalate          no  (set by the project)" in text
    assert reset["own_policy"] == {"escalate": False}
    assert reset["policy"]["repairs"] == before["policy"]["repairs"]


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
