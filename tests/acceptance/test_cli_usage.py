"""`patchmill usage` and the client's `usage` against a running API whose project has a past."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from patchmill.client import Client
from tests.support.api import Api, User
from tests.support.command import Command, Done
from tests.support.usage_history import History, PastCall, PastJob, store


@pytest.fixture
def past(api: Api) -> Iterator[User]:
    """Give a user whose project has a past: two calls of today, one of a rule with a terminal's codes."""
    user = User(api)
    today = datetime.combine(datetime.now(UTC).date(), time.min, UTC)
    jobs = [
        PastJob(calls=[PastCall(at=today, picos=5 * 10**11)], rules=["B006"]),
        PastJob(calls=[PastCall(at=today, model="deepseek-v4-pro", picos=7)], rules=["\x1b[31mE501"]),
        PastJob(calls=[PastCall(at=today - timedelta(days=6, hours=1), ending="uncertain")]),
    ]
    with api.engine.begin() as connection:
        store(connection, History(jobs=jobs, project_ids=[user.project_id], project_names=()))
    yield user
    user.http.close()


@pytest.fixture
def run(api: Api, past: User, patchmill: Command) -> Callable[..., Done]:
    settings = {"PATCHMILL_SERVER_URL": api.url, "PATCHMILL_SERVER_KEY": past.secret.text()}
    return lambda *words: patchmill("usage", *words, settings=settings)


def test_the_table_has_a_line_for_each_group_and_the_total(run: Callable[..., Done]) -> None:
    done = run("--by", "model")

    assert done.code == 0, done.talk
    head, flash, pro, total = done.data.splitlines()
    assert head.split() == [
        "model",
        "jobs",
        "calls",
        "input",
        "cached",
        "output",
        "cost",
        "$",
        "uncertain",
        "$",
    ]
    assert flash.split() == ["deepseek-v4-flash", "1", "1", "110", "10", "55", "0.5", "0"]
    assert pro.split() == ["deepseek-v4-pro", "1", "1", "110", "10", "55", "0.000000000007", "0"]
    assert total.split() == ["total", "2", "2", "220", "20", "110", "0.500000000007", "0"]
    points = {line.index("0.") for line in (flash, pro, total)}
    assert len(points) == 1


def test_a_span_of_days_holds_today_and_one_of_hours_ends_now(run: Callable[..., Done]) -> None:
    assert json.loads(run("--json", "--since", "7d").data)["total"]["calls"] == 2
    assert json.loads(run("--json", "--since", "8d").data)["total"]["calls"] == 3
    assert json.loads(run("--json", "--since", f"{24 * 8}h").data)["total"]["uncertain_usd"] == "0.001"


def test_csv_goes_to_standard_output_and_sums_to_the_total(run: Callable[..., Done]) -> None:
    done = run("--csv", "--by", "day,rule", "--since", "30d")
    report = json.loads(run("--json", "--by", "day", "--by", "rule", "--since", "30d").data)

    rows = list(csv.DictReader(io.StringIO(done.data, newline="")))
    assert len(rows) == len(report["data"]) == 3
    assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal(report["total"]["cost_usd"])


def test_what_a_terminal_would_act_on_is_written_out(run: Callable[..., Done]) -> None:
    table = run("--by", "rule").data

    assert "\x1b" not in table
    assert "\\x1b[31mE501" in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--by", "modle"), "--by: there is no such group; did you mean `model`?"),
        (("--time-zone", "Europe/Berln"), "--time-zone: must be the name of a time zone; did you mean"),
        (
            ("--time-zone", "berlin"),
            "--time-zone: must be the name of a time zone; did you mean `Europe/Berlin`?",
        ),
        (("--time-zone", "CEST"), "--time-zone: must be the name of a time zone, such as UTC or"),
        (("--since", "last week"), "--since: must be a date such as"),
        (("--since", "2w"), "or a span such as 7d or 24h"),
        (("--since", "2199-01-01"), "--since: is not in the past"),
        (("--since", "2026-05-02", "--until", "2026-05-01"), "--until: is not after"),
        (("--csv", "--json"), "exclude each other"),
    ],
)
def test_what_cannot_be_answered_ends_in_one_sentence(
    run: Callable[..., Done], words: tuple[str, ...], said: str
) -> None:
    done = run(*words)

    assert (done.code, done.data) == (2, "")
    assert said in done.talk
    assert len(done.talk.splitlines()) == 1


def test_an_empty_time_says_so_and_costs_nothing(run: Callable[..., Done]) -> None:
    done = run("--since", "2026-01-01", "--until", "2026-01-02")

    assert done.data.splitlines()[-1].split() == ["total", *["0"] * 7]
    assert "no call was sent in this time" in done.talk


def test_the_client_gives_all_rows_of_many_pages(api: Api) -> None:
    user = User(api)
    start = datetime(2026, 4, 1, tzinfo=UTC)
    calls = [PastCall(at=start + timedelta(hours=hour), picos=hour) for hour in range(230)]
    with api.engine.begin() as connection:
        store(
            connection,
            History(jobs=[PastJob(calls=calls)], project_ids=[user.project_id], project_names=()),
        )
    with Client(api.url, user.secret.text()) as client:
        report = client.usage(since="2026-04-01", until="2026-05-01", group_by=["hour"])

    assert len({row["hour"] for row in report["data"]}) == len(report["data"]) == 230
    assert sum(Decimal(row["cost_usd"]) for row in report["data"]) == Decimal(report["total"]["cost_usd"])
    assert (report["total"]["jobs"], report["next_cursor"]) == (1, None)
    user.http.close()
