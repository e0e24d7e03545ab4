"""Every way to sum usage gives the same total, to the token and the pico-dollar, and that of plain Python."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, select, update

from api.usage_question import next_cursor, read_question
from api.usage_rows import csv_text
from patchmill.budget.local_time import clock
from patchmill.budget.prices import from_usd
from patchmill.store import stats
from patchmill.store.engine import open_engine
from patchmill.store.tables import calls, ledger_entries
from patchmill.store.usage import GROUPS, Question, Sums, moment, total, usage
from tests.support.services import fresh_database
from tests.support.usage_history import HOLD, STATES, History, PastCall, PastJob, expected, store

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # skips midnight
    "America/Havana",  # has midnight twice
    "Australia/Lord_Howe",  # changes by half an hour
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
RULES = ("B006", "E501", "=cmd()", 'näme, "quoted"\r\n', "F401")
LABELS = ("team", "=1+1", "a b")
WAYS = (*GROUPS, *(f"label.{name}" for name in LABELS))
ADDED = tuple(name for name in Sums.__slots__ if name not in {"jobs", "calls"})

amounts = st.one_of(st.integers(0, 50), st.integers(0, 10**12))


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, Question]:
    """Draw calls around a change of clocks, or anywhere, and a question whose period cuts through them."""
    zone = draw(st.sampled_from(ZONES))
    year = datetime(2026, 1, 1, tzinfo=UTC)
    changes = clock(zone, year, year + timedelta(days=365)).changes
    centre = draw(st.sampled_from(changes or (year + timedelta(days=180),)))
    minutes = st.integers(-40 * 60, 40 * 60)
    instants = minutes.map(lambda each: centre + timedelta(minutes=each))
    calls_drawn = st.builds(
        PastCall,
        at=instants,
        model=st.sampled_from(["deepseek-v4-flash", "deepseek-v4-pro", "deepseek-v3-2"]),
        ending=st.sampled_from(list(STATES)),
        fresh_tokens=amounts,
        cached_tokens=amounts,
        written_tokens=amounts,
        reasoning_tokens=amounts,
        picos=st.one_of(st.integers(0, HOLD.picos), st.integers(HOLD.picos, 10**15)),
    )
    jobs_drawn = st.builds(
        PastJob,
        calls=st.lists(calls_drawn, max_size=4),
        project=st.integers(0, 1),
        key=st.sampled_from([None, 0, 1]),
        kind=st.sampled_from(["fix", "annotate"]),
        rules=st.lists(st.sampled_from(RULES), max_size=7),
        labels=st.dictionaries(st.sampled_from(LABELS), st.sampled_from(["", "core", "=2", "zwölf"])),
    )
    history = History(jobs=draw(st.lists(jobs_drawn, max_size=6)))
    since = draw(instants)
    until = since + timedelta(minutes=draw(st.integers(1, 60 * 60)))
    groups = draw(st.lists(st.sampled_from(WAYS), unique=True, max_size=4).map(tuple))
    project_id = draw(st.sampled_from([None, *history.project_ids]))
    return history, Question(since=since, until=until, time_zone=zone, groups=groups, project_id=project_id)


@pytest.fixture(scope="module")
def module_engine(postgres_url: str, template_database: str) -> Iterator[Engine]:
    with fresh_database(postgres_url, template_database) as url:
        engine = open_engine(url, pool_size=3)
        yield engine
        engine.dispose()


def of_ledger(connection: Connection, question: Question, history: History) -> int:
    """Sum what was settled, whoever bears it."""
    if question.project_id is not None:
        return sum(each.cost_picos for each in expected(history, question).values())
    within = (calls.c.sent_at >= question.since, calls.c.sent_at < question.until)
    entries = ledger_entries.join(calls, calls.c.id == ledger_entries.c.call_id)
    settled = select(func.sum(ledger_entries.c.picos)).select_from(entries)
    return int(connection.scalar(settled.where(*within, ledger_entries.c.credit == "settled")) or 0)


# Each try costs a transaction with real rows: what fails is told as it was drawn, not made smaller.
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=120,
    phases=[Phase.explicit, Phase.generate],
)
@given(drawn=histories(), limit=st.integers(1, 5))
def test_every_breakdown_has_the_same_total_which_is_that_of_the_ledger(
    module_engine: Engine, drawn: tuple[History, Question], limit: int
) -> None:
    history, question = drawn
    with module_engine.connect() as connection:
        store(connection, history)
        rows = usage(connection, question)
        whole = total(connection, question)
        exported = csv_text(connection, question)
        pages = list(paged(connection, question, limit))
        settled = of_ledger(connection, question, history)
        connection.rollback()

    sums = expected(history, question)
    if question.groups:
        assert {row.place: row.sums for row in rows} == sums
    for name in ADDED:
        assert sum(getattr(row.sums, name) for row in rows) == getattr(whole, name), name
    assert whole.cost_picos == settled
    assert all(row.sums.cached_tokens <= row.sums.input_tokens for row in rows)
    assert pages == rows
    told = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert len(told) == len(rows)
    assert sum(from_usd(each["cost_usd"]) for each in told) == whole.cost_picos
    assert sum(from_usd(each["uncertain_usd"]) for each in told) == whole.uncertain_picos
    assert sum(int(each["input_tokens"]) for each in told) == whole.input_tokens


def paged(connection: Connection, question: Question, limit: int) -> Iterator[object]:
    """Go through the pages by their cursors, as the API does."""
    after = None
    while True:
        page = usage(connection, question, after=after, limit=limit)
        yield from page
        if len(page) < limit or not question.groups:
            return
        asked = read_question(
            now=question.until,
            since=None,
            until=None,
            zone=question.time_zone,
            group_by=question.groups,
            project_id=question.project_id,
            cursor=next_cursor(question, page[-1].place),
        )
        assert asked.question == question
        after = asked.after


def one_call_each(at: list[datetime], **more: object) -> History:
    made = [PastCall(at=each) for each in at]
    return History(jobs=[PastJob(calls=[call], **more) for call in made])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [("Europe/Berlin", "2026-10-25", 25), ("Europe/Berlin", "2026-03-29", 23), ("UTC", "2026-03-29", 24)],
)
def test_a_day_on_which_clocks_change_has_more_or_fewer_hours_and_each_is_a_row(
    engine: Engine, zone: str, day: str, hours: int
) -> None:
    midnight = datetime.combine(datetime.fromisoformat(day).date(), time.min, ZoneInfo(zone)).astimezone(UTC)
    history = one_call_each(
        [midnight + timedelta(minutes=30 * number) for number in range(-2, 2 * hours + 2)]
    )
    with engine.begin() as connection:
        store(connection, history)
        whole = Question(
            since=midnight - timedelta(days=1), until=midnight + timedelta(days=2), time_zone=zone
        )
        by_day = usage(connection, replace(whole, groups=("day",)))
        by_hour = usage(connection, replace(whole, groups=("day", "hour")))

    assert {row.place[0]: row.sums.calls for row in by_day}[day] == 2 * hours
    of_day = [row for row in by_hour if row.place[0] == day]
    assert len(of_day) == hours
    assert {row.sums.calls for row in of_day} == {2}
    assert [row.place for row in of_day] == sorted(row.place for row in of_day)


def test_a_period_begins_with_since_and_ends_before_until(engine: Engine) -> None:
    since, until = datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 13, tzinfo=UTC)
    moments = [since - timedelta(microseconds=1), since, until - timedelta(microseconds=1), until]
    with engine.begin() as connection:
        store(connection, one_call_each(moments))

        assert total(connection, Question(since=since, until=until)).calls == 2


def test_a_job_counts_once_in_the_total_and_in_every_row_that_it_has_a_part_in(engine: Engine) -> None:
    at = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)
    made = [PastCall(at=at), PastCall(at=at + timedelta(hours=1), model="deepseek-v4-pro")]
    history = History(jobs=[PastJob(calls=made, rules=["B006", "E501", "E501"])])
    question = Question(since=at - timedelta(days=1), until=at + timedelta(days=1))
    with engine.begin() as connection:
        store(connection, history)
        whole = total(connection, question)
        by_day = usage(connection, replace(question, groups=("day",)))
        by_rule = usage(connection, replace(question, groups=("rule",)))

    assert (whole.jobs, whole.calls) == (1, 2)
    assert [(row.sums.jobs, row.sums.calls) for row in by_day] == [(1, 1), (1, 1)]
    assert [(row.place, row.sums.jobs, row.sums.calls) for row in by_rule] == [
        (("B006",), 1, 2),
        (("E501",), 1, 2),
    ]
    assert [row.sums.cost_picos for row in by_rule] == [
        2 * (1_234_567 // 3),
        2 * (1_234_567 - 1_234_567 // 3),
    ]


def test_what_settles_late_moves_from_uncertain_to_cost_in_rows_and_total_at_once(engine: Engine) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    history = History(jobs=[PastJob(calls=[PastCall(at=at, ending="uncertain")])])
    question = Question(since=at, until=at + timedelta(days=1), groups=("model",))
    with engine.begin() as connection:
        store(connection, history)
    with engine.connect() as looking:
        moment(looking)
        before = usage(looking, question)
        with engine.begin() as settling:
            known = {"state": "settled", "cost_picos": 77, "input_tokens": 7}
            settling.execute(update(calls).values(known))
        at_once = total(looking, question)
        looking.rollback()
        after = total(looking, question)

    assert [row.sums for row in before] == [at_once]
    assert (at_once.uncertain_picos, at_once.cost_picos) == (HOLD.picos, 0)
    assert (after.uncertain_picos, after.cost_picos) == (0, 77)


def test_groups_that_come_while_pages_are_read_neither_repeat_nor_hide_others(engine: Engine) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    question = Question(since=at, until=at + timedelta(days=1), groups=("model",))
    with engine.begin() as connection:
        made = [PastJob(calls=[PastCall(at=at, model=name)]) for name in ("b", "d", "f", "h")]
        store(connection, History(jobs=made))
        first = usage(connection, question, limit=2)
    with engine.begin() as connection:
        made = [PastJob(calls=[PastCall(at=at, model=name)]) for name in ("a", "c", "e", "z")]
        store(connection, History(jobs=made))
        rest = usage(connection, question, after=first[-1].place)

    assert [row.place[0] for row in (*first, *rest)] == ["b", "d", "e", "f", "h", "z"]


@pytest.mark.parametrize("before_midnight_s", [1, 0])
def test_today_is_the_same_day_in_the_numbers_of_the_moment_and_in_usage(
    engine: Engine, before_midnight_s: int
) -> None:
    with engine.begin() as connection:
        now: datetime = connection.scalars(select(func.now())).one()
        midnight = datetime.combine(now.date(), time.min, UTC)
        store(connection, one_call_each([midnight - timedelta(seconds=before_midnight_s)]))
    with engine.connect() as connection:
        until = midnight + timedelta(days=1)
        today = total(connection, Question(since=midnight, until=until))
        shown = stats.stats(connection, None, lease_ttl_s=30)

    assert shown.spend_today_picos == today.cost_picos
    assert bool(today.cost_picos) == (before_midnight_s == 0)
