"""Usage over HTTP: what a key may see, what is refused, pages, and CSV that does no harm."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.usage_shapes import Usage
from patchmill.budget.prices import from_usd
from tests.support.api import Api, User
from tests.support.usage_history import History, PastCall, PastJob, store

AT = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, where that comes twice
PERIOD = "since=2026-10-20&until=2026-10-30&time_zone=Europe/Berlin"
HOSTILE = ("=1+1", "+1", "-1", "@SUM(1)", "\tx", "\rx", " =1", '"x",\r\ny', "'x", "näme", "\uff1dx")


@pytest.fixture
def past(api: Api, user: User) -> User:
    """Give a user whose project has a past: two calls in the hour that comes twice, and others."""
    jobs = [
        PastJob(
            calls=[PastCall(at=AT), PastCall(at=AT + timedelta(hours=1), model="deepseek-v4-pro", picos=5)],
            rules=["B006", "B006", "E501"],
            labels={"team": "core"},
            project=0,
        ),
        PastJob(calls=[PastCall(at=AT + timedelta(days=1), ending="uncertain")], kind="annotate", key=0),
        PastJob(calls=[PastCall(at=AT + timedelta(days=20))]),
    ]
    history = History(jobs=jobs, project_ids=[user.project_id], project_names=())
    with api.engine.begin() as connection:
        store(connection, history)
    return user


def read(user: User, query: str, status: int = 200) -> Any:
    answer = user.http.get(f"/v1/usage?{query}")
    assert answer.status_code == status, answer.text
    return answer.json()


def test_usage_is_grouped_as_asked_and_has_one_total(past: User) -> None:
    found = read(past, f"{PERIOD}&group_by=hour,model&group_by=label.team")

    Usage.model_validate_json(past.http.get(f"/v1/usage?{PERIOD}&group_by=day").content)
    assert found["group_by"] == ["hour", "model", "label.team"]
    assert (found["since"], found["until"]) == ("2026-10-19T22:00:00.000000Z", "2026-10-29T23:00:00.000000Z")
    assert [(row["hour"], row["model"], row["label.team"]) for row in found["data"]] == [
        ("2026-10-25T02:00:00+02:00", "deepseek-v4-flash", "core"),
        ("2026-10-25T02:00:00+01:00", "deepseek-v4-pro", "core"),
        ("2026-10-26T01:00:00+01:00", "deepseek-v4-flash", None),
    ]
    assert found["total"] == {
        "jobs": 2,
        "calls": 3,
        "input_tokens": 220,
        "cached_tokens": 20,
        "output_tokens": 110,
        "reasoning_tokens": 10,
        "cost_usd": "0.000001234572",
        "uncertain_usd": "0.001",
    }
    assert list(found["data"][0])[:3] == ["hour", "model", "label.team"]


def test_the_money_of_several_rules_is_divided_to_the_pico_dollar(past: User) -> None:
    found = read(past, f"{PERIOD}&group_by=rule")

    by_rule = {row["rule"]: row for row in found["data"]}
    assert list(by_rule) == ["B006", "E501", None]
    assert [from_usd(by_rule[rule]["cost_usd"]) for rule in by_rule] == [823_044 + 3, 411_523 + 2, 0]
    assert by_rule[None]["uncertain_usd"] == found["total"]["uncertain_usd"]


def test_without_groups_there_is_one_row_and_without_calls_it_is_nothing(past: User) -> None:
    found = read(past, "since=2026-01-01&until=2026-01-02")

    assert found["data"] == [found["total"]]
    assert (found["total"]["calls"], found["total"]["cost_usd"]) == (0, "0")
    assert read(past, "since=2026-01-01&until=2026-01-02&group_by=day")["data"] == []


def test_a_key_sees_its_own_project_alone_whatever_its_scope(api: Api, past: User) -> None:
    other, reader = User(api), User(api, scopes=["jobs:read"], project=None)
    own = read(past, f"{PERIOD}&group_by=project,key")

    assert read(other, PERIOD)["total"]["calls"] == read(reader, PERIOD)["total"]["calls"] == 0
    assert {row["project"] for row in own["data"]} == {f"prj_{past.project_id.hex}"}
    assert {(row["key"] is None, row["key_name"]) for row in own["data"]} == {(True, None), (False, "first")}
    for each in (other, reader):
        each.http.close()


def test_a_key_needs_to_read(api: Api) -> None:
    writer = User(api, scopes=["jobs:write"])

    assert writer.http.get("/v1/usage").status_code == 403
    assert writer.http.get("/v1/usage", headers={"Authorization": ""}).status_code == 401
    writer.http.close()


def test_pages_go_on_from_a_cursor_with_the_same_period_and_total(past: User) -> None:
    query = "since=2026-10-01&group_by=day,kind&limit=1"
    pages = [read(past, query)]
    while pages[-1]["next_cursor"]:
        pages.append(read(past, f"{query}&cursor={pages[-1]['next_cursor']}"))

    whole = read(past, query.replace("limit=1", "limit=200"))
    assert [row for page in pages for row in page["data"]] == whole["data"]
    assert len(pages) == len(whole["data"]) == 3
    assert {page["until"] for page in pages} == {pages[0]["until"]}
    assert all(page["total"] == whole["total"] for page in pages)


def test_a_cursor_belongs_to_its_question(past: User) -> None:
    query = "since=2026-10-01&group_by=day"
    cursor = read(past, f"{query}&limit=1")["next_cursor"]

    for changed in (
        "since=2026-10-02&group_by=day",
        "since=2026-10-01&group_by=hour",
        f"{query}&time_zone=Asia/Tokyo",
    ):
        problem = read(past, f"{changed}&cursor={cursor}", 422)
        assert problem["errors"][0]["pointer"] == "/query/cursor"
    for mangled in ("!", cursor[:-3], "e30", "bnVsbA", "WzEsMiwzLDQsNV0", cursor + "AAAA"):
        assert read(past, f"{query}&cursor={mangled}", 422)["errors"][0]["pointer"] == "/query/cursor"


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("group_by=dya", "/query/group_by", "did you mean `day`?"),
        ("group_by=label.", "/query/group_by", "`label.KEY`"),
        ("group_by=", "/query/group_by", "there is no such group"),
        ("group_by=day,model&group_by=day", "/query/group_by", "`day` is there twice"),
        (
            "group_by=" + ",".join(f"label.{number}" for number in range(11)),
            "/query/group_by",
            "more than 10",
        ),
        (f"group_by=label.{'x' * 101}", "/query/group_by", "100 characters"),
        ("time_zone=Europe/Berln", "/query/time_zone", "did you mean `Europe/Berlin`?"),
        ("time_zone=../../etc/passwd", "/query/time_zone", "must be the name of a time zone"),
        ("since=yesterday", "/query/since", "must be a date such as"),
        ("since=2026-02-30", "/query/since", "no day that exists"),
        ("since=2026-01-01T00:00:00", "/query/since", "with an offset"),
        ("until=9999-12-31", "/query/until", "outside the years"),
        ("since=0001-01-01", "/query/since", "outside the years"),
        ("since=2026-05-02&until=2026-05-01", "/query/until", "not after `since`"),
        ("since=2026-05-01&until=2026-05-01", "/query/until", "not after `since`"),
        ("since=2024-01-01&until=2026-01-01", "/query/since", "more than 400 days"),
        ("since=2199-01-01", "/query/since", "is not in the past"),
        ("since=2199-01-02&until=2199-01-01", "/query/until", "is not after `since`"),
        ("limit=0", "/query/limit", "greater than or equal to 1"),
        ("limit=201", "/query/limit", "less than or equal to 200"),
        ("groupby=day", "/query/groupby", "did you mean `group_by`?"),
        ("group_by=label.%00", "/query/group_by", "NUL"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_place_and_the_reason(
    user: User, query: str, pointer: str, said: str
) -> None:
    problem = read(user, query, 422)

    assert problem["code"] == "invalid_field"
    assert problem["errors"][0]["pointer"] == pointer
    assert said in problem["errors"][0]["detail"]


def test_all_mistakes_are_told_at_once(user: User) -> None:
    problem = read(user, "since=x&until=y&time_zone=z&group_by=w", 422)

    assert {each["pointer"] for each in problem["errors"]} == {
        f"/query/{name}" for name in ("since", "until", "time_zone", "group_by")
    }


def test_csv_has_every_row_and_the_same_total(past: User) -> None:
    query = f"{PERIOD}&group_by=day,key,rule"
    asked = past.http.get(f"/v1/usage?{query}&format=csv&limit=1")
    accepted = past.http.get(f"/v1/usage?{query}", headers={"Accept": "text/csv"})
    found = read(past, query)

    assert asked.headers["content-type"] == "text/csv; charset=utf-8"
    assert asked.headers["content-disposition"] == 'attachment; filename="usage-2026-10-20-2026-10-29.csv"'
    assert asked.text == accepted.text
    rows = list(csv.DictReader(io.StringIO(asked.text, newline="")))
    assert [{name: value or None for name, value in row.items()} for row in rows] == [
        {name: None if value is None else str(value) for name, value in row.items()} for row in found["data"]
    ]
    assert sum(from_usd(row["cost_usd"]) for row in rows) == from_usd(found["total"]["cost_usd"])
    assert past.http.get(f"/v1/usage?{query}&format=xml").status_code == 406


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_in_csv_is_computed_by_a_spreadsheet(api: Api, hostile: str) -> None:
    user = User(api, project=f"{hostile} {datetime.now(UTC).timestamp()}")
    job = PastJob(calls=[PastCall(at=AT)], key=0, rules=[hostile], labels={hostile: hostile, "team": hostile})
    history = History(jobs=[job], project_ids=[user.project_id], project_names=(), key_names=(hostile, "x"))
    with api.engine.begin() as connection:
        store(connection, history)
    # A label whose name has a comma cannot be asked for.
    groups = ["project,key,rule,label.team", *([] if "," in hostile else [f"label.{hostile}"])]

    answer = user.http.get(
        "/v1/usage",
        params={"since": "2026-10-20", "until": "2026-10-30", "format": "csv", "group_by": groups},
    )

    header, row = csv.reader(io.StringIO(answer.content.decode(), newline=""))
    assert len(header) == len(row)
    for cell in (*header, *row):
        assert cell.lstrip(" ")[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"}, cell
    told = dict(zip(header, row, strict=True))
    computed = hostile.lstrip(" ")[0] in "=+-@\t\r\uff1d"
    shown = f"'{hostile}" if computed else hostile
    assert [told["rule"], told["key_name"], told["label.team"]] == [shown] * 3
    assert told["project_name"].startswith(shown)
    assert told["cost_usd"] == "0.000001234567"
    user.http.close()
