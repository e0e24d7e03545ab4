import time
import uuid
from collections import Counter
from typing import Any

from sqlalchemy import Engine, event, func, select

from patchmill.store import outbox, runs, webhooks
from patchmill.store.outbox import News
from patchmill.store.tables import deliveries
from tests.support.event_writing import new_project, new_run

EVENTS = ["job.cancelled", "run.finished"]


def subscribe(engine: Engine, project: uuid.UUID, *events: str, enabled: bool = True) -> uuid.UUID:
    with engine.begin() as connection:
        made = webhooks.add(
            connection, project, url="https://example.com/", events=events, enabled=enabled, at_most=100
        )
    assert made is not None
    return made.id


def put_out(engine: Engine) -> Counter[tuple[uuid.UUID, str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(deliveries.c.webhook_id, deliveries.c.type))
        return Counter((row.webhook_id, row.type) for row in rows)


def test_a_message_goes_to_each_webhook_of_its_project_that_wants_it(engine: Engine) -> None:
    mine, others = new_project(engine), new_project(engine)
    wanting = [subscribe(engine, mine, "job.failed"), subscribe(engine, mine, "job.failed", "job.succeeded")]
    subscribe(engine, mine, "job.succeeded")
    subscribe(engine, mine, "job.failed", enabled=False)
    subscribe(engine, others, "job.failed")
    news = [News(project_id=mine, type="job.failed", data={"id": each, "origin": {}}) for each in "ab"]

    with engine.begin() as connection:
        outbox.tell(connection, news)

    assert put_out(engine) == {(webhook, "job.failed"): 2 for webhook in wanting}
    with engine.connect() as connection:
        rows = connection.execute(select(deliveries)).all()
    assert len({row.message_id for row in rows} | {row.id for row in rows}) == 8
    assert {row.id.version for row in rows} | {row.message_id.version for row in rows} == {7}
    assert {(row.id.int >> 80) // 60_000 for row in rows} <= {
        time.time_ns() // 60_000_000_000 - one for one in (0, 1)
    }
    assert sorted(row.data["id"] for row in rows) == ["a", "a", "b", "b"]


def test_a_large_run_with_many_webhooks_is_cancelled_in_a_few_statements(engine: Engine) -> None:
    project = new_project(engine)
    run_id, _ = new_run(engine, project, 500)
    for _ in range(20):
        subscribe(engine, project, *EVENTS)
    sent: list[int] = []

    def note(*arguments: Any) -> None:
        if "INSERT INTO deliveries" in arguments[2] or "follow_ends" in arguments[2]:
            sent.append(len(arguments[3]) if arguments[5] else 1)

    event.listen(engine, "before_cursor_execute", note)
    with engine.begin() as connection:
        run = runs.cancel(connection, project, run_id)

    assert run is not None
    assert run.state == "cancelled"
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(deliveries)) == 20 * 501
    assert sent == [1]  # the messages of the jobs, and the run's: a row at a time takes too long
