"""News of budgets: each share and each end of a window is told once, to whom it concerns."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from patchmill.budget.windows import WindowKind
from patchmill.store import budget_alerts
from patchmill.store.budgets import add_budget, change_budget, end_budget, every_budget
from patchmill.store.ids import new_id, to_edge
from patchmill.store.tables import deliveries, windows
from tests.integration.test_store_outbox import put_out, subscribe
from tests.support.event_writing import new_project
from worker.sweepers import budget_alerts as sweeper

DAY = datetime(2026, 11, 22, tzinfo=UTC)
FAR = datetime(2999, 1, 1, tzinfo=UTC)
BOTH = ("budget.alert", "budget.exhausted")


@pytest.fixture
def project(engine: Engine) -> uuid.UUID:
    return new_project(engine)


def budget(engine: Engine, project: uuid.UUID | None, **more: Any) -> uuid.UUID:
    with engine.begin() as connection:
        return add_budget(
            connection,
            **{
                "name": f"budget {new_id()}",
                "scope": "project" if project else "installation",
                "project_id": project,
                "key_id": None,
                "window": WindowKind.DAY,
                "time_zone": "UTC",
                "limit_picos": 1_000,
                "limit_tokens": None,
                "at_limit": "wait",
                "alert_percent": [50, 80],
                **more,
            },
        )


def window(engine: Engine, budget_id: uuid.UUID, **values: Any) -> uuid.UUID:
    window_id = new_id()
    row = {"id": window_id, "budget_id": budget_id, "starts_at": DAY, "resets_at": FAR, **values}
    with engine.begin() as connection:
        connection.execute(insert(windows).values(**row))
    return window_id


def spend(engine: Engine, window_id: uuid.UUID, **values: int) -> None:
    with engine.begin() as connection:
        connection.execute(update(windows).where(windows.c.id == window_id).values(**values))


def news(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return list(connection.scalars(select(deliveries.c.data).order_by(deliveries.c.id)))


def test_each_share_is_told_once_as_it_is_passed(engine: Engine, project: uuid.UUID) -> None:
    hook = subscribe(engine, project, *BOTH)
    subscribe(engine, new_project(engine), *BOTH)
    found = budget(engine, project)
    used = window(engine, found, settled_picos=499, held_picos=501)

    assert sweeper.sweep(engine) == 0  # what is only held is not spent
    spend(engine, used, settled_picos=499, uncertain_picos=1)
    assert sweeper.sweep(engine) == 1
    spend(engine, used, settled_picos=799)
    assert sweeper.sweep(engine) == 1  # with what is uncertain, exactly 80 percent
    spend(engine, used, settled_picos=990)
    assert sweeper.sweep(engine) == 0

    assert put_out(engine) == {(hook, "budget.alert"): 2}
    first, second = news(engine)
    assert (first["percent"], second["percent"]) == (50, 80)
    assert first["id"] == to_edge("bud", found)
    assert first["settled"] == {"usd": "0.000000000499", "tokens": 0}
    assert first["limit"] == {"usd": "0.000000001", "tokens": None}
    assert first["scope"] == {"kind": "project", "id": to_edge("prj", project)}
    assert first["window"]["resets_at"] == "2999-01-01T00:00:00.000000Z"
    assert first["url"] == f"/v1/budgets/{first['id']}"


def test_what_was_passed_at_once_is_told_in_order(engine: Engine, project: uuid.UUID) -> None:
    subscribe(engine, project, *BOTH)
    window(engine, budget(engine, project, alert_percent=[100, 50, 80]), settled_picos=1_000)

    assert sweeper.sweep(engine) == 3

    assert [each["percent"] for each in news(engine)] == [50, 80, 100]


@pytest.mark.parametrize("limits", [(1_000, None), (None, 1_000), (1_000, 100_000), (100_000, 1_000)])
def test_whichever_axis_passes_first_is_told(
    engine: Engine, project: uuid.UUID, limits: tuple[int | None, int | None]
) -> None:
    picos, tokens = limits
    found = budget(engine, project, limit_picos=picos, limit_tokens=tokens, alert_percent=[80])
    window(engine, found, settled_picos=800, settled_tokens=800)

    assert sweeper.sweep(engine) == 1


def test_the_largest_amounts_do_not_overflow(engine: Engine, project: uuid.UUID) -> None:
    most = 2**63 - 1
    found = budget(engine, project, limit_picos=most, limit_tokens=most, alert_percent=[99])
    window(engine, found, settled_picos=most // 100 * 99, settled_tokens=1)

    assert sweeper.sweep(engine) == 0
    with engine.begin() as connection:
        connection.execute(update(windows).values(settled_picos=most))
    assert sweeper.sweep(engine) == 1


def test_sweepers_at_once_tell_once(engine: Engine, project: uuid.UUID) -> None:
    hook = subscribe(engine, project, *BOTH)
    for _ in range(5):
        window(engine, budget(engine, project), settled_picos=900)

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: sweeper.sweep(engine), range(8)))

    assert sum(told) == 10
    assert put_out(engine) == {(hook, "budget.alert"): 10}


def test_every_window_is_told_of_anew_and_one_that_ended_only_shortly_after(
    engine: Engine, project: uuid.UUID
) -> None:
    now = datetime.now(UTC)
    found = budget(engine, project, alert_percent=[80])
    old, late, current = now - timedelta(days=2), now - timedelta(days=1), now - timedelta(minutes=1)
    window(engine, found, starts_at=old, resets_at=late, settled_picos=900)
    window(engine, found, starts_at=late, resets_at=current, settled_picos=900)

    assert sweeper.sweep(engine) == 1
    window(engine, found, starts_at=current, settled_picos=900)
    assert sweeper.sweep(engine) == 1
    assert sweeper.sweep(engine) == 0


def test_other_shares_and_another_limit_hold_from_the_next_look(engine: Engine, project: uuid.UUID) -> None:
    window(engine, budget(engine, project, alert_percent=[]), settled_picos=700)
    assert sweeper.sweep(engine) == 0

    with engine.begin() as connection:
        (row,) = every_budget(connection)
        row = change_budget(connection, row, {"alert_percent": [60, 90]})
    assert sweeper.sweep(engine) == 1
    with engine.begin() as connection:
        row = change_budget(connection, row, {"limit_picos": 750})
    assert sweeper.sweep(engine) == 1
    with engine.begin() as connection:
        end_budget(connection, change_budget(connection, row, {"alert_percent": [10]}))
    assert sweeper.sweep(engine) == 0


def test_of_the_installations_budget_every_project_is_told(engine: Engine) -> None:
    hooks = [subscribe(engine, new_project(engine), *BOTH) for _ in range(2)]
    window(engine, budget(engine, None, alert_percent=[80]), settled_picos=900)

    sweeper.sweep(engine)

    assert put_out(engine) == {(hook, "budget.alert"): 1 for hook in hooks}


def test_a_window_that_is_used_up_is_told_once(engine: Engine, project: uuid.UUID) -> None:
    hook = subscribe(engine, project, *BOTH)
    found = budget(engine, project, window=WindowKind.TOTAL)
    window(engine, found, resets_at=None, settled_picos=990)

    def note(resets_at: datetime | None) -> bool:
        with engine.begin() as connection:
            return budget_alerts.note_exhausted(connection, found, resets_at)

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(note, [None] * 8))

    assert sorted(told) == [False] * 7 + [True]
    assert note(FAR) is False  # no such window
    assert put_out(engine) == {(hook, "budget.exhausted"): 1}
    assert news(engine)[0]["percent"] == 100


def test_a_look_holds_no_lock_that_calls_need(engine: Engine, project: uuid.UUID) -> None:
    used = window(engine, budget(engine, project), settled_picos=900)

    with engine.begin() as holding:
        holding.execute(select(windows.c.id).where(windows.c.id == used).with_for_update(key_share=True))
        assert sweeper.sweep(engine) == 2
