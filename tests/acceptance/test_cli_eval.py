import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from patchmill.budget.prices import from_usd, to_usd
from patchmill.dev.standin.players import Saboteur
from tests.support import plain_http
from tests.support.browser import watched
from tests.support.command import Command, arguments, environment
from tests.support.evaluated import known_answers, played
from tests.support.stack import Stack, standing, until

CASE: dict[str, Any] = {
    "id": "none",
    "kind": "fix",
    "path": "app.py",
    "source": "def known(price):\n    return price == None\n",
    "findings": [
        {"tool": "ruff", "rule": "E711", "message": "Comparison to None", "start_line": 2, "end_line": 2}
    ],
    "gold": "def known(price):\n    return price is None\n",
    "origin": "made",
    "licence": "Apache-2.0",
}
# The stand-in's rules do not understand what is asked here, so it declines.
INSTRUCTED: dict[str, Any] = {
    **{name: value for name, value in CASE.items() if name not in {"findings", "gold"}},
    "id": "asked",
    "instruction": "Make it faster.",
}


def written(folder: Path, *cases: dict[str, Any]) -> str:
    file = folder / "cases.jsonl"
    file.write_text("".join(f"{json.dumps(case)}\n" for case in cases), encoding="utf-8")
    return str(file)


def settings(stack: Stack) -> dict[str, str]:
    return {"PATCHMILL_SERVER_URL": stack.api_url, "PATCHMILL_SERVER_KEY": stack.key}


def test_cases_go_through_the_service_and_are_judged(
    patchmill: Command, service: Stack, tmp_path: Path
) -> None:
    name = written(tmp_path, CASE, INSTRUCTED)

    done = patchmill("eval", name, "--edit-format", "all", "--json", settings=settings(service))

    assert done.code == 0, done.talk
    made = json.loads(done.data)
    assert set(made["by_edit_format"]) == {"search_replace", "anchored_lines", "json", "tool"}
    for measures in made["by_edit_format"].values():
        assert {name: measures[name] for name in ("cases", "answered", "verified", "equal_to_gold")} == {
            "cases": 2,
            "answered": 2,
            "verified": 1,
            "equal_to_gold": 1,
        }
    assert made["by_rule"]["E711"]["findings_gone"] == 4
    assert made["total"]["escaped"] == 0
    assert made["total"]["cost_usd"] != "0"
    assert {row["end"] for row in made["results"] if row["case"] == "asked"} == {"no_change"}


def test_the_table_is_for_readers_and_nothing_is_served_from_reuse(
    patchmill: Command, service: Stack, tmp_path: Path
) -> None:
    name = written(tmp_path, CASE)
    before = len(service.truth()["rows"])

    runs = [patchmill("eval", name, "--fail-under", "100", settings=settings(service)) for _ in range(2)]

    assert [run.code for run in runs] == [0, 0]
    assert len(service.truth()["rows"]) == before + 2
    assert "search_replace" in runs[0].data
    assert "100.0 %" in runs[0].data
    assert "evaluated 1 of 1" in runs[0].talk


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere.jsonl",), 2, "there is no file nowhere.jsonl"),
        (("development", "--edit-format", "poem"), 2, "--edit-format poem is not known"),
        (("development", "--only", "X999"), 2, "no case is of X999"),
        (("development", "--max-cost-usd", "much"), 2, "--max-cost-usd much"),
        (("development", "--html", "no/where.html"), 2, "there is no folder no"),
        (("development", "--html", "."), 2, "--html .: is a folder"),
    ],
)
def test_what_cannot_be_evaluated_is_told_before_a_server_is_asked(
    words: tuple[str, ...], code: int, said: str, patchmill: Command
) -> None:
    done = patchmill("eval", *words, settings={"PATCHMILL_SERVER_URL": "http://no.invalid"})

    assert done.code == code
    assert said in done.talk
    assert done.talk.count("\n") == 1


def test_a_case_that_the_server_refuses_is_named(patchmill: Command, service: Stack, tmp_path: Path) -> None:
    beyond = {**CASE, "id": "beyond", "findings": [{**CASE["findings"][0], "start_line": 9, "end_line": 9}]}

    done = patchmill("eval", written(tmp_path, beyond), settings=settings(service))

    assert done.code == 2
    assert "the case 'beyond' is refused" in done.talk


def test_a_model_without_a_price_is_refused_before_any_case_is_submitted(
    patchmill: Command, service: Stack, tmp_path: Path
) -> None:
    name = written(tmp_path, CASE)
    before = jobs(service)

    done = patchmill("eval", name, "--model", "nobody-prices-me", settings=settings(service))

    assert done.code == 2
    assert "`patchmill prices add nobody-prices-me --input" in done.talk
    assert done.talk.count("\n") == 1
    assert jobs(service) == before


def test_cases_that_a_budget_leaves_no_room_for_are_left_out_and_told(
    patchmill: Command, service: Stack, tmp_path: Path
) -> None:
    name = written(tmp_path, {**CASE, "path": "poor.py"})
    tight = {
        "name": "a budget for no case",
        "scope": {"kind": "installation"},
        "window": {"kind": "total"},
        "limit": {"tokens": 1},
        "at_limit": "fail",
    }
    with service.http() as http:
        refused = http.post("/v1/budgets", json=tight).json()["detail"]
        smallest = int(refused.split(" holds ")[1].split(" ")[0])
        made = http.post("/v1/budgets", json={**tight, "limit": {"tokens": smallest}})
        assert made.status_code == 201, made.text
        try:
            done = patchmill("eval", name, settings=settings(service))
        finally:
            http.delete(made.headers["Location"])

    assert done.code == 4
    assert "1 case left out: the money of a budget did not suffice" in done.talk


def test_why_cases_wait_is_said_once(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with standing(database_url, redis_url, tmp_path) as stack:
        stack.start_api()
        stack.start("worker")
        with stack.http() as http:
            assert http.post("/v1/queues/bulk/pause", json={"reason": "the night"}).status_code == 200
        name = written(tmp_path, CASE, {**CASE, "id": "another", "path": "another.py"})
        with subprocess.Popen(
            arguments("eval", name),
            env=environment(settings(stack)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            with stack.http() as http:
                http.post("/v1/queues/bulk/resume")
            _, talk = process.communicate(timeout=120)

    assert said.startswith("jobs wait: the queue bulk is paused by key_")
    assert "the night; goes on with `patchmill resume --queue bulk`" in said
    assert "jobs wait" not in talk
    assert process.returncode == 0


def jobs(stack: Stack) -> list[str]:
    with stack.http() as http:
        return [job["id"] for job in http.get("/v1/jobs").json()["data"]]


def test_the_cost_limit_is_honoured(patchmill: Command, service: Stack, tmp_path: Path) -> None:
    cases = [{**CASE, "id": f"none-{number}", "path": f"app_{number}.py"} for number in range(6)]
    name = written(tmp_path, *cases)

    def spent(limit: str) -> dict[str, Any]:
        words = ("eval", name, "--max-cost-usd", limit, "--in-flight", "2", "--json")
        made: dict[str, Any] = json.loads(patchmill(*words, settings=settings(service)).data)
        return made

    whole = spent("1")
    half = to_usd(from_usd(whole["total"]["cost_usd"]) // 2)
    part = spent(half)

    assert (whole["total"]["cases"], whole["left_out"]) == (6, [])
    assert part["left_out"]
    assert part["total"]["cases"] + len(part["left_out"]) == 6
    assert from_usd(part["total"]["cost_usd"]) <= from_usd(half)
    done = patchmill("eval", name, "--max-cost-usd", "0.000001", settings=settings(service))
    assert done.code == 4
    assert "did not suffice" in done.talk


def held(stack: Stack) -> bool:
    root = stack.gateway_url.removesuffix("/v1")
    return bool(plain_http.get(f"{root}/standin/health").json()["holding"])


def test_ctrl_c_cancels_what_is_in_flight_and_reports_on_what_has_ended(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with standing(database_url, redis_url, tmp_path) as stack:
        stack.start_api()
        stack.start("worker")
        stack.behave(faults=[{"fault": "hold", "match": "app_held.py", "times": 9}])
        name = written(tmp_path, CASE, {**CASE, "id": "held", "path": "app_held.py"})
        with subprocess.Popen(
            arguments("eval", name, "--json"),
            env=environment(settings(stack)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            until(lambda: held(stack), "the other case held at the gateway")
            assert process.stderr is not None
            assert process.stderr.readline() == "evaluated 1 of 2\n"
            process.send_signal(signal.SIGINT)
            data, talk = process.communicate(timeout=120)

        made = json.loads(data)
        assert process.returncode == 130, talk
        assert made["interrupted"]
        assert [row["case"] for row in made["results"]] == ["none"]
        with stack.http() as http:
            other = next(
                job for job in http.get("/v1/jobs").json()["data"] if job["file"]["path"] == "app_held.py"
            )
        assert other["cancel_requested"] or other["state"] == "cancelled"


@pytest.mark.slow
def test_the_page_shows_everything_and_asks_for_nothing(
    browser: Browser, patchmill: Command, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    page = tmp_path / "evaluation.html"
    with played(database_url, redis_url, tmp_path, Saboteur(known_answers(), seed=3)) as stack:
        patchmill(
            "eval", "development", "--limit", "8", "--max-calls", "1", "--html", str(page),
            settings=settings(stack),
        )  # fmt: skip

    for dark in (False, True):
        with watched(browser, "http://127.0.0.1", dark=dark, script=False) as seen:
            seen.page.goto(page.as_uri())
            assert seen.page.get_by_role("heading", name="How far answers come").is_visible()
            assert seen.page.get_by_role("img").count() >= 5
            assert "Why edits were refused" in seen.page.content()
            assert seen.complaints == []
            assert [each for each in seen.requests if not each.startswith("file:")] == []
    with watched(browser, "http://127.0.0.1", width=500) as seen:
        seen.page.goto(page.as_uri())
        assert seen.barriers() == []
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 500


def test_the_stand_in_knows_the_answers_of_cases(patchmill: Command, tmp_path: Path) -> None:
    without = written(tmp_path, INSTRUCTED)

    both = patchmill("standin", "--oracle", "development", "--saboteur", "development")
    none = patchmill("standin", "--oracle", without)

    assert (both.code, none.code) == (2, 2)
    assert "exclude each other" in both.talk
    assert "no case has a right answer" in none.talk
