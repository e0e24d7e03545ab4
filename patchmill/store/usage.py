"""What calls used and cost, grouped in any way: one query, so that every sum of it is the same.

Ids begin with their time, so the calls of a period are a range of their primary key. A call belongs to the
instant at which it was sent. By rule, what it used is divided among the findings of its job, in equal parts.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    FromClause,
    Interval,
    Select,
    Subquery,
    Text,
    case,
    cast,
    false,
    func,
    literal,
    select,
    text,
    tuple_,
)

from patchmill.budget.local_time import clock
from patchmill.store.ids import first_id
from patchmill.store.tables import calls, findings, jobs

LABEL = "label."
RULE = "rule"
GROUPS = ("day", "hour", "project", "key", "model", "kind", RULE)  # and a label of jobs, as `label.KEY`
_CLOCKS_DIFFER_BY = timedelta(hours=1)  # at most: between the one that made a call's id, and the database's


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which calls, and how they are grouped; calls of all projects where none is named.

    The period begins with `since` and ends before `until`; days and hours are those of the time zone.
    """

    since: datetime
    until: datetime
    time_zone: str = "UTC"
    groups: tuple[str, ...] = ()
    project_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What calls used and cost; `jobs` and `calls` are how many have a part in it.

    `uncertain_picos` is what may have been spent by calls whose end nobody knows.
    """

    jobs: int
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_picos: int
    uncertain_picos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One group: its place among the others, in the order of the question's groups, and its sums.

    A place is text that sorts as the rows do, None where calls have nothing of that sort; an hour's is
    `2026-10-25T00:00:00|7200`, its beginning in UTC and the seconds that local clocks are ahead.
    """

    place: tuple[str | None, ...]
    sums: Sums


_SAME_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
_ROOM_TO_SUM = text("SET LOCAL work_mem = '32MB'")  # else sums of many calls are sorted on disk


def moment(connection: Connection) -> datetime:
    """Give the time; every statement of the transaction, which begins here, then sees what was true at it.

    So rows, their total and what is behind a cursor are of one moment.
    """
    connection.execute(_SAME_MOMENT)
    connection.execute(_ROOM_TO_SUM)
    now: datetime = connection.scalars(select(func.now())).one()
    return now


def usage(
    connection: Connection,
    question: Question,
    *,
    after: Sequence[str | None] | None = None,
    limit: int | None = None,
) -> list[UsageRow]:
    """Give the groups in the order of their places, those behind a place alone, and at most so many."""
    result = connection.execute(rows_of(question, after).limit(limit))
    width = len(question.groups)
    return [UsageRow(place=tuple(row[:width]), sums=_sums(row[width:])) for row in result]


def total(connection: Connection, question: Question) -> Sums:
    """Give the sums of all groups together, in which each job and each call counts once."""
    [row] = usage(connection, replace(question, groups=()))
    return row.sums


def spent_today(connection: Connection, now: datetime, *, project_id: uuid.UUID | None) -> int:
    """Give what the day so far has cost, as far as it is known, in pico-dollars; days begin by UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = Question(since=midnight, until=midnight + timedelta(days=1), project_id=project_id)
    return total(connection, today).cost_picos


# What of each call is divided among rules. Cached tokens and reasoning are divided apart from the rest, so
# that no row has more of them than of what they are a part of.
_PARTS: Mapping[str, ColumnElement[int]] = {
    "fresh_tokens": calls.c.input_tokens - calls.c.cached_tokens,
    "cached_tokens": calls.c.cached_tokens,
    "written_tokens": calls.c.output_tokens - calls.c.reasoning_tokens,
    "reasoning_tokens": calls.c.reasoning_tokens,
    "cost_picos": calls.c.cost_picos,
    "uncertain_picos": case((calls.c.state == "uncertain", calls.c.hold_picos), else_=0),
}
_OF_CALL: Mapping[str, ColumnElement[Any]] = {
    "project": jobs.c.project_id,
    "key": jobs.c.key_id,
    "model": calls.c.model.collate("C"),
    "kind": jobs.c.kind.collate("C"),
}
_NAMES = tuple(field.name for field in fields(Sums))


def rows_of(question: Question, after: Sequence[str | None] | None = None) -> Select[Any]:
    """Build the statement: a row for each group, its places and then its sums."""
    grouped = _grouped(_by_job(question))
    places = [_place(name, grouped, _column(number)) for number, name in enumerate(question.groups)]
    ordered = [part for place in places for part in _sortable(place)]
    shown: list[ColumnElement[Any]] = [*places, *(grouped.c[name] for name in _NAMES)]
    rows: Select[Any] = select(*shown).order_by(*ordered)
    if after is None:
        return rows
    if not ordered:  # nothing comes behind the only row
        return rows.where(false())
    behind = [part for each in after for part in (literal(each is None), literal(each or "", Text))]
    return rows.where(tuple_(*ordered) > tuple_(*behind))


def _grouped(by_job: Subquery) -> Subquery:
    sums = {name: func.coalesce(func.sum(by_job.c[name]), 0) for name in ("calls", *_PARTS)}
    shown = {
        "jobs": func.count(),
        **sums,
        "input_tokens": sums["fresh_tokens"] + sums["cached_tokens"],
        "output_tokens": sums["written_tokens"] + sums["reasoning_tokens"],
    }
    groups = _groups_in(by_job)
    return (
        select(*groups, *(shown[name].label(name) for name in _NAMES)).group_by(*groups).subquery("grouped")
    )


def _by_job(question: Question) -> Subquery:
    """Sum what each job has in each group, so that jobs are counted without sorting calls."""
    borne = _borne(question)
    groups = _groups_in(borne)
    sums = (cast(func.sum(borne.c[name]), BigInteger).label(name) for name in _PARTS)
    return (
        select(*groups, func.count().label("calls"), *sums)
        .group_by(*groups, borne.c.job_id)
        .subquery("by_job")
    )


def _borne(question: Question) -> CTE | Subquery:
    """Give the calls of the period, each once, or once for each rule of its job's findings."""
    sent = _sent(question)
    if RULE not in question.groups:
        return sent
    shares = _shares(sent)
    parts = (func.coalesce(_share(sent.c[name], shares), sent.c[name]).label(name) for name in _PARTS)
    rule = shares.c.rule.collate("C").label(_column(question.groups.index(RULE)))
    return (
        select(sent.c.job_id, *_groups_in(sent), rule, *parts)
        .select_from(sent.outerjoin(shares, shares.c.job_id == sent.c.job_id))
        .subquery("borne")
    )


def _sent(question: Question) -> CTE:
    conditions = [
        calls.c.id >= first_id(question.since - _CLOCKS_DIFFER_BY),
        calls.c.id < first_id(question.until + _CLOCKS_DIFFER_BY),
        calls.c.sent_at >= question.since,
        calls.c.sent_at < question.until,
    ]
    if question.project_id is not None:
        conditions.append(jobs.c.project_id == question.project_id)
    columns = (
        column.label(f"{_column(number)}{part}")
        for number, name in enumerate(question.groups)
        for part, column in _columns(name, question).items()
    )
    parts = (part.label(name) for name, part in _PARTS.items())
    return (
        select(calls.c.job_id, *columns, *parts)
        .join(jobs, jobs.c.id == calls.c.job_id)
        .where(*conditions)
        .cte("sent")
    )


def _shares(sent: CTE) -> Subquery:
    """Lay the findings of each job in a row by their rules: a rule has those from `first` until `last`."""
    counted = (
        select(findings.c.job_id, findings.c.rule, func.count().label("number"))
        .where(findings.c.job_id.in_(select(sent.c.job_id)))
        .group_by(findings.c.job_id, findings.c.rule)
        .subquery("counted")
    )
    of_job = func.sum(counted.c.number).over(partition_by=counted.c.job_id)
    so_far = func.sum(counted.c.number).over(
        partition_by=counted.c.job_id, order_by=counted.c.rule.collate("C")
    )
    last = cast(so_far, BigInteger)
    return select(
        counted.c.job_id,
        counted.c.rule,
        (last - counted.c.number).label("first"),
        last.label("last"),
        cast(of_job, BigInteger).label("whole"),
    ).subquery("shares")


def _share(amount: ColumnElement[int], shares: Subquery) -> ColumnElement[int]:
    """Give what the findings of one rule bear together; null where there is none."""
    return _borne_before(shares.c.last, amount, shares) - _borne_before(shares.c.first, amount, shares)


def _borne_before(
    place: ColumnElement[int], amount: ColumnElement[int], shares: Subquery
) -> ColumnElement[int]:
    """Give what the findings before a place bear together: `amount * place / whole`, without its size."""
    whole = shares.c.whole
    return (amount // whole) * place + ((amount % whole) * place) // whole


def _column(number: int) -> str:
    return f"of_{number}"


def _groups_in(rows: FromClause) -> list[ColumnElement[Any]]:
    return [column for name, column in rows.c.items() if name.startswith("of_")]


def _columns(name: str, question: Question) -> Mapping[str, ColumnElement[Any]]:
    """Give what calls are told apart by, by what is added to the group's number as a column's name."""
    if name.startswith(LABEL):
        return {"": jobs.c.labels[name.removeprefix(LABEL)].astext.collate("C")}
    if name in {"day", "hour"}:
        ahead = _ahead(question)
        local = func.timezone("UTC", calls.c.sent_at, type_=DateTime()) + ahead
        if name == "day":
            return {"": cast(local, Date)}
        return {"": func.date_trunc("hour", local, type_=DateTime()) - ahead, "_ahead": ahead}
    if name == RULE:  # which belongs to findings
        return {}
    return {"": _OF_CALL[name]}


def _ahead(question: Question) -> ColumnElement[timedelta]:
    """Give by how much local clocks were ahead of UTC when a call was sent."""
    shown = clock(question.time_zone, question.since, question.until)
    *offsets, last = (literal(offset, Interval) for offset in shown.offsets)
    if not offsets:
        return last
    until = [calls.c.sent_at < change for change in shown.changes]
    return case(*zip(until, offsets, strict=True), else_=last)


def _place(name: str, grouped: Subquery, column: str) -> ColumnElement[str]:
    value = grouped.c[column]
    if name == "day":
        return func.to_char(value, "YYYY-MM-DD")
    if name == "hour":
        seconds = cast(func.extract("epoch", grouped.c[f"{column}_ahead"]), BigInteger)
        return func.to_char(value, 'YYYY-MM-DD"T"HH24:MI:SS').concat("|").concat(cast(seconds, Text))
    return cast(value, Text)


def _sortable(place: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[str]]:
    return place.is_(None), func.coalesce(place, "", type_=Text).collate("C")


def _sums(values: Sequence[Any]) -> Sums:
    return Sums(**{name: int(value) for name, value in zip(_NAMES, values, strict=True)})
