"""The command `budgets`, from a limit set to its end."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, update

from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import budgets, windows
from tests.support.api import Api, User
from tests.support.command import Command, Done

Run = Callable[..., Done]


def running(user: User, patchmill: Command) -> Run:
    settings = {"PATCHMILL_SERVER_URL": user.api.url, "PATCHMILL_SERVER_KEY": user.secret.text()}
    return lambda *words: patchmill("budgets", *words, settings=settings)


@pytest.fixture
def run(user: User, patchmill: Command) -> Run:
    return running(user, patchmill)


@pytest.fixture
def name() -> str:
    return f"core {new_id()}"


@pytest.fixture(autouse=True)
def no_budgets_of_others(api: Api) -> None:
    """End what other tests have set for the whole installation."""
    with api.engine.begin() as connection:
        connection.execute(update(budgets).where(budgets.c.ended_at.is_(None)).values(ended_at=func.now()))


@pytest.fixture
def reader(api: Api) -> Iterator[User]:
    made = User(api, ("jobs:read",))
    yield made
    made.http.close()


def made(run: Run, name: str, *words: str) -> dict[str, Any]:
    done = run("create", name, *(words or ("--usd", "5")), "--json")
    assert done.code == 0, done.talk
    document: dict[str, Any] = json.loads(done.data)
    return document


def spend(api: Api, budget: dict[str, Any], **counters: int) -> None:
    with api.engine.begin() as connection:
        connection.execute(
            insert(windows).values(
                id=new_id(),
                budget_id=from_edge("bud", budget["id"]),
                starts_at=budget["window"]["starts_at"],
                resets_at=budget["window"]["resets_at"],
                **counters,
            )
        )


def test_a_budget_is_set_listed_shown_changed_and_ended(run: Run, name: str) -> None:
    none = run()
    assert (none.code, none.data) == (0, "")
    assert "`patchmill budgets create` sets one" in none.talk

    words = ["--usd", "5", "--tokens", "1000000", "--window", "day", "--time-zone", "Europe/Berlin"]
    budget = made(run, name, *words, "--at-limit", "fail", "--alert", "95", "--alert", "80")

    assert budget["window"]["kind"] == "day"
    assert budget["window"]["time_zone"] == "Europe/Berlin"
    assert budget["limit"] == {"usd": "5", "tokens": 1_000_000}
    assert (budget["at_limit"], budget["alert_percent"]) == ("fail", [80, 95])
    assert budget["scope"]["kind"] == "project"
    (_, line) = run().data.splitlines()
    assert line.startswith(budget["id"])
    assert line.endswith(name)
    assert "[....................]" in line
    assert "$5, 1,000,000 tokens" in line
    assert " project " in line
    assert json.loads(run("--json").data)[0]["id"] == budget["id"]

    shown = run("show", name).data
    assert f"{budget['id']}  {name}" in shown
    resets_at = datetime.fromisoformat(budget["window"]["resets_at"]).astimezone(ZoneInfo("Europe/Berlin"))
    assert f" {resets_at:%Y-%m-%d} 00:00 Europe/Berlin " in line
    assert f" until {resets_at:%Y-%m-%d} 00:00, in Europe/Berlin\n" in shown
    assert "alerts     at 80%, 95%" in shown
    assert json.loads(run("show", budget["id"], "--json").data)["burn_down"] == budget["burn_down"]

    changed = run("set", name, "--usd", "None", "--at-limit", "wait", "--no-alerts", "--json")
    document = json.loads(changed.data)
    assert document["limit"] == {"usd": None, "tokens": 1_000_000}
    assert (document["at_limit"], document["alert_percent"]) == ("wait", [])
    assert json.loads(run("set", name, "--tokens", "2000000", "--json").data)["limit"]["tokens"] == 2_000_000

    assert run("end", name).talk == f"{name} has ended\n"
    assert (run("end", name).code, run().data) == (2, "")


def test_a_budget_in_use_is_drawn(api: Api, run: Run, name: str) -> None:
    budget = made(run, name, "--usd", "10", "--window", "total")
    usd = 10**12
    spend(api, budget, settled_picos=4 * usd, held_picos=2 * usd, uncertain_picos=usd, settled_tokens=100)

    (_, line) = run().data.splitlines()
    shown = run("show", name).data

    assert "[########++++??......]  70%" in line
    assert "never" in line
    assert "settled    $4, 100 tokens" in shown
    assert "uncertain  $1" in shown
    assert shown.splitlines()[-1].endswith(f"|{'#' * 16}{' ' * 24}| 4")


def test_amounts_are_written_with_cents_and_no_digit_is_lost(run: Run, name: str) -> None:
    made(run, name, "--usd", "9.5")

    assert "\n  limit      $9.50; at the limit jobs wait\n" in run("show", name).data
    assert "\n  limit      $0.0123; " in run("set", name, "--usd", "0.0123").data
    assert "\n  alerts     none\n" in run("show", name).data


def test_scopes_are_chosen(operator: User, patchmill: Command, name: str) -> None:
    run = running(operator, patchmill)
    key = f"key_{operator.key_id.hex}"

    assert made(run, f"{name} 1", "--usd", "5", "--key", key)["scope"] == {"kind": "key", "id": key}
    installation = made(run, f"{name} 2", "--usd", "5", "--installation")
    assert installation["scope"] == {"kind": "installation", "id": None}
    assert run("end", installation["id"]).code == 0
    assert made(run, f"{name} 3", "--usd", "5", "--project")["scope"]["kind"] == "project"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--usd", "-1"], "--usd: must be US dollars as a decimal string, such as 0.05: below zero"),
        (["--usd", "NaN"], "--usd: must be US dollars"),
        (["--usd", "Infinity"], "--usd: must be US dollars"),
        (["--usd", "1e3"], "--usd: must be US dollars"),
        (["--usd", " 1"], "--usd: must be US dollars"),
        (["--usd", "99999999999"], "--usd: must be US dollars as a decimal string, such as 0.05: larger"),
        (["--usd", "0.0000000000001"], "--usd: must be US dollars as a decimal string, such as 0.05: finer"),
        (["--tokens", "1.5"], "invalid value for '--tokens'"),
        (["--tokens", "-1"], "--tokens: "),
        (["--tokens", str(2**63)], "--tokens: "),
        (["--usd", "5", "--window", "weekly"], "--window: there is no such window; did you mean `week`?"),
        (
            ["--usd", "5", "--time-zone", "europe/berlin"],
            "--time-zone: must be the name of a time zone; did you mean `Europe/Berlin`?",
        ),
        (["--usd", "5", "--alert", "101"], "--alert: "),
        (["--usd", "5", "--alert", "80", "--alert", "80"], "--alert: names a share twice"),
        (["--usd", "5", "--at-limit", "stop"], "--at-limit: "),
        (["--usd", "5", "--key", "key_1"], "--key: must be the id of a key of this project"),
        (["--usd", "5", "--key", "key_1", "--installation"], "take one of --project, --key and"),
        ([], "give --usd, --tokens, or both"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_and_sets_nothing(
    run: Run, name: str, words: list[str], sentence: str
) -> None:
    done = run("create", name, *words)

    assert (done.code, done.data) == (2, "")
    assert done.talk.startswith(f"patchmill: {sentence}")
    assert done.talk.count("\n") == 1
    assert run().data == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--usd", "none"], "--usd, --tokens: give usd, tokens, or both"),
        (["--usd", "-1"], "--usd: must be US dollars"),
        (["--tokens", "many"], "--tokens: 'many' is not a whole number"),
        (["--alert", "80", "--no-alerts"], "take --alert or --no-alerts"),
        ([], "say what to change"),
    ],
)
def test_a_wrong_change_changes_nothing(run: Run, name: str, words: list[str], sentence: str) -> None:
    budget = made(run, name)

    done = run("set", name, *words)

    assert done.code == 2
    assert done.talk.startswith(f"patchmill: {sentence}")
    assert json.loads(run("show", name, "--json").data) == budget


def test_a_name_that_is_not_there_names_the_nearest(run: Run, name: str) -> None:
    made(run, name)

    done = run("show", name[:-1])

    assert done.code == 2
    assert f"did you mean `{name}`?" in done.talk
    assert "`patchmill budgets` lists them" in run("show", "zzz").talk


def test_setting_needs_an_admin(reader: User, patchmill: Command) -> None:
    settings = {"PATCHMILL_SERVER_URL": reader.api.url, "PATCHMILL_SERVER_KEY": reader.secret.text()}

    assert patchmill("budgets", settings=settings).code == 0
    assert patchmill("budgets", "create", "x", "--usd", "5", settings=settings).code == 5
