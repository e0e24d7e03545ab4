"""What is asked of usage: period, time zone and groups, read from a query and refused with the reason."""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pydantic_core import PydanticCustomError

from api.fields import instant, time_zone
from api.problems import nearest
from patchmill.budget.local_time import local_day, midnight
from patchmill.errors import FieldError, InvalidFields
from patchmill.store.usage import GROUPS, LABEL, Question

MAX_GROUPS = 10
MAX_DAYS = 400
MAX_LABEL = 100  # characters of its name, as submissions allow
DAYS = 30  # of a period whose beginning is not asked for
UTC_ZONE = "UTC"

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_YEARS = range(2000, 2200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, and the place behind which a page of its answer begins."""

    question: Question
    after: tuple[str | None, ...] | None


class _Faults:
    """What is wrong with a query, collected, so that everything is told at once."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def add(self, name: str, code: str, detail: str) -> None:
        self.errors.append(FieldError(f"/query/{name}", code, detail))

    def end(self) -> None:
        if self.errors:
            raise InvalidFields(self.errors)


def read_question(
    *,
    now: datetime,
    since: str | None,
    until: str | None,
    zone: str,
    group_by: Iterable[str],
    project_id: uuid.UUID | None,
    cursor: str | None = None,
    days: int = DAYS,
) -> Asked:
    """Read a question; a date begins at midnight of the time zone.

    A period of which nothing else is said ends now, and is so many days long, the one of its end among them.

    Raises:
        InvalidFields: says everything that is wrong with it.
    """
    faults = _Faults()
    groups = _groups(group_by, faults)
    known = _zone(zone, faults)
    began, ended = _moment("since", since, known, faults), _moment("until", until, known, faults)
    faults.end()
    if cursor is not None:
        began, ended, after = _from_cursor(cursor, (known, groups), (began, ended))
    else:
        after = None
        ended = ended or now
        began = began or first_of(days, ended, known)
        if until is None and began >= now:
            faults.add("since", "out_of_range", "is not in the past, and without `until` the period ends now")
            faults.end()
    _check_period(began, ended, faults)
    faults.end()
    question = Question(since=began, until=ended, time_zone=known, groups=groups, project_id=project_id)
    return Asked(question=question, after=after)


def first_of(days: int, until: datetime, zone: str) -> datetime:
    """Give the beginning of the first of so many days, of which the last holds the moment before `until`."""
    last = local_day(until - timedelta(microseconds=1), zone)
    return midnight(last - timedelta(days=days - 1), zone)


def next_cursor(question: Question, place: Sequence[str | None]) -> str:
    """Write the place after a row, with the period, which stays the same on every page."""
    told = [
        question.since.isoformat(),
        question.until.isoformat(),
        question.time_zone,
        list(question.groups),
        list(place),
    ]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _groups(group_by: Iterable[str], faults: _Faults) -> tuple[str, ...]:
    names = tuple(name for each in group_by for name in each.split(","))
    for number, name in enumerate(names):
        label = name.removeprefix(LABEL)
        if name in names[:number]:
            faults.add("group_by", "not_allowed", f"`{name[:MAX_LABEL]}` is there twice")
        elif name.startswith(LABEL):
            if not label or "\0" in label:
                faults.add("group_by", "not_allowed", "a label is asked for as `label.KEY`")
            elif len(label) > MAX_LABEL:
                faults.add("group_by", "too_long", f"no label's KEY has more than {MAX_LABEL} characters")
        elif name not in GROUPS:
            detail = f"there is no such group{nearest(name, (*GROUPS, f'{LABEL}KEY'))}"
            faults.add("group_by", "not_allowed", detail)
    if len(names) > MAX_GROUPS:
        faults.add("group_by", "too_long", f"names more than {MAX_GROUPS} groups")
    return names


def _zone(name: str, faults: _Faults) -> str:
    try:
        return time_zone(name)
    except PydanticCustomError as error:
        faults.add("time_zone", error.type, error.message())
        return UTC_ZONE


def _moment(name: str, text: str | None, zone: str, faults: _Faults) -> datetime | None:
    """Read an instant, or a date, which stands for its beginning."""
    if text is None:
        return None
    try:
        at: datetime = midnight(_date(text), zone) if _DATE.fullmatch(text) else instant(text)
    except PydanticCustomError as error:
        form = "must be a date such as 2026-11-22, or a time with an offset, such as 2026-11-22T12:00:00Z"
        faults.add(name, error.type, form if error.type == "wrong_type" else error.message())
        return None
    except (ValueError, OverflowError):
        faults.add(name, "out_of_range", "is no day that exists")
        return None
    if at.year not in _YEARS:
        faults.add(name, "out_of_range", f"lies outside the years {_YEARS[0]} to {_YEARS[-1]}")
        return None
    return at


def _date(text: str) -> date:
    return date.fromisoformat(text)


def _check_period(since: datetime, until: datetime, faults: _Faults) -> None:
    if until <= since:
        faults.add("until", "out_of_range", f"is not after `since`, which is {_written(since)}")
    elif until - since > timedelta(days=MAX_DAYS):
        faults.add(
            "since", "out_of_range", f"begins a period of more than {MAX_DAYS} days until {_written(until)}"
        )


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _from_cursor(
    cursor: str, same: tuple[str, tuple[str, ...]], asked: tuple[datetime | None, datetime | None]
) -> tuple[datetime, datetime, tuple[str | None, ...]]:
    """Read a cursor, which must belong to this very question."""
    refusal = InvalidFields(
        [FieldError("/query/cursor", "not_allowed", "is not a cursor that this service gave")]
    )
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        since, until, zone, groups, place = json.loads(text)
        period = (datetime.fromisoformat(since), datetime.fromisoformat(until))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise refusal from None
    if not isinstance(place, list) or not place or not all(each is None or _storable(each) for each in place):
        raise refusal
    if any(at.tzinfo is None or at.year not in _YEARS for at in period):
        raise refusal
    given = (zone, groups) == (same[0], list(same[1])) and len(place) == len(groups)
    if not given or any(told not in {None, at} for told, at in zip(asked, period, strict=True)):
        detail = "belongs to another question; ask for the next page with the same period, zone and groups"
        raise InvalidFields([FieldError("/query/cursor", "not_allowed", detail)])
    return *period, tuple(place)


def _storable(text: object) -> bool:
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
