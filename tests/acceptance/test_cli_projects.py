import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from patchmill.store import access
from patchmill.store.ids import new_id, to_edge
from tests.support.api import Api, User
from tests.support.command import Command, Done


def running(user: User, patchmill: Command) -> Callable[..., Done]:
    settings = {"PATCHMILL_SERVER_URL": user.api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}
    return lambda *words: patchmill("projects", *words, settings=settings)


@pytest.fixture
def run(api: Api, patchmill: Command) -> Iterator[Callable[..., Done]]:
    user = User(api, ("admin",))
    yield running(user, patchmill)
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


def test_what_follows_an_unknown_call_is_a_projects_own(run: Callable[..., Done]) -> None:
    before = shown(run("--json"))[0]["policy"]["unknown"]
    changed = shown(run("policy", "--unknown", "fail", "--json"))
    refused = run("policy", "--unknown", "perhaps")
    text = run().data
    reset = shown(run("policy", "--reset", "unknown", "--json"))

    assert (before, changed["policy"]["unknown"], reset["policy"]["unknown"]) == ("retry", "fail", "retry")
    assert (changed["own_policy"], reset["own_policy"]) == ({"unknown": "fail"}, {})
    assert "unknown           fail  (set by the project)" in text
    assert (refused.code, refused.data) == (2, "")


def test_a_share_is_set_shown_and_taken_back(operator: User, patchmill: Command) -> None:
    run = running(operator, patchmill)
    changed = shown(run("share", "--weight", "2", "--max-in-flight", "10", "--json"))
    text = run().data
    reset = shown(run("share", "--reset", "max-in-flight", "--tokens-per-minute", "9000", "--json"))

    assert changed["share"] == {"weight": 2, "max_in_flight": 10, "tokens_per_minute": None}
    assert "weight            2" in text
    assert "tokens_per_minute -" in text
    assert reset["share"] == {"weight": 2, "max_in_flight": None, "tokens_per_minute": 9000}


def test_any_projects_share_is_set_on_the_host_and_by_no_key_of_that_project(
    run: Callable[..., Done], api: Api, user: User, patchmill: Command
) -> None:
    with api.engine.begin() as connection:
        name = access.project(connection, user.project_id).name
    host = {"PATCHMILL_DATABASE_URL": api.engine.url.render_as_string(hide_password=False)}

    refused = run("share", "--weight", "9")
    done = patchmill("projects", "share", "--project", name, "--weight", "9", settings=host)
    missing = patchmill("projects", "share", "--project", "nobody's", "--weight", "9", settings=host)

    assert (refused.code, "needs an admin key of the project `default`" in refused.talk) == (5, True)
    assert (done.code, "weight            9" in done.data) == (0, True), done.talk
    assert (missing.code, missing.talk) == (2, "patchmill: there is no project `nobody's`\n")
    with api.engine.begin() as connection:
        assert access.project(connection, user.project_id).weight == 9


def test_a_project_is_made_on_the_host_once_and_has_keys_of_its_own(api: Api, patchmill: Command) -> None:
    host = {"PATCHMILL_DATABASE_URL": api.engine.url.render_as_string(hide_password=False)}
    name = f"team {new_id()}"

    done = patchmill("projects", "create", name, settings=host)
    again = patchmill("projects", "create", name, settings=host)
    wrong = [patchmill("projects", "create", bad, settings=host) for bad in ("", " x", "a\nb", "x" * 101)]

    assert done.code == 0
    assert f"keys create --project '{name}'" in done.talk
    with api.engine.begin() as connection:
        assert done.data == f"{to_edge('prj', access.ensure_project(connection, name))}\n"
    assert (again.code, again.talk) == (2, f"patchmill: there is a project `{name}` already\n")
    assert [(each.code, "NAME" in each.talk) for each in wrong] == [(2, True)] * 4


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
