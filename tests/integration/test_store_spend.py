from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import Engine, text, update

from patchmill.budget.ledger import Spent
from patchmill.store import ledger, stats
from patchmill.store.spend import spend, spent_today
from patchmill.store.tables import calls
from tests.support.claimed import admitted, claimed

ANSWERED = ledger.Ending(
    billed=True,
    phase="answered",
    spent=Spent(input_tokens=400, cached_tokens=128, output_tokens=50),
    values={"reply": "text", "finish_reason": "stop"},
)


def spend_at(engine: Engine, sent_at: datetime) -> None:
    claim = claimed(engine)
    call_id = admitted(engine, claim)
    with engine.begin() as connection:
        ledger.end_call(connection, claim.job_id, call_id, ANSWERED)
        connection.execute(update(calls).where(calls.c.id == call_id).values(sent_at=sent_at))


@pytest.mark.parametrize("before_midnight_s", [1, 0])
def test_today_is_the_same_day_in_the_numbers_of_the_moment_and_in_what_was_spent(
    engine: Engine, before_midnight_s: int
) -> None:
    with engine.connect() as connection:
        now: datetime = connection.scalars(text("SELECT now()")).one()
    midnight = datetime.combine(now.date(), time.min, UTC)
    spend_at(engine, midnight - timedelta(seconds=before_midnight_s))

    with engine.connect() as connection:
        rows = spend(connection, since=midnight, time_zone="UTC", project_id=None)
        shown = stats.stats(connection, None, lease_ttl_s=30)

    assert shown.spend_today_picos == sum(row.cost_picos for row in rows)
    assert bool(rows) == (before_midnight_s == 0)


def test_today_begins_at_the_midnight_of_the_time_zone_that_is_asked_for(engine: Engine) -> None:
    spend_at(engine, datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    with engine.connect() as connection:
        assert spent_today(connection, now, project_id=None) == 0
        assert spent_today(connection, now, project_id=None, time_zone="Europe/Berlin") == 0
        assert spent_today(connection, now, project_id=None, time_zone="Europe/Kyiv") > 0
